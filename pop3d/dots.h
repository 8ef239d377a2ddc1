/*
 * What the multi-line answers of RETR and TOP are made of: where a dot must be doubled (RFC 1939
 * 3), and where TOP ends. Both go over a message in blocks of any size. Pure. pop3d-maildrop.
 */
#ifndef POP3D_DOTS_H
#define POP3D_DOTS_H

#include "common/slice.h"

/* Where a dot begins a line: in the block, or as its first octet after a line end before it.
 * `at_line_start` says which of both holds for the block's beginning. block.len: nowhere. */
size_t dots_find(struct slice block, bool at_line_start);

/* What a line has so far, where a block may end within it. */
enum top_line { TOP_LINE_EMPTY, TOP_LINE_CR, TOP_LINE_TEXT };

/* The header, the empty line and so many lines of the body. */
struct top {
    uint64_t lines_left;
    bool in_body;
    enum top_line line;
};

static inline struct top top_begin(uint64_t lines)
{
    return (struct top){lines, false, TOP_LINE_EMPTY};
}

/* How many octets of this block still belong to it; fewer than all: it ends there. The next block
 * goes on where this one ended. */
size_t top_take(struct top *top, struct slice block);

static inline bool top_is_done(const struct top *top)
{
    return top->in_body && top->lines_left == 0;
}

#endif
