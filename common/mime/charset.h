/*
 * Character sets of mail, to UTF-8, in pieces of any size. What a charset has no character for
 * becomes U+FFFD, so that the output is valid UTF-8 whatever comes in. A further charset is a
 * further row in charset_lists.h or charset.c. Pure; any process.
 */
#ifndef COMMON_MIME_CHARSET_H
#define COMMON_MIME_CHARSET_H

#include "common/buffer.h"

struct charset;

/* By its IANA name or an alias of it, in any case. NULL: not known here. */
const struct charset *charset_find(struct slice name);

/* "UTF-8", and what is taken for text that names no charset (RFC 2045 5.2). */
const struct charset *charset_utf8(void);
const struct charset *charset_ascii(void);

/* All that are known here, with a space between them, for BADCHARSET. */
void charset_append_names(struct buffer *text);

struct charset_decoder {
    const struct charset *charset;
    uint8_t held[4]; /* the beginning of a character whose end is in the next piece */
    size_t held_octets;
    uint32_t shift;     /* of charsets that shift: between which, charset.c knows */
    uint32_t surrogate; /* the first half of a pair; 0: none */
    uint32_t bits;      /* of UTF-7: what base64 has given, the last bit_count of them */
    uint32_t bit_count;
};

void charset_decoder_init(struct charset_decoder *decoder, const struct charset *charset);

/* Appends UTF-8, at most three octets for each that came in; look at text->failed. */
void charset_decoder_feed(struct charset_decoder *decoder, struct slice piece, struct buffer *text);

/* The end: a character that was cut short becomes U+FFFD. */
void charset_decoder_finish(struct charset_decoder *decoder, struct buffer *text);

/* A whole text at once. */
void charset_decode(const struct charset *charset, struct slice octets, struct buffer *text);

#endif
