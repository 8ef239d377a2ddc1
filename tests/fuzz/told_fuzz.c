/* imapd/shared/told.h: what another account's process says of a mailbox, cut as answer.h does. A
 * mailbox has that name, and no octet that ends a line is outside of a literal but the last. */
#include <stdlib.h>

#include "imapd/shared/answer.h"
#include "imapd/shared/told.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The octets of literals left out. */
static bool is_one(struct slice text, struct buffer *lines)
{
    struct answer answer;
    size_t taken;
    check(answer_init(&answer, SLICE("c")));
    while (text.len > 0) {
        enum answer_part part = answer_next(&answer, text, &taken);
        if (part != ANSWER_TEXT && part != ANSWER_LITERAL)
            return false;
        if (part == ANSWER_TEXT)
            buffer_append(lines, slice_range(text, 0, taken));
        text = slice_from(text, taken);
        if (text.len > 0 && answer_is_between_lines(&answer))
            return false;
    }
    return answer_is_between_lines(&answer);
}

static void check_lines(struct slice lines)
{
    size_t at;
    while ((at = slice_find_octet(lines, '\n')) + 1 < lines.len) {
        check(at >= 2 && lines.ptr[at - 1] == '\r' && lines.ptr[at - 2] == '}');
        lines = slice_from(lines, at + 1);
    }
    check(slice_ends_with(lines, SLICE("\r\n")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    struct buffer lines = BUFFER_WITH_LIMIT(size + 1);
    struct arena arena;
    bool one = is_one(slice_of(data, size), &lines);
    for (int form = MAILBOX_NAME_UTF7; one && form <= MAILBOX_NAME_UTF8; form++) {
        arena_init(&arena, 1 << 20);
        if (told_parse(slice_of(data, size), (enum mailbox_name_form)form, &arena, &name)
                != TOLD_OTHER
            || told_parse_search(slice_of(data, size), SLICE("a"), (enum mailbox_name_form)form,
                                 &arena, &name)) {
            check(name.len > 0 && !name.failed);
            check_lines(buffer_slice(&lines));
        }
        arena_clear(&arena);
    }
    buffer_clear(&name);
    buffer_clear(&lines);
    return 0;
}
