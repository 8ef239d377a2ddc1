/*
 * Converts character sets of mail to UTF-8, in pieces of any size. Undefined or invalid octets
 * become U+FFFD, so the output is always valid UTF-8. A new charset is a new row in charset_lists.h
 * or charset.c. Pure; any process.
 */
#ifndef COMMON_MIME_CHARSET_H
#define COMMON_MIME_CHARSET_H

#include "common/buffer.h"

struct charset;

/* Finds a charset by its IANA name or an alias, ignoring case. NULL: unknown. */
const struct charset *charset_find(struct slice name);

/* "UTF-8", and "US-ASCII", the charset of text that names none (RFC 2045 5.2). */
const struct charset *charset_utf8(void);
const struct charset *charset_ascii(void);

/* Appends the names of all known charsets, separated by spaces, for BADCHARSET. */
void charset_append_names(struct buffer *text);

struct charset_decoder {
    const struct charset *charset;
    uint8_t held[4]; /* the beginning of a character whose end is in the next piece */
    size_t held_octets;
    uint32_t shift;     /* shift state, private to charset.c */
    uint32_t surrogate; /* the high surrogate of a pair; 0: none */
    uint32_t bits;      /* UTF-7: pending bits of base64, the low bit_count of them */
    uint32_t bit_count;
};

void charset_decoder_init(struct charset_decoder *decoder, const struct charset *charset);

/* Appends UTF-8, at most three octets per input octet; check text->failed. */
void charset_decoder_feed(struct charset_decoder *decoder, struct slice piece, struct buffer *text);

/* Ends the input: an incomplete character becomes U+FFFD. */
void charset_decoder_finish(struct charset_decoder *decoder, struct buffer *text);

/* Decodes a whole text at once. */
void charset_decode(const struct charset *charset, struct slice octets, struct buffer *text);

#endif
