/* Promises of smtpd/session/reply.h. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "smtpd/session/reply.h"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X500 X100 X100 X100 X100 X100

static void replies_are_formatted(void **state)
{
    (void)state;
    static const struct {
        struct smtp_reply reply;
        const char *text;
    } cases[] = {
        {{250, SLICE("2.1.0"), SLICE("Ok")}, "250 2.1.0 Ok\r\n"},
        {{220, SLICE(""), SLICE("mx.example ESMTP")}, "220 mx.example ESMTP\r\n"},
        {{334, SLICE(""), SLICE("")}, "334 \r\n"}, /* RFC 4954 4: the space must be there */
        {{250, SLICE(""), SLICE("mx.example\nPIPELINING\nSIZE 10")},
         "250-mx.example\r\n250-PIPELINING\r\n250 SIZE 10\r\n"},
        {{214, SLICE("2.0.0"), SLICE("a\n\nb")}, "214-2.0.0 a\r\n214-2.0.0 \r\n214 2.0.0 b\r\n"},
        {{550, SLICE("5.1.1"), SLICE("a\r\tb\303\274\177")}, "550 5.1.1 a??b???\r\n"},
        {{550, SLICE(""), SLICE(X500 " yyyyyyy")}, "550-" X500 "\r\n550 yyyyyyy\r\n"},
        {{550, SLICE("5.0.0"), SLICE("y " X500)}, "550-5.0.0 y\r\n550 5.0.0 " X500 "\r\n"},
        {{550, SLICE(""), SLICE(X500 "xxxxxx")}, "550 " X500 "xxxxxx\r\n"}, /* 512 octets */
        {{550, SLICE(""), SLICE(X500 "xxxxxxy")}, "550-" X500 "xxxxxx\r\n550 y\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer out = BUFFER_WITH_LIMIT(4096);
        smtp_reply_format(&cases[i].reply, &out);
        assert_slice_is(buffer_slice(&out), cases[i].text);
        buffer_clear(&out);
    }
}

static void words_of_others_get_a_code(void **state)
{
    (void)state;
    static const struct {
        uint16_t code;
        struct slice words;
        const char *enhanced;
        const char *text;
    } cases[] = {
        {550, SLICE("5.6.0 no From"), "5.6.0", "no From"},
        {451, SLICE("4.3.1 disk full"), "4.3.1", "disk full"},
        {550, SLICE("5.7.26 x"), "5.7.26", "x"},
        {451, SLICE("5.6.0 other class"), "4.0.0", "5.6.0 other class"},
        {550, SLICE("no code"), "5.0.0", "no code"},
        {550, SLICE("5.6 x"), "5.0.0", "5.6 x"},
        {550, SLICE("5.6.a x"), "5.0.0", "5.6.a x"},
        {550, SLICE("5..12 x"), "5.0.0", "5..12 x"},
        {550, SLICE(""), "5.0.0", ""},
        {250, SLICE("fine"), "2.0.0", "fine"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct smtp_reply reply = smtp_reply_of_words(cases[i].code, cases[i].words);
        assert_int_equal(reply.code, cases[i].code);
        assert_slice_is(reply.enhanced, cases[i].enhanced);
        assert_slice_is(reply.text, cases[i].text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_formatted),
        cmocka_unit_test(words_of_others_get_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
