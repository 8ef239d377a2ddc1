/* Promises of common/mime/binary_encode.h. */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "common/mime/binary_encode.h"
#include "common/size.h"

#define CTE "Content-Transfer-Encoding: "
#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n"

static const struct encode_case {
    struct slice message;
    struct slice made; /* NULL: the same */
    enum binary_problem problem;
} cases[] = {
    {SLICE(""), SLICE(""), BINARY_FINE},
    {SLICE("a: b\r\n\r\n--b\r\ntext\r\n"), {NULL, 0}, BINARY_FINE},
    {SLICE("a: b"), {NULL, 0}, BINARY_FINE},
    {SLICE(CTE "binary\r\n\r\n"), SLICE(CTE "base64\r\n\r\n"), BINARY_FINE},
    {SLICE(CTE "binary"), SLICE(CTE "base64\r\n"), BINARY_FINE},
    {SLICE(CTE "8bit\r\n\r\n\xff\n\r"), {NULL, 0}, BINARY_FINE},
    /* RFC 2045 6.8; the message's last line end is content, no boundary follows */
    {SLICE(CTE "binary\r\n\r\n\0\1\r\n"), SLICE(CTE "base64\r\n\r\nAAENCg==\r\n"), BINARY_FINE},
    {SLICE(CTE "binary\r\n\r\n\0"), SLICE(CTE "base64\r\n\r\nAA==\r\n"), BINARY_FINE},
    {SLICE("a: b\r\ncontent-transfer-encoding:\r\n Binary (raw)\r\nc: d\r\n\r\n\n--b\r"),
     SLICE("a: b\r\n" CTE "base64\r\nc: d\r\n\r\nCi0tYg0=\r\n"), BINARY_FINE},
    /* The line end before a boundary is not content, any other is. */
    {SLICE(MIXED CTE "binary\r\n\r\npre\r\n--b\r\n" CTE "binary\r\n\r\n\0\r\n\r\n--b\r\n\r\nx\r\n"
                     "--b\r\n" CTE "BINARY\r\n\r\n--c\n-\r\r\n--b--\r\nend\r\n"),
     SLICE(MIXED CTE "8bit\r\n\r\npre\r\n--b\r\n" CTE "base64\r\n\r\nAA0K\r\n--b\r\n\r\nx\r\n"
                     "--b\r\n" CTE "base64\r\n\r\nLS1jCi0N\r\n--b--\r\nend\r\n"),
     BINARY_FINE},
    {SLICE(MIXED "\r\n--b\r\n" CTE "binary\r\n\r\n\r\n--b--"),
     SLICE(MIXED "\r\n--b\r\n" CTE "base64\r\n\r\n\r\n--b--"), BINARY_FINE},
    {SLICE(MIXED "\r\n--b\r\n" CTE "binary\r\n\r\n--b--\r\n"),
     SLICE(MIXED "\r\n--b\r\n" CTE "base64\r\n\r\n--b--\r\n"), BINARY_FINE},
    {SLICE(MIXED "\r\n--b\r\n" CTE "binary\r\n--b--\r\n\r\nx"),
     SLICE(MIXED "\r\n--b\r\n" CTE "base64\r\n--b--\r\n\r\nx"), BINARY_FINE},
    /* A part that never ends. */
    {SLICE(MIXED "\r\n--b\r\n" CTE "binary\r\n\r\na\r\n"),
     SLICE(MIXED "\r\n--b\r\n" CTE "base64\r\n\r\nYQ0K\r\n"), BINARY_FINE},
    /* A message inside, which has a header of its own. */
    {SLICE("Content-Type: message/rfc822\r\n" CTE "binary\r\n\r\n" CTE "binary\r\n\r\na\0"),
     SLICE("Content-Type: message/rfc822\r\n" CTE "8bit\r\n\r\n" CTE "base64\r\n\r\nYQA=\r\n"),
     BINARY_FINE},
    /* Lines of 76. */
    {SLICE(CTE "binary\r\n\r\n0123456789012345678901234567890123456789012345678901234567"),
     SLICE(CTE "base64\r\n\r\nMDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw"
               "MTIzNDU2\r\nNw==\r\n"),
     BINARY_FINE},
    {SLICE("a: b\r\n\r\nx\0y\r\n"), {NULL, 0}, BINARY_NUL},
    {SLICE("a: \0\r\n\r\n"), {NULL, 0}, BINARY_NUL},
    {SLICE(MIXED "\r\n\0--b\r\n" CTE "binary\r\n\r\n\0\r\n--b--\r\n"), {NULL, 0}, BINARY_NUL},
    {SLICE(MIXED "\r\n--b\r\n" CTE "binary\r\n\r\n\0\r\n--b--\r\n\0"), {NULL, 0}, BINARY_NUL},
};

static enum binary_problem encode_in_pieces(struct slice message, size_t first, size_t others,
                                            struct buffer *out)
{
    struct binary_encode encode;
    const struct mime_limits limits = {.depth = 10, .parts = 100};
    enum binary_problem problem = BINARY_FINE;
    size_t piece = first;
    binary_encode_init(&encode, &limits);
    while (message.len > 0 && problem == BINARY_FINE) {
        problem = binary_encode_feed(&encode, slice_range(message, 0, piece), out);
        message = slice_from(message, piece < message.len ? piece : message.len);
        piece = others;
    }
    if (problem == BINARY_FINE)
        problem = binary_encode_finish(&encode, out);
    binary_encode_clear(&encode);
    return problem;
}

static void check(const struct encode_case *test, size_t first, size_t others)
{
    struct buffer out = BUFFER_WITH_LIMIT(10000);
    struct slice wanted = test->made.ptr ? test->made : test->message;
    assert_int_equal(encode_in_pieces(test->message, first, others, &out), test->problem);
    if (test->problem == BINARY_FINE)
        assert_slice_equal(buffer_slice(&out), wanted);
    buffer_clear(&out);
}

/* However it is cut. */
static void binary_parts_become_base64(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        for (size_t first = 1; first <= cases[i].message.len; first++)
            check(&cases[i], first, cases[i].message.len);
        check(&cases[i], 1, 1);
    }
}

static void fill(struct buffer *message, uint8_t octet, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        buffer_append_octet(message, octet);
}

/* A line that begins like a boundary and has no end: a bounded part of it is held. */
static void long_lines(void **state)
{
    (void)state;
    struct buffer message = BUFFER_WITH_LIMIT(10000);
    struct buffer out = BUFFER_WITH_LIMIT(20000);
    buffer_append(&message, SLICE(MIXED "\r\n--b\r\n" CTE "binary\r\n\r\n--"));
    fill(&message, 0, 3000);
    buffer_append(&message, SLICE("\r\n--b--\r\n"));
    assert_int_equal(encode_in_pieces(buffer_slice(&message), 7, 7, &out), BINARY_FINE);
    assert_true(
        slice_equal(slice_from(buffer_slice(&out), out.len - 13), SLICE("AAA=\r\n--b--\r\n")));
    buffer_reset(&message);
    buffer_append(&message, SLICE(MIXED "\r\n--b\r\n" CTE "binary\r\n\r\n--b"));
    fill(&message, ' ', 3000);
    buffer_append(&message, SLICE("\r\n"));
    assert_int_equal(encode_in_pieces(buffer_slice(&message), 7, 7, &out),
                     BINARY_BOUNDARY_TOO_LONG);
    buffer_clear(&message);
    buffer_clear(&out);
}

static void headers_are_bounded(void **state)
{
    (void)state;
    struct buffer message = BUFFER_WITH_LIMIT(BINARY_ENCODE_HEADER_LIMIT + 10);
    struct buffer out = BUFFER_WITH_LIMIT(10000);
    fill(&message, 'a', BINARY_ENCODE_HEADER_LIMIT + 1);
    assert_int_equal(encode_in_pieces(buffer_slice(&message), 1000, 1000, &out),
                     BINARY_HEADER_TOO_LONG);
    buffer_clear(&message);
    buffer_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_parts_become_base64),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(headers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
