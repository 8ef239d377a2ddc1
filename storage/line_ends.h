/*
 * Line ends of messages: counting the LF that lack their CR, and putting the CR in. Works on blocks
 * of any size; what a block ended with is remembered for the next. Pure; any process.
 */
#ifndef STORAGE_LINE_ENDS_H
#define STORAGE_LINE_ENDS_H

#include "common/slice.h"

struct line_ends {
    uint64_t bare_lf; /* so far: octets on disk plus these are octets with CRLF */
    bool after_cr;    /* the last octet was a CR */
};

#define LINE_ENDS_START                                                                            \
    (struct line_ends)                                                                             \
    {                                                                                              \
        0, false                                                                                   \
    }

void line_ends_count(struct line_ends *ends, struct slice block);

/* Copies from `block` into out, with a CR before each LF that has none, until the block is used up
 * or out is full. *used: octets of the block; the result: octets of out. A CR and its LF may come
 * in two calls. */
size_t line_ends_to_crlf(struct line_ends *ends, struct slice block, size_t *used, uint8_t *out,
                         size_t size);

#endif
