/*
 * Decodes the text of header fields to UTF-8: RFC 2047 encoded words, also with the language of RFC
 * 2231 5. Pure; any process.
 */
#ifndef COMMON_MIME_ENCODED_WORD_H
#define COMMON_MIME_ENCODED_WORD_H

#include "common/buffer.h"
#include "common/text/cursor.h"

/*
 * Appends an unfolded field body as valid UTF-8. White space between two encoded words is dropped
 * (RFC 2047 6.2), and a character split between two words of one charset is joined. Encoded words
 * are decoded anywhere, also in quotes and within other text: real mail has them there despite RFC
 * 2047 5. A word of unknown charset stays as it is. Outside of encoded words, UTF-8 is kept (RFC
 * 6532) and invalid octets become U+FFFD.
 *
 * Linear; at most three octets per input octet. Check text->failed.
 */
void encoded_word_decode(struct slice body, struct buffer *text);

/* Skips one encoded word, of a known charset or not. False if there is none. */
bool encoded_word_skip(struct cursor *in);

#endif
