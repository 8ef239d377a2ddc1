/* Promises of pop3d/command.h and pop3d/dots.h. */
#include "tests/unit/test.h"

#include "common/buffer.h"
#include "common/size.h"
#include "pop3d/command.h"
#include "pop3d/dots.h"

static const struct {
    const char *line;
    enum maildrop_verb verb;
    bool valid;
    bool has_message;
    uint64_t message, lines;
    const char *argument;
} commands[] = {
    {"STAT", MAILDROP_STAT, true, false, 0, 0, ""},
    {"stat", MAILDROP_STAT, true, false, 0, 0, ""},
    {"LIST", MAILDROP_LIST, true, false, 0, 0, ""},
    {"LIST 3", MAILDROP_LIST, true, true, 3, 0, ""},
    {"UIDL 0", MAILDROP_UIDL, true, true, 0, 0, ""},
    {"RETR 18446744073709551615", MAILDROP_RETR, true, true, UINT64_MAX, 0, ""},
    {"Dele 007", MAILDROP_DELE, true, true, 7, 0, ""},
    {"TOP 1 0", MAILDROP_TOP, true, true, 1, 0, ""},
    {"TOP 1 10", MAILDROP_TOP, true, true, 1, 10, ""},
    {"NOOP", MAILDROP_NOOP, true, false, 0, 0, ""},
    {"RSET", MAILDROP_RSET, true, false, 0, 0, ""},
    {"QUIT", MAILDROP_QUIT, true, false, 0, 0, ""},
    {"CAPA", MAILDROP_CAPA, true, false, 0, 0, ""},
    {"LANG", MAILDROP_LANG, true, false, 0, 0, ""},
    {"LANG i-default", MAILDROP_LANG, true, false, 0, 0, "i-default"},
    {"USER a b", MAILDROP_EARLY, true, false, 0, 0, ""},
    {"STLS", MAILDROP_EARLY, true, false, 0, 0, ""},
    {"", MAILDROP_UNKNOWN, true, false, 0, 0, ""},
    {" STAT", MAILDROP_UNKNOWN, true, false, 0, 0, ""},
    {"STATS", MAILDROP_UNKNOWN, true, false, 0, 0, ""},
    {"STAT ", MAILDROP_STAT, false, false, 0, 0, ""},
    {"QUIT now", MAILDROP_QUIT, false, false, 0, 0, ""},
    {"RETR", MAILDROP_RETR, false, false, 0, 0, ""},
    {"RETR ", MAILDROP_RETR, false, false, 0, 0, ""},
    {"RETR  1", MAILDROP_RETR, false, false, 0, 0, ""},
    {"RETR 1 ", MAILDROP_RETR, false, false, 0, 0, ""},
    {"RETR +1", MAILDROP_RETR, false, false, 0, 0, ""},
    {"RETR 18446744073709551616", MAILDROP_RETR, false, false, 0, 0, ""},
    {"LIST ", MAILDROP_LIST, false, false, 0, 0, ""},
    {"LIST x", MAILDROP_LIST, false, false, 0, 0, ""},
    {"TOP 1", MAILDROP_TOP, false, true, 1, 0, ""},
    {"TOP 1 ", MAILDROP_TOP, false, true, 1, 0, ""},
    {"TOP 1 x", MAILDROP_TOP, false, true, 1, 0, ""},
    {"TOP 1 2 3", MAILDROP_TOP, false, true, 1, 0, ""},
};

static void commands_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        struct maildrop_command command;
        const char *wrong;
        print_message("\"%s\"\n", commands[i].line);
        assert_int_equal(
            maildrop_command_parse(slice_of_string(commands[i].line), &command, &wrong),
            commands[i].valid);
        assert_int_equal(command.verb, commands[i].verb);
        if (!commands[i].valid)
            continue;
        assert_int_equal(command.has_message, commands[i].has_message);
        assert_int_equal(command.message, commands[i].message);
        assert_int_equal(command.lines, commands[i].lines);
        assert_slice_is(command.argument, commands[i].argument);
    }
}

static const struct {
    const char *message;
    const char *stuffed;
} dots[] = {
    {"", ""},
    {".", ".."},
    {"a.b\r\n.\r\n..\r\n", "a.b\r\n..\r\n...\r\n"},
    {".\r\n.\r\n", "..\r\n..\r\n"},
    {"\r\n.", "\r\n.."},
    {"a\n.b", "a\n..b"},
    {"a\r.b", "a\r.b"},
};

/* As the sender does, in blocks of each size. */
static void append_stuffed(struct buffer *out, struct slice message, size_t size)
{
    bool at_line_start = true;
    while (message.len > 0) {
        struct slice block = slice_range(message, 0, size);
        size_t dot = dots_find(block, at_line_start);
        buffer_append(out, slice_range(block, 0, dot));
        if (dot > 0)
            at_line_start = block.ptr[dot - 1] == '\n';
        if (dot < block.len) {
            buffer_append(out, SLICE(".."));
            at_line_start = false;
            dot++;
        }
        message = slice_from(message, dot);
    }
}

static void dots_are_found_however_split(void **state)
{
    (void)state;
    struct buffer out = BUFFER_WITH_LIMIT(1000);
    for (size_t i = 0; i < ARRAY_LENGTH(dots); i++)
        for (size_t size = 1; size < 20; size++) {
            buffer_reset(&out);
            append_stuffed(&out, slice_of_string(dots[i].message), size);
            assert_slice_is(buffer_slice(&out), dots[i].stuffed);
        }
    buffer_clear(&out);
}

static const struct {
    const char *message;
    uint64_t lines;
    const char *top;
} tops[] = {
    {"A: b\r\n\r\none\r\ntwo\r\n", 0, "A: b\r\n\r\n"},
    {"A: b\r\n\r\none\r\ntwo\r\n", 1, "A: b\r\n\r\none\r\n"},
    {"A: b\r\n\r\none\r\ntwo\r\n", 2, "A: b\r\n\r\none\r\ntwo\r\n"},
    {"A: b\r\n\r\none\r\ntwo", 2, "A: b\r\n\r\none\r\ntwo"},
    {"A: b\r\n\r\none\r\ntwo\r\n", UINT64_MAX, "A: b\r\n\r\none\r\ntwo\r\n"},
    {"A: b\r\n\r\n\r\n\r\nx\r\n", 1, "A: b\r\n\r\n\r\n"},
    {"\r\none\r\n", 0, "\r\n"},
    {"A: b\r\n", 0, "A: b\r\n"},
    {"A: b\n\none\ntwo\n", 1, "A: b\n\none\n"},
    {"A: b\r\nx\r\r\n\r\none\r\n", 0, "A: b\r\nx\r\r\n\r\n"},
    {"A\r\n\r\r\n\r\none\r\n", 0, "A\r\n\r\r\n\r\n"},
    {"", 5, ""},
};

static void top_ends_where_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(tops); i++)
        for (size_t size = 1; size < 20; size++) {
            struct slice message = slice_of_string(tops[i].message);
            struct top top = top_begin(tops[i].lines);
            size_t end = 0;
            while (end < message.len && !top_is_done(&top))
                end += top_take(&top, slice_range(message, end, end + size));
            assert_slice_is(slice_range(message, 0, end), tops[i].top);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_exact),
        cmocka_unit_test(dots_are_found_however_split),
        cmocka_unit_test(top_ends_where_it_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
