/*
 * Line ends of messages: counts each LF without CR, and adds the CR. Works on blocks of any size;
 * the end of a block is remembered for the next. Pure; any process.
 */
#ifndef STORAGE_LINE_ENDS_H
#define STORAGE_LINE_ENDS_H

#include "common/slice.h"

struct line_ends {
    uint64_t bare_lf; /* number so far; plus the octets on disk, the octets with CRLF */
    bool after_cr;    /* the last octet was a CR */
};

#define LINE_ENDS_START                                                                            \
    (struct line_ends)                                                                             \
    {                                                                                              \
        0, false                                                                                   \
    }

void line_ends_count(struct line_ends *ends, struct slice block);

/* Copies from `block` to `out`, with a CR before each LF that has none, until the block is used up
 * or `out` is full. *used: octets taken from the block; returns the octets written. A CR and its LF
 * may be in two calls. */
size_t line_ends_to_crlf(struct line_ends *ends, struct slice block, size_t *used, uint8_t *out,
                         size_t size);

#endif
