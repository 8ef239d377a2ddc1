/* Finding dots to be doubled and the end of TOP; see dots.h. Pure. */
#include "pop3d/dots.h"

size_t dots_find(struct slice block, bool at_line_start)
{
    if (block.len > 0 && at_line_start && block.ptr[0] == '.')
        return 0;
    /* An LF alone counts as a line end too: a client that takes it for one must not meet a line
     * with a single dot. */
    const uint8_t *found = block.len > 0 ? memmem(block.ptr, block.len, "\n.", 2) : NULL;
    return found ? (size_t)(found - block.ptr) + 1 : block.len;
}

/* The line with these octets added. */
static enum top_line add_to_line(enum top_line line, struct slice octets)
{
    if (octets.len == 0)
        return line;
    bool is_cr = line == TOP_LINE_EMPTY && slice_equal(octets, SLICE("\r"));
    return is_cr ? TOP_LINE_CR : TOP_LINE_TEXT;
}

static void end_line(struct top *top)
{
    if (top->in_body)
        top->lines_left--;
    else
        top->in_body = top->line != TOP_LINE_TEXT;
    top->line = TOP_LINE_EMPTY;
}

size_t top_take(struct top *top, struct slice block)
{
    size_t taken = 0;
    while (taken < block.len && !top_is_done(top)) {
        struct slice rest = slice_from(block, taken);
        size_t end = slice_find_octet(rest, '\n');
        top->line = add_to_line(top->line, slice_range(rest, 0, end));
        if (end == rest.len)
            return block.len;
        end_line(top);
        taken += end + 1;
    }
    return taken;
}
