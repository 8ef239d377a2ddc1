/* Counting and completing line ends; see line_ends.h. Pure; any process. */
#include "storage/line_ends.h"

/* The offset of the first LF without CR in the block; block.len: none. */
static size_t find_bare_lf(struct line_ends *ends, struct slice block)
{
    for (size_t at = 0; at < block.len; at++) {
        at += slice_find_octet(slice_from(block, at), '\n');
        if (at == block.len)
            break;
        if (at > 0 ? block.ptr[at - 1] != '\r' : !ends->after_cr)
            return at;
    }
    return block.len;
}

void line_ends_count(struct line_ends *ends, struct slice block)
{
    while (block.len > 0) {
        size_t at = find_bare_lf(ends, block);
        if (at == block.len) {
            ends->after_cr = block.ptr[block.len - 1] == '\r';
            return;
        }
        ends->bare_lf++;
        ends->after_cr = false;
        block = slice_from(block, at + 1);
    }
}

size_t line_ends_to_crlf(struct line_ends *ends, struct slice block, size_t *used, uint8_t *out,
                         size_t size)
{
    size_t written = 0;
    *used = 0;
    while (*used < block.len && written < size) {
        struct slice rest = slice_from(block, *used);
        size_t run = find_bare_lf(ends, rest);
        if (run > size - written)
            run = size - written;
        if (run > 0) {
            memcpy(out + written, rest.ptr, run);
            ends->after_cr = rest.ptr[run - 1] == '\r';
            written += run;
            *used += run;
            continue;
        }
        /* At an LF without CR: the CR now; then the LF has one, and goes with the next run. */
        out[written++] = '\r';
        ends->bare_lf++;
        ends->after_cr = true;
    }
    return written;
}
