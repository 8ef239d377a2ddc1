/*
 * For the multi-line answers of RETR and TOP: finds where a dot must be doubled (RFC 1939 3), and
 * where TOP ends. Both read a message in blocks of any size. Pure. pop3d-maildrop.
 */
#ifndef POP3D_DOTS_H
#define POP3D_DOTS_H

#include "common/slice.h"

/* The offset of the first dot at the beginning of a line. `at_line_start`: the block itself begins
 * a line. block.len: there is none. */
size_t dots_find(struct slice block, bool at_line_start);

/* The contents so far of a line that may continue in the next block. */
enum top_line { TOP_LINE_EMPTY, TOP_LINE_CR, TOP_LINE_TEXT };

/* State of TOP: the header, the empty line and the first lines of the body. */
struct top {
    uint64_t lines_left;
    bool in_body;
    enum top_line line;
};

static inline struct top top_begin(uint64_t lines)
{
    return (struct top){lines, false, TOP_LINE_EMPTY};
}

/* The number of octets of this block that belong to the answer; fewer than all: it ends there.
 * Blocks must be consecutive. */
size_t top_take(struct top *top, struct slice block);

static inline bool top_is_done(const struct top *top)
{
    return top->in_body && top->lines_left == 0;
}

#endif
