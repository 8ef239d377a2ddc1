/*
 * The words of a header field as ASCII, on lines of their own where they need them: what has octets
 * above 127 becomes RFC 2047 encoded words, at most 75 octets long, never cut within a character of
 * UTF-8. The charset is UTF-8 where the octets are that, else unknown-8bit (RFC 1428 3). Words in a
 * row are encoded as one text, the white space between them among it, since readers drop what
 * stands between encoded words (RFC 2047 6.2); beside an encoded word that was there before it is
 * encoded too. The letters used are those that RFC 2047 5 (3) allows everywhere, in a phrase too.
 *
 * Lines are folded at white space, before they pass 76 octets. Pure; any process.
 *
 *     struct word_writer writer;
 *     word_writer_init(&writer, &out, column);     after "Subject:"
 *     word_writer_plain(&writer, blank, word);     ...
 *     word_writer_end(&writer);                    no line end is written
 */
#ifndef COMMON_MIME_WORD_WRITER_H
#define COMMON_MIME_WORD_WRITER_H

#include "common/buffer.h"

struct word_writer {
    struct buffer *out;
    size_t column;      /* octets of the line so far */
    struct buffer text; /* to be encoded; waits for what follows */
    struct slice blank; /* before it; borrowed */
    bool after_encoded; /* an encoded word that was there before was written last */
};

/* Borrows the buffer, which tells of failures. */
void word_writer_init(struct word_writer *writer, struct buffer *out, size_t column);

/* The next word and the white space before it, without line ends; both borrowed until the next one
 * of another kind, or the end. Where the white space is empty the word stands directly after what
 * was written, but an encoded word has a space at both sides, save inside a comment's parentheses.
 */
void word_writer_plain(struct word_writer *writer, struct slice blank, struct slice ascii);
void word_writer_text(struct word_writer *writer, struct slice blank, struct slice text);
void word_writer_encoded(struct word_writer *writer, struct slice blank, struct slice word);

void word_writer_end(struct word_writer *writer);

#endif
