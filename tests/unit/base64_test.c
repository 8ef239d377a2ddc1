/* Promises of common/text/base64.h: RFC 4648's vectors, one text for one value. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "common/text/base64.h"

static void vectors_go_both_ways(void **state)
{
    (void)state;
    static const struct {
        struct slice octets;
        const char *text;
    } cases[] = {
        {SLICE(""), ""}, /* RFC 4648 10 */
        {SLICE("f"), "Zg=="},
        {SLICE("fo"), "Zm8="},
        {SLICE("foo"), "Zm9v"},
        {SLICE("foob"), "Zm9vYg=="},
        {SLICE("fooba"), "Zm9vYmE="},
        {SLICE("foobar"), "Zm9vYmFy"},
        {SLICE("\0\0\0"), "AAAA"},
        {SLICE("\377\377\377"), "////"},
        {SLICE("\373\357\276"), "++++"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(100);
        base64_encode(cases[i].octets, &text);
        assert_slice_is(buffer_slice(&text), cases[i].text);
        uint8_t octets[16];
        size_t len = 0;
        assert_true(base64_decode(buffer_slice(&text), octets, cases[i].octets.len, &len));
        assert_slice_equal(slice_of(octets, len), cases[i].octets);
        buffer_clear(&text);
    }
}

static void only_the_canonical_text_is_taken(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "Z",        "Zg",       "Zg=",  "Zg===", "=",    "==",     "====",     /* padding */
        "Zg==Zg==", "Zm8=Zm8=", "Z=g=", "Zh==",  "Zm9=", "Zm9v\n", "Zm9v\r\n", /* left-over bits */
        " Zm9v",    "Zm 9",     "Zm9-", "Zm9_",  "Zm9*", "*",      "Z===",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        uint8_t octets[16];
        size_t len = 99;
        if (base64_decode(slice_of_string(cases[i]), octets, sizeof(octets), &len))
            fail_msg("\"%s\" was decoded", cases[i]);
        assert_int_equal(len, 99);
    }
}

static void a_value_longer_than_the_room_is_refused(void **state)
{
    (void)state;
    uint8_t octets[3];
    size_t len;
    assert_true(base64_decode(SLICE("Zm9v"), octets, 3, &len));
    assert_false(base64_decode(SLICE("Zm9v"), octets, 2, &len));
    assert_true(base64_decode(SLICE("Zm8="), octets, 2, &len));
    assert_true(base64_decode(SLICE(""), NULL, 0, &len));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_go_both_ways),
        cmocka_unit_test(only_the_canonical_text_is_taken),
        cmocka_unit_test(a_value_longer_than_the_room_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
