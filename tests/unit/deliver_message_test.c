/* Promises of smtpd/deliver/deliver_message.h. Whole records are tried by
 * tests/e2e/test_deliver.py. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "smtpd/deliver/deliver_message.h"

static const struct {
    const char *message;
    bool was_here;
} loops[] = {
    {"", false},
    {"Delivered-To: a@b.example\r\n\r\n", true},
    {"Delivered-To: a@b.example", true},
    {"X: y\r\nDELIVERED-TO:\t<A@B.Example> \r\n\r\n", true},
    {"X: y\nDelivered-To: a@b.example\n\n", true},
    {"X: y\r\n\r\nDelivered-To: a@b.example\r\n", false},
    {"\r\nDelivered-To: a@b.example\r\n", false},
    {"Delivered-To: aa@b.example\r\nDelivered-To: a@b.example.org\r\n", false},
    {"X-Delivered-To: a@b.example\r\n\r\n", false},
    {"Delivered-To : a@b.example\r\n\r\n", false},
    {"Subject: x\r\n Delivered-To: a@b.example\r\n\r\n", false},
};

static void loops_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(loops); i++)
        assert_int_equal(deliver_was_here(slice_of_string(loops[i].message), SLICE("a@b.example")),
                         loops[i].was_here);
}

static void assert_made(const struct deliver_request *request, const char *expected)
{
    struct deliver_message_pieces made;
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    deliver_make_pieces(request, SLICE("own|"), &made);
    for (size_t i = 0; i < made.count; i++)
        buffer_append(&text, made.pieces[i].octets);
    assert_slice_is(buffer_slice(&text), expected);
    buffer_clear(&text);
}

static void cuts_are_left_out(void **state)
{
    (void)state;
    const struct filter_cut cuts[] = {{0, 2}, {4, 1}, {5, 1}, {8, 2}};
    struct deliver_request request = {
        .prefix = SLICE("prefix|"), .body = SLICE("0123456789"), .body_fd = -1, .body_octets = 10};
    assert_made(&request, "own|prefix|0123456789");
    request.cuts = slice_of(cuts, sizeof(cuts));
    assert_made(&request, "own|prefix|2367");
    const struct filter_cut all = {0, 10};
    request.cuts = slice_of(&all, sizeof(all));
    assert_made(&request, "own|prefix|");
}

static void own_fields_are_trace_fields(void **state)
{
    (void)state;
    struct deliver_request request = {.reverse_path = SLICE("x@y.example")};
    struct buffer own = BUFFER_WITH_LIMIT(1000);
    deliver_own_fields(&request, SLICE("a@b.example"), &own);
    assert_slice_is(buffer_slice(&own),
                    "Return-Path: <x@y.example>\r\nDelivered-To: a@b.example\r\n");
    buffer_clear(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_are_found),
        cmocka_unit_test(cuts_are_left_out),
        cmocka_unit_test(own_fields_are_trace_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
