/* Promises of common/text/modified_utf7.h: one canonical form for each name. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "common/text/modified_utf7.h"

static const struct {
    const char *utf8;
    const char *text;
} pairs[] = {
    {"", ""},
    {"INBOX", "INBOX"},
    {"AT&T", "AT&-T"},
    {"&&", "&-&-"},
    {"Entwürfe", "Entw&APw-rfe"},
    {"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"}, /* RFC 3501 5.1.3 */
    {"ü&ü", "&APw-&-&APw-"},
    {"\xf0\x9f\x93\xac", "&2D3c7A-"}, /* surrogate pair */
    {"\xf0\x9f\x93\xac!", "&2D3c7A-!"},
    {"a\tb\x7f", "a&AAk-b&AH8-"},
    {"\xef\xbf\xbf", "&,,8-"},
};

static const char *const not_canonical[] = {
    "AT&T",               /* unended */
    "&",                  /* the same */
    "&AGE-",              /* "a" stands for itself */
    "&ACY-",              /* so does "&", as "&-" */
    "&U,BTFw-&ZeVnLIqe-", /* two shifts that should be one */
    "&APw",               /* unended */
    "&APx-",              /* bits left over */
    "&APwA-",             /* six bits too many */
    "&AP-",               /* a unit cut short */
    "&A-",
    "&2D0-", /* lone high surrogate */
    "&3Kw-", /* lone low surrogate */
    "&2D0A,A-",
    "&AAA-", /* NUL */
    "&AP/-", /* "/" is not of this alphabet */
    "&A=w-",
    "Entw\xc3\xbcrfe", /* 8 bits */
    "a\tb",
};

static void pairs_are_inverse(void **state)
{
    (void)state;
    struct buffer out = BUFFER_WITH_LIMIT(1000);
    for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
        buffer_reset(&out);
        assert_true(modified_utf7_encode(slice_of_string(pairs[i].utf8), &out));
        assert_slice_is(buffer_slice(&out), pairs[i].text);
        buffer_reset(&out);
        assert_true(modified_utf7_decode(slice_of_string(pairs[i].text), &out));
        assert_slice_is(buffer_slice(&out), pairs[i].utf8);
    }
    buffer_clear(&out);
}

static void other_forms_are_refused(void **state)
{
    (void)state;
    struct buffer out = BUFFER_WITH_LIMIT(1000);
    for (size_t i = 0; i < ARRAY_LENGTH(not_canonical); i++) {
        print_message("%s\n", not_canonical[i]);
        assert_false(modified_utf7_decode(slice_of_string(not_canonical[i]), &out));
    }
    assert_false(modified_utf7_encode(SLICE("a\0b"), &out));
    assert_false(modified_utf7_encode(SLICE("a\xff"), &out));
    assert_false(modified_utf7_encode(SLICE("\xed\xa0\x80"), &out)); /* a surrogate in UTF-8 */
    buffer_clear(&out);
}

static void a_separator_is_shifted(void **state)
{
    (void)state;
    struct buffer out = BUFFER_WITH_LIMIT(1000);
    assert_true(modified_utf7_encode_without(SLICE("v1.2ü"), '.', &out));
    assert_slice_is(buffer_slice(&out), "v1&AC4-2&APw-");
    buffer_reset(&out);
    assert_true(modified_utf7_decode_without(SLICE("v1&AC4-2&APw-"), '.', &out));
    assert_slice_is(buffer_slice(&out), "v1.2ü");
    assert_false(modified_utf7_decode(SLICE("v1&AC4-2"), &out));
    assert_false(modified_utf7_decode_without(SLICE("v1.2"), '.', &out));
    buffer_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_inverse),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(a_separator_is_shifted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
