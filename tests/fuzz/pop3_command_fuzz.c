/* Any line is a command or has a reason; dots and TOP come out the same in one block and in two. */
#include <stdlib.h>

#include "pop3d/command.h"
#include "pop3d/dots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static size_t count_dots(struct slice text, size_t split)
{
    size_t count = 0, at = 0;
    bool at_line_start = true;
    while (at < text.len) {
        struct slice block = slice_range(text, at, at < split ? split : text.len);
        size_t dot = dots_find(block, at_line_start);
        must(dot <= block.len && (dot == block.len || block.ptr[dot] == '.'));
        count += dot < block.len;
        at += dot < block.len ? dot + 1 : dot;
        at_line_start = text.ptr[at - 1] == '\n';
    }
    return count;
}

static size_t top_end(struct slice text, uint64_t lines, size_t split)
{
    struct top top = top_begin(lines);
    size_t end = 0;
    while (end < text.len && !top_is_done(&top))
        end += top_take(&top, slice_range(text, end, end < split ? split : text.len));
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct maildrop_command command;
    const char *wrong = NULL;
    struct slice text = slice_of(data, size);
    must(maildrop_command_parse(text, &command, &wrong) || wrong);
    must(command.verb <= MAILDROP_UNKNOWN);
    if (size < 2)
        return 0;
    size_t split = data[0] % size;
    must(count_dots(text, split) == count_dots(text, size));
    must(top_end(text, data[1], split) == top_end(text, data[1], size));
    return 0;
}
