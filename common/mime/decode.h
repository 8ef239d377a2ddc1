/*
 * Decodes Content-Transfer-Encodings (RFC 2045 6), in pieces of any size. Nothing is an error:
 * invalid quoted-printable or base64 is handled as the RFC advises. Pure; any process.
 */
#ifndef COMMON_MIME_DECODE_H
#define COMMON_MIME_DECODE_H

#include "common/buffer.h"

enum decode_encoding {
    DECODE_IDENTITY, /* 7bit, 8bit, binary and unknown encodings */
    DECODE_QUOTED_PRINTABLE,
    DECODE_BASE64,
};

/* False: not an encoding of RFC 2045 6.1, so DECODE_IDENTITY would misrepresent the content. */
bool decode_encoding_is_known(struct slice name);

/* The value of Content-Transfer-Encoding, without comments. */
enum decode_encoding decode_encoding_find(struct slice name);

/* A run of white space longer than the maximum line (RFC 2045 6.7, rule 5) counts as text. */
enum { DECODE_HELD_LIMIT = 76 };

enum decode_state {
    DECODE_TEXT,    /* nothing is held */
    DECODE_SPACE,   /* white space is held: it is dropped at the end of a line (rule 3) */
    DECODE_ESCAPE,  /* "=" is held */
    DECODE_DIGIT,   /* "=" and one hexadecimal digit */
    DECODE_SOFT,    /* "=" and white space */
    DECODE_SOFT_CR, /* "=", white space and CR */
};

struct decode {
    enum decode_encoding encoding;
    enum decode_state state; /* for quoted-printable */
    size_t held_octets;
    uint8_t held[DECODE_HELD_LIMIT];
    uint32_t bits; /* for base64 */
    unsigned bit_count;
};

void decode_init(struct decode *decode, enum decode_encoding encoding);

/* Appends the decoded octets, in total never more than the input so far; check octets->failed. */
void decode_feed(struct decode *decode, struct slice piece, struct buffer *octets);

/* Ends the input: trailing white space and a trailing "=" are dropped, a partial escape stays as it
 * is. */
void decode_finish(struct decode *decode, struct buffer *octets);

#endif
