/*
 * Converts a message with parts in the encoding "binary" (RFC 2045 6.2): those parts become base64,
 * their enclosing parts 8bit, and every other octet is unchanged. Input comes in pieces of any size
 * and output is produced as it arrives; memory is that of the scan (scan.h), one header and one
 * possible boundary line. For APPEND with a literal8 (RFC 3516 4.4) and for BODY=BINARYMIME (RFC
 * 3030 3). Pure but for memory; any process.
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
    BINARY_ENCODE_BOUNDARY_LIMIT = 1000,  /* longer lines are not boundaries: scan.c */
    BINARY_ENCODE_LINE_OCTETS = 57,       /* 76 of base64, RFC 2045 6.8 */
};

enum binary_problem {
    BINARY_FINE,
    BINARY_NUL, /* a NUL outside of a binary part: it cannot be represented */
    BINARY_HEADER_TOO_LONG,
    BINARY_BOUNDARY_TOO_LONG,
    BINARY_NO_MEMORY, /* temporary */
};

struct binary_encode {
    struct arena arena; /* of the scan */
    struct mime_scan scan;
    enum binary_problem problem; /* sticky */
    struct buffer header;        /* of the part whose header is being read */
    size_t header_line;          /* offset in `header` of its last line */
    struct buffer held;          /* a body line that may be a boundary */
    bool in_line;                /* the current line is not a boundary */
    bool encoding;               /* the innermost part is binary */
    uint8_t line_end[2]; /* line end of the part's last line, which may belong to a boundary */
    size_t line_end_octets;
    uint8_t rest[BINARY_ENCODE_LINE_OCTETS]; /* of a line of base64 */
    size_t rest_octets;
    bool any_line; /* a line of base64 was written for this part */
};

void binary_encode_init(struct binary_encode *encode, const struct mime_limits *limits);

/* Append the output: at most twice the input, plus what was held. After a failure only
 * binary_encode_clear() may follow. */
enum binary_problem binary_encode_feed(struct binary_encode *encode, struct slice piece,
                                       struct buffer *out);
enum binary_problem binary_encode_finish(struct binary_encode *encode, struct buffer *out);
void binary_encode_clear(struct binary_encode *encode); /* may run twice */

const char *binary_problem_text(enum binary_problem problem);

#endif
