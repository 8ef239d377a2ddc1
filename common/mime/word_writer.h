/*
 * Writes the words of a header field as ASCII, folding lines as needed: words with octets above 127
 * become RFC 2047 encoded words, at most 75 octets long, never split within a UTF-8 character. The
 * charset is UTF-8 if the octets are valid UTF-8, else unknown-8bit (RFC 1428 3). Adjacent words
 * are encoded as one text, including the white space between them, since readers drop white space
 * between encoded words (RFC 2047 6.2); white space next to an existing encoded word is encoded
 * too. Only the letters that RFC 2047 5 (3) allows everywhere, even in a phrase, are used.
 *
 * Lines are folded at white space, before they exceed 76 octets. Pure; any process.
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
    size_t column;      /* octets of the current line so far */
    struct buffer text; /* to be encoded; depends on what follows */
    struct slice blank; /* white space before `text`; borrowed */
    bool after_encoded; /* the last word written was an existing encoded word */
};

/* Borrows the buffer, which records failures. */
void word_writer_init(struct word_writer *writer, struct buffer *out, size_t column);

/* Write the next word and the white space before it, without line ends; both are borrowed until the
 * next word of another kind, or the end. With empty white space the word directly follows the
 * previous one, but an encoded word has a space on both sides, except inside a comment's
 * parentheses.
 */
void word_writer_plain(struct word_writer *writer, struct slice blank, struct slice ascii);
void word_writer_text(struct word_writer *writer, struct slice blank, struct slice text);
void word_writer_encoded(struct word_writer *writer, struct slice blank, struct slice word);

void word_writer_end(struct word_writer *writer);

#endif
