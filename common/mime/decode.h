/*
 * Content-Transfer-Encodings undone (RFC 2045 6), in pieces of any size. Nothing is an error: what
 * quoted-printable or base64 do not allow is taken as the RFC advises readers to. Pure; any
 * process.
 */
#ifndef COMMON_MIME_DECODE_H
#define COMMON_MIME_DECODE_H

#include "common/buffer.h"

enum decode_encoding {
    DECODE_IDENTITY, /* 7bit, 8bit, binary, and any that is not known */
    DECODE_QUOTED_PRINTABLE,
    DECODE_BASE64,
};

/* False: no encoding of RFC 2045 6.1, of which DECODE_IDENTITY would make something it is not. */
bool decode_encoding_is_known(struct slice name);

/* The value of Content-Transfer-Encoding, without comments. */
enum decode_encoding decode_encoding_find(struct slice name);

/* A run of white space longer than a line may be (RFC 2045 6.7, rule 5) is taken for text. */
enum { DECODE_HELD_LIMIT = 76 };

enum decode_state {
    DECODE_TEXT,    /* nothing is held */
    DECODE_SPACE,   /* white space is held: at a line's end it does not count (rule 3) */
    DECODE_ESCAPE,  /* "=" is held */
    DECODE_DIGIT,   /* "=" and one hexadecimal digit */
    DECODE_SOFT,    /* "=" and white space */
    DECODE_SOFT_CR, /* the same and CR */
};

struct decode {
    enum decode_encoding encoding;
    enum decode_state state; /* of quoted-printable */
    size_t held_octets;
    uint8_t held[DECODE_HELD_LIMIT];
    uint32_t bits; /* of base64 */
    unsigned bit_count;
};

void decode_init(struct decode *decode, enum decode_encoding encoding);

/* Appends the decoded octets, never more than came in so far; look at octets->failed. */
void decode_feed(struct decode *decode, struct slice piece, struct buffer *octets);

/* The end: white space and a "=" that end the text do not count, half an escape stays as it is. */
void decode_finish(struct decode *decode, struct buffer *octets);

#endif
