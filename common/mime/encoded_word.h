/*
 * The text of header fields as people read it: RFC 2047 encoded words, with the language of RFC
 * 2231 5, become UTF-8. Pure; any process.
 */
#ifndef COMMON_MIME_ENCODED_WORD_H
#define COMMON_MIME_ENCODED_WORD_H

#include "common/buffer.h"
#include "common/text/cursor.h"

/*
 * Appends an unfolded field body as valid UTF-8. White space between two encoded words goes (RFC
 * 2047 6.2), and a character that was cut between two words of one charset is put together. Encoded
 * words are decoded wherever they stand, in quotes and amid other text too: that is how they are
 * written, whatever RFC 2047 5 says. One of unknown charset stays as it is. Octets outside of
 * encoded words are UTF-8 (RFC 6532), others become U+FFFD.
 *
 * Linear; at most three octets for each that came in. Look at text->failed.
 */
void encoded_word_decode(struct slice body, struct buffer *text);

/* Steps over one encoded word, of a charset that is known here or not; false if there is none. */
bool encoded_word_skip(struct cursor *in);

#endif
