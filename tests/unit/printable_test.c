/* Promises of common/text/printable.h. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "common/text/printable.h"

static void what_a_terminal_obeys_is_not_shown(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"plain ~", "plain ~"},
        {"a\x1b[31m\x7f\r\n", "a?[31m???"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xa8",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xa8"},
        {"\xc2\x9b"
         "31m",
         "??31m"},                           /* CSI as one character */
        {"\xff\xfe", "??"},                  /* no UTF-8 */
        {"\xc3", "?"},                       /* cut */
        {"\xc0\xaf \xe0\x80\xaf", "?? ???"}, /* longer than needed */
        {"\xed\xa0\x80", "???"},             /* a surrogate */
        {"\xf4\x90\x80\x80", "????"},        /* above U+10FFFF */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer out = BUFFER_WITH_LIMIT(100);
        printable_append(slice_of_string(cases[i].text), &out);
        assert_slice_is(buffer_slice(&out), cases[i].shown);
        buffer_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_a_terminal_obeys_is_not_shown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
