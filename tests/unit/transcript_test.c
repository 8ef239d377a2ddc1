/* Promises of what a connection keeps of what was said (smtpd/relay/transcript.h). */
#include "tests/unit/test.h"

#include "smtpd/relay/transcript.h"

static const struct line_case {
    const char *input, *shown;
} line_cases[] = {
    {"250 ok\r\n", "< 250 ok\n"},
    {"250-a\r\n250 b\r\n", "< 250-a\n< 250 b\n"},
    {"250 no end", "< 250 no end\n"},
    {"250 lf\n", "< 250 lf\\x0a\n"},
    {"250 a\rb\r\r\n", "< 250 a\\x0db\\x0d\n"},
    {"\r\n", "< \n"},
    {"250 \x1b[2J\x7f\x01\r\n", "< 250 \\x1b[2J\\x7f\\x01\n"},
    {"250 a\\b\r\n", "< 250 a\\\\b\n"},
    {"250 gr\xc3\xbc\xc3\x9f\r\n", "< 250 gr\xc3\xbc\xc3\x9f\n"},
    {"250 \xf0\x9f\x93\xac\r\n", "< 250 \xf0\x9f\x93\xac\n"},
    {"250 \xc2\x9b\r\n", "< 250 \\xc2\\x9b\n"},          /* a control: CSI */
    {"250 \xc0\x8a\r\n", "< 250 \\xc0\\x8a\n"},          /* RFC 3629 3: too long for what it is */
    {"250 \xed\xa0\x80\r\n", "< 250 \\xed\\xa0\\x80\n"}, /* a surrogate */
    {"250 \xe2\x82", "< 250 \\xe2\\x82\n"},              /* cut off */
    {"250 \xfc\r\n", "< 250 \\xfc\n"},
};

static void test_lines_are_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(line_cases) / sizeof(line_cases[0]); i++) {
        struct transcript transcript = {.omitted = 0};
        struct buffer shown = BUFFER_WITH_LIMIT(TRANSCRIPT_MAX);
        transcript_add(&transcript, TRANSCRIPT_THEIRS, slice_of_string(line_cases[i].input));
        transcript_format(&transcript, &shown);
        assert_slice_equal(buffer_slice(&shown), slice_of_string(line_cases[i].shown));
        buffer_clear(&shown);
        transcript_clear(&transcript);
    }
}

/* Plain and escaped octets alike: bounded, and what is missing is said. */
static void test_a_long_line(void **state)
{
    (void)state;
    for (int escaped = 0; escaped < 2; escaped++) {
        uint8_t line[10000];
        struct transcript transcript = {.omitted = 0};
        memset(line, escaped ? 0xff : 'x', sizeof(line));
        transcript_add(&transcript, TRANSCRIPT_THEIRS, slice_of(line, sizeof(line)));
        struct slice text = buffer_slice(&transcript.text);
        assert_in_range(text.len, TRANSCRIPT_LINE_MAX - 4, TRANSCRIPT_LINE_MAX + 64);
        struct slice says = SLICE(" octets more]\n");
        assert_true(slice_ends_with(text, says));
        transcript_clear(&transcript);
    }
}

static size_t count_lines(struct slice text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return lines;
}

/* The beginning and the end stay, whole lines of both, and one line between says what is missing.
 */
static void test_a_long_conversation(void **state)
{
    (void)state;
    struct transcript transcript = {.omitted = 0};
    size_t said = 0;
    for (unsigned i = 0; i < 3000; i++) {
        transcript_add_event(&transcript, "line %u", i);
        said += (size_t)snprintf(NULL, 0, "= line %u\n", i);
    }
    struct buffer shown = BUFFER_WITH_LIMIT(TRANSCRIPT_MAX + TRANSCRIPT_MARK_MAX);
    transcript_format(&transcript, &shown);
    struct slice text = buffer_slice(&shown);
    assert_false(shown.failed);
    assert_int_equal(transcript.text.len + transcript.omitted, said);
    assert_true(slice_starts_with(text, SLICE("= line 0\n= line 1\n")));
    assert_true(slice_ends_with(text, SLICE("\n= line 2998\n= line 2999\n")));
    size_t mark = slice_find(text, SLICE(" octets of the conversation are left out here\n"));
    assert_true(mark > TRANSCRIPT_HEAD / 2 && mark < TRANSCRIPT_HEAD + TRANSCRIPT_MARK_MAX);
    assert_int_equal(count_lines(text), count_lines(buffer_slice(&transcript.text)) + 1);
    buffer_clear(&shown);

    /* Another one behind it, and it behind another one. */
    struct transcript both = {.omitted = 0}, after = {.omitted = 0};
    transcript_add_event(&both, "first");
    transcript_join(&both, &transcript);
    transcript_add_event(&after, "last");
    transcript_join(&both, &after);
    assert_true(slice_starts_with(buffer_slice(&both.text), SLICE("= first\n= line 0\n")));
    assert_true(slice_ends_with(buffer_slice(&both.text), SLICE("= line 2999\n= last\n")));
    assert_true(both.text.len <= TRANSCRIPT_MAX);
    transcript_clear(&both);
    transcript_clear(&after);
    transcript_reset(&transcript);
    assert_true(transcript_is_empty(&transcript));
    transcript_clear(&transcript);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_shown),
        cmocka_unit_test(test_a_long_line),
        cmocka_unit_test(test_a_long_conversation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
