/*
 * A message with parts in the encoding "binary" (RFC 2045 6.2) becomes one that mail can hold:
 * those parts are base64, what holds them is 8bit, and every other octet stays as it is. It comes
 * in pieces of any size and goes out as it comes; memory is that of the scan (scan.h), of one
 * header and of one line that may be a boundary. For APPEND with a literal8 (RFC 3516 4.4) and for
 * BODY=BINARYMIME (RFC 3030 3). Pure but for memory; any process.
 *
 *     struct binary_encode encode;
 *     binary_encode_init(&encode, &limits);
 *     while (... a piece ...)
 *         problem = binary_encode_feed(&encode, piece, &out);
 *     problem = binary_encode_finish(&encode, &out);
 *     binary_encode_clear(&encode);
 */
#ifndef COMMON_MIME_BINARY_ENCODE_H
#define COMMON_MIME_BINARY_ENCODE_H

#include "common/mime/scan.h"

enum {
    BINARY_ENCODE_HEADER_LIMIT = 1 << 20, /* octets of one header */
    BINARY_ENCODE_BOUNDARY_LIMIT = 1000,  /* longer lines are none: scan.c */
    BINARY_ENCODE_LINE_OCTETS = 57,       /* 76 of base64, RFC 2045 6.8 */
};

enum binary_problem {
    BINARY_FINE,
    BINARY_NUL, /* one outside of a binary part: nothing can hold it */
    BINARY_HEADER_TOO_LONG,
    BINARY_BOUNDARY_TOO_LONG,
    BINARY_NO_MEMORY, /* temporary */
};

struct binary_encode {
    struct arena arena; /* of the scan */
    struct mime_scan scan;
    enum binary_problem problem; /* sticky */
    struct buffer header;        /* of the part whose header comes */
    size_t header_line;          /* where its last line begins */
    struct buffer held;          /* a line of a body that may be a boundary */
    bool in_line;                /* the line at hand is none */
    bool encoding;               /* the innermost part is binary */
    uint8_t line_end[2];         /* of its last line: a boundary's, perhaps */
    size_t line_end_octets;
    uint8_t rest[BINARY_ENCODE_LINE_OCTETS]; /* of a line of base64 */
    size_t rest_octets;
    bool any_line; /* of base64 went out for this part */
};

void binary_encode_init(struct binary_encode *encode, const struct mime_limits *limits);

/* What goes out is appended, at most twice as much as came in, and what was held. After a failure
 * only the clear may follow. */
enum binary_problem binary_encode_feed(struct binary_encode *encode, struct slice piece,
                                       struct buffer *out);
enum binary_problem binary_encode_finish(struct binary_encode *encode, struct buffer *out);
void binary_encode_clear(struct binary_encode *encode); /* may run twice */

const char *binary_problem_text(enum binary_problem problem);

#endif
