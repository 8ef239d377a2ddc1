/* Promises of smtpd/session/data_stream.h: what comes out, and where the end is, for every split.
 */
#include "tests/unit/test.h"

#include "common/buffer.h"
#include "common/size.h"
#include "smtpd/session/data_stream.h"

static const struct smtp_data_rules refusing = {.size_limit = 1000, .line_limit = 1000};
static const struct smtp_data_rules keeping = {
    .size_limit = 1000, .line_limit = 1000, .keep_bare = true};
static const struct smtp_data_rules tight = {.size_limit = 8, .line_limit = 6};
static const struct smtp_data_rules tight_keeping = {
    .size_limit = 8, .line_limit = 6, .keep_bare = true};

struct data_case {
    const struct smtp_data_rules *rules;
    struct slice input;
    enum smtp_data_fault fault;
    struct slice text;  /* of the message, where there is no fault */
    const char *behind; /* what of the input is left; NULL: the end did not come */
};

/* The end of data, RFC 5321 4.1.1.4; transparency, 4.5.2. Line ends of every kind: what any of
 * sendmail, Postfix, Exim and Exchange took for the end of a message before SMTP smuggling. */
static const struct data_case data_cases[] = {
    {&refusing, SLICE(".\r\n"), SMTP_DATA_FINE, SLICE(""), ""},
    {&refusing, SLICE("\r\n.\r\n"), SMTP_DATA_FINE, SLICE("\r\n"), ""},
    {&refusing, SLICE("a\r\nb\r\n.\r\nQUIT\r\n"), SMTP_DATA_FINE, SLICE("a\r\nb\r\n"), "QUIT\r\n"},
    {&refusing, SLICE("..\r\n..a\r\n.b\r\n.\r\n"), SMTP_DATA_FINE, SLICE(".\r\n.a\r\nb\r\n"), ""},
    {&refusing, SLICE("...\r\n.\r\n"), SMTP_DATA_FINE, SLICE("..\r\n"), ""},
    {&refusing, SLICE("a.\r\n.\r\n.\r\n"), SMTP_DATA_FINE, SLICE("a.\r\n"), ".\r\n"},
    {&refusing, SLICE("\303\274\377\001\t\r\n.\r\n"), SMTP_DATA_FINE,
     SLICE("\303\274\377\001\t\r\n"), ""},
    {&refusing, SLICE("a\r\n."), SMTP_DATA_FINE, SLICE("a\r\n"), NULL},
    {&refusing, SLICE("a\r\n.\r"), SMTP_DATA_FINE, SLICE("a\r\n"), NULL},
    {&refusing, SLICE("a\r\n. \r\n.\r\n"), SMTP_DATA_FINE, SLICE("a\r\n \r\n"), ""},
    {&refusing, SLICE("a\n.\r\nb\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\r\n.\nb\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\n.\nb\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\r.\rb\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\r.\r\nb\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\r\n.\rb\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\r\n.\r\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\r\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\r\n\r.\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\n\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\0\r\n.\r\nx"), SMTP_DATA_NUL, SLICE(""), "x"},
    {&refusing, SLICE("\0\n\r\n.\r\nx"), SMTP_DATA_NUL, SLICE(""), "x"},
    {&refusing, SLICE("\n\0\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\r\0\n.\r\n\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&refusing, SLICE("a\r\n\0.\r\n.\r\nx"), SMTP_DATA_NUL, SLICE(""), "x"},
    {&refusing, SLICE("a\r\n.\0\r\n.\r\nx"), SMTP_DATA_NUL, SLICE(""), "x"},
    {&keeping, SLICE("a\n.\r\nb\r\n.\r\nx"), SMTP_DATA_FINE, SLICE("a\n.\r\nb\r\n"), "x"},
    {&keeping, SLICE("a\r\n.\nb\r\n.\r\nx"), SMTP_DATA_FINE, SLICE("a\r\n\nb\r\n"), "x"},
    {&keeping, SLICE("a\n.\n\r\n.\r\nx"), SMTP_DATA_FINE, SLICE("a\n.\n\r\n"), "x"},
    {&keeping, SLICE("a\r.\r\nb\r\n.\r\nx"), SMTP_DATA_FINE, SLICE("a\r.\r\nb\r\n"), "x"},
    {&keeping, SLICE("a\r\n.\rb\r\n.\r\nx"), SMTP_DATA_FINE, SLICE("a\r\n\rb\r\n"), "x"},
    {&keeping, SLICE("a\r\n.\r\r\n.\r\nx"), SMTP_DATA_FINE, SLICE("a\r\n\r\r\n"), "x"},
    {&keeping, SLICE("a\0\r\n.\r\nx"), SMTP_DATA_NUL, SLICE(""), "x"},
    {&tight, SLICE("1234\r\n\r\n.\r\n"), SMTP_DATA_FINE, SLICE("1234\r\n\r\n"), ""},
    {&tight, SLICE(".1234\r\n..\r\n.\r\n"), SMTP_DATA_TOO_LARGE, SLICE(""), ""},
    {&tight, SLICE(".1234\r\n.\r\n"), SMTP_DATA_FINE, SLICE("1234\r\n"), ""},
    {&tight, SLICE("12345\r\n.\r\nx"), SMTP_DATA_LINE_TOO_LONG, SLICE(""), "x"},
    {&tight, SLICE("1234\0\r\n.\r\nx"), SMTP_DATA_NUL, SLICE(""), "x"},
    {&tight, SLICE("12345\0\r\n.\r\nx"), SMTP_DATA_LINE_TOO_LONG, SLICE(""), "x"},
    {&tight, SLICE("1234\n\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&tight, SLICE("1234\r5\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&tight, SLICE("12\r\n12\r\n1\r\n.\r\nx"), SMTP_DATA_TOO_LARGE, SLICE(""), "x"},
    {&tight, SLICE("12\r\n12\r\n\n\r\n.\r\nx"), SMTP_DATA_BARE_LINE_END, SLICE(""), "x"},
    {&tight, SLICE("12\r\n12\r\n1\n\r\n.\r\nx"), SMTP_DATA_TOO_LARGE, SLICE(""), "x"},
    {&tight_keeping, SLICE("1\n\r3\r\n.\r\n"), SMTP_DATA_FINE, SLICE("1\n\r3\r\n"), ""},
    {&tight_keeping, SLICE("1\n\r34\r\n.\r\n"), SMTP_DATA_LINE_TOO_LONG, SLICE(""), ""},
    {&tight_keeping, SLICE("1234\r\r\n.\r\n"), SMTP_DATA_LINE_TOO_LONG, SLICE(""), ""},
};

/* Feeds input that ends at `ends[i]`, one after the other; says whether the end came. */
static bool feed(struct smtp_data_stream *stream, struct cursor *in, const uint8_t *const *ends,
                 size_t count, struct buffer *text)
{
    for (size_t i = 0; i < count; i++) {
        in->end = ends[i];
        struct slice piece;
        enum parse_result result;
        while ((result = smtp_data_next(stream, in, &piece)) == PARSE_MORE && piece.len > 0)
            buffer_append(text, piece);
        if (result == PARSE_DONE)
            return true;
        assert_true(cursor_at_end(in));
    }
    return false;
}

static void check_split(const struct data_case *expected, size_t first, size_t second)
{
    struct smtp_data_stream stream;
    smtp_data_begin(&stream, expected->rules);
    struct cursor in = cursor_of(expected->input);
    const uint8_t *end = in.end;
    const uint8_t *ends[] = {in.at + first, in.at + second, end};
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    bool done = feed(&stream, &in, ends, ARRAY_LENGTH(ends), &text);
    in.end = end;
    assert_int_equal(done, expected->behind != NULL);
    assert_int_equal(stream.fault, expected->fault);
    if (expected->fault == SMTP_DATA_FINE) {
        assert_slice_equal(buffer_slice(&text), expected->text);
        assert_int_equal(stream.octets, text.len);
    }
    assert_slice_is(cursor_rest(&in), done ? expected->behind : "");
    buffer_clear(&text);
}

static void data_is_the_same_for_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(data_cases); i++)
        for (size_t first = 0; first <= data_cases[i].input.len; first++)
            for (size_t second = first; second <= data_cases[i].input.len; second++)
                check_split(&data_cases[i], first, second);
}

struct chunk_case {
    const struct smtp_data_rules *rules;
    struct slice input;
    enum smtp_data_fault fault;
    struct slice text;
};

static const struct chunk_case chunk_cases[] = {
    {&refusing, SLICE(""), SMTP_DATA_FINE, SLICE("")},
    {&refusing, SLICE("a\r\n.\r\n..b\r\n"), SMTP_DATA_FINE, SLICE("a\r\n.\r\n..b\r\n")},
    {&refusing, SLICE("a"), SMTP_DATA_FINE, SLICE("a\r\n")},
    {&refusing, SLICE("a\r\n."), SMTP_DATA_FINE, SLICE("a\r\n.\r\n")},
    {&refusing, SLICE("a\r"), SMTP_DATA_BARE_LINE_END, SLICE("")},
    {&refusing, SLICE("a\rb\r\n"), SMTP_DATA_BARE_LINE_END, SLICE("")},
    {&refusing, SLICE("a\nb\r\n"), SMTP_DATA_BARE_LINE_END, SLICE("")},
    {&refusing, SLICE("a\0\r\n"), SMTP_DATA_NUL, SLICE("")},
    {&keeping, SLICE("a\r"), SMTP_DATA_FINE, SLICE("a\r\r\n")},
    {&keeping, SLICE("a\n.\r\nb"), SMTP_DATA_FINE, SLICE("a\n.\r\nb\r\n")},
    {&tight, SLICE("12345\r\n"), SMTP_DATA_LINE_TOO_LONG, SLICE("")},
    {&tight, SLICE("1234\r\n\r\n"), SMTP_DATA_FINE, SLICE("1234\r\n\r\n")},
    {&tight, SLICE("1234\r\n1"), SMTP_DATA_TOO_LARGE, SLICE("")}, /* with the CRLF added */
    {&tight_keeping, SLICE("1234\r"), SMTP_DATA_LINE_TOO_LONG, SLICE("")},
};

/* In three chunks, what comes of each in two parts. */
static void check_chunks(const struct chunk_case *expected, size_t first, size_t second)
{
    struct smtp_data_stream stream;
    smtp_data_begin_chunked(&stream, expected->rules);
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    const size_t bounds[] = {0, first, second, expected->input.len};
    for (size_t i = 0; i < 3; i++) {
        struct cursor in = cursor_of(slice_range(expected->input, bounds[i], bounds[i + 1]));
        const uint8_t *ends[] = {in.at + cursor_left(&in) / 2, in.end};
        smtp_data_begin_chunk(&stream, cursor_left(&in));
        assert_true(feed(&stream, &in, ends, ARRAY_LENGTH(ends), &text));
        in.end = ends[1];
        assert_true(cursor_at_end(&in));
    }
    buffer_append(&text, smtp_data_end_chunks(&stream));
    assert_int_equal(stream.fault, expected->fault);
    if (expected->fault == SMTP_DATA_FINE) {
        assert_slice_equal(buffer_slice(&text), expected->text);
        assert_int_equal(stream.octets, text.len);
    }
    buffer_clear(&text);
}

static void chunks_are_the_same_for_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(chunk_cases); i++)
        for (size_t first = 0; first <= chunk_cases[i].input.len; first++)
            for (size_t second = first; second <= chunk_cases[i].input.len; second++)
                check_chunks(&chunk_cases[i], first, second);
}

static void a_chunk_takes_no_more_than_its_size(void **state)
{
    (void)state;
    struct smtp_data_stream stream;
    smtp_data_begin_chunked(&stream, &refusing);
    smtp_data_begin_chunk(&stream, 3);
    struct cursor in = cursor_of(SLICE("a\r\nQUIT\r\n"));
    struct slice piece;
    assert_int_equal(smtp_data_next(&stream, &in, &piece), PARSE_MORE);
    assert_slice_is(piece, "a\r\n");
    assert_int_equal(smtp_data_next(&stream, &in, &piece), PARSE_DONE);
    assert_slice_is(cursor_rest(&in), "QUIT\r\n");
}

static void faults_have_their_replies(void **state)
{
    (void)state;
    static const struct {
        enum smtp_data_fault fault;
        uint16_t code;
        const char *enhanced;
    } cases[] = {
        {SMTP_DATA_BARE_LINE_END, 550, "5.6.11"},
        {SMTP_DATA_NUL, 550, "5.6.11"},
        {SMTP_DATA_LINE_TOO_LONG, 554, "5.6.0"},
        {SMTP_DATA_TOO_LARGE, 552, "5.3.4"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct smtp_data_stream stream;
        smtp_data_begin(&stream, &tight);
        stream.fault = cases[i].fault;
        struct buffer text = BUFFER_WITH_LIMIT(200);
        struct smtp_reply reply = smtp_data_fault_reply(&stream, &text);
        assert_int_equal(reply.code, cases[i].code);
        assert_slice_is(reply.enhanced, cases[i].enhanced);
        assert_true(reply.text.len > 0);
        buffer_clear(&text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_is_the_same_for_every_split),
        cmocka_unit_test(chunks_are_the_same_for_every_split),
        cmocka_unit_test(a_chunk_takes_no_more_than_its_size),
        cmocka_unit_test(faults_have_their_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
