/* Promises of smtpd/session/line.h, the same for every split of the input. */
#include "tests/unit/test.h"

#include "common/buffer.h"
#include "common/size.h"
#include "smtpd/session/line.h"

enum { LIMIT = 8 };

/* What the splitter says of the input, given in two parts: "[line]" or "!" for a line too long. */
static void split(struct slice text, size_t first, struct buffer *said)
{
    struct smtp_line_splitter splitter = {.scanned = 0};
    struct cursor in = {text.ptr, text.ptr + first};
    for (;;) {
        struct slice line;
        enum parse_result result = smtp_line_next(&splitter, LIMIT, &in, &line);
        if (result == PARSE_MORE) {
            assert_in_range(cursor_left(&in), 0, LIMIT - 1);
            if (in.end == text.ptr + text.len)
                return;
            in.end = first < text.len ? text.ptr + text.len : in.end;
        } else if (result == PARSE_DONE) {
            buffer_append_format(said, "[%.*s]", SLICE_PRINTF(line));
        } else {
            buffer_append_octet(said, '!');
        }
    }
}

static void only_crlf_ends_a_line(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *said;
    } cases[] = {
        {SLICE("NOOP\r\n"), "[NOOP]"},
        {SLICE("\r\n"), "[]"},
        {SLICE("a\r\nb\r\nc"), "[a][b]"},
        {SLICE("a\nb\r\n"), "[a\n]"}, /* at once, what is behind it is no command */
        {SLICE("a\nb\nc\r\nd\r\n"), "[a\n][d]"},
        {SLICE("a\n1234567890\r1234567890\r\nx\r\n"), "[a\n][x]"},
        {SLICE("a\rb\nc\r\n"), "[a\rb\n]"},
        {SLICE("12345678\nb\r\nx\r\n"), "![x]"},
        {SLICE("\n\r\n"), "[\n]"},
        {SLICE("a\rb\r\n"), "[a\rb]"},
        {SLICE("a\r\r\n"), "[a\r]"},
        {SLICE("a\n\r"), "[a\n]"},
        {SLICE("123456\r\n"), "[123456]"}, /* 8 octets in all */
        {SLICE("1234567\r\n"), "!"},
        {SLICE("1234567\r\nx\r\n"), "![x]"},
        {SLICE("12345678901234567890\r\nx\r\n"), "![x]"},
        {SLICE("1234567\r\r\r\r\r\r\nx\r\n"), "![x]"},
        {SLICE("1234567\n\n\n\n\n\n\r\nx\r\n"), "[1234567\n][x]"},
        {SLICE("\r\r\r\r\r\r\r\r\r"), ""},
        {SLICE("1234567\r"), ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        for (size_t first = 0; first <= cases[i].text.len; first++) {
            struct buffer said = BUFFER_WITH_LIMIT(100);
            split(cases[i].text, first, &said);
            assert_slice_is(buffer_slice(&said), cases[i].said);
            buffer_clear(&said);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(only_crlf_ends_a_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
