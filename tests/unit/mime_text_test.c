/* Promises of common/mime: charset.h, decode.h, encoded_word.h. */
#include "tests/unit/test.h"

#include "common/mime/charset.h"
#include "common/mime/decode.h"
#include "common/mime/encoded_word.h"
#include "common/size.h"

#define FFFD "\xef\xbf\xbd"

static const struct {
    const char *charset;
    const char *octets;
    const char *text;
} charset_cases[] = {
    {"utf-8", "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"UTF-8", "\x80\xc0\xaf\xc1\xbf|", FFFD FFFD FFFD FFFD FFFD "|"},              /* overlong */
    {"utf8", "\xe0\x80\x80|\xed\xa0\x80|", FFFD FFFD FFFD "|" FFFD FFFD FFFD "|"}, /* surrogate */
    {"utf-8", "\xf4\x90\x80\x80\xf5", FFFD FFFD FFFD FFFD FFFD},
    {"utf-8", "\xe2\x82|\xe2\x82", FFFD "|" FFFD},
    {"utf-8", "\xf0\x9f\xc3\xbc", FFFD "\xc3\xbc"},
    {"us-ascii", "a\xff", "a" FFFD},
    {"iso-8859-1", "\x80\xa4\xe9\xff", "\xc2\x80\xc2\xa4\xc3\xa9\xc3\xbf"},
    {"ISO-8859-15", "\xa4\xe9", "\xe2\x82\xac\xc3\xa9"},
    {"windows-1252", "\x80\x81\x93", "\xe2\x82\xac" FFFD "\xe2\x80\x9c"},
};

static void charsets_become_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(charset_cases); i++) {
        struct slice octets = slice_of_string(charset_cases[i].octets);
        const struct charset *charset = charset_find(slice_of_string(charset_cases[i].charset));
        assert_non_null(charset);
        for (size_t cut = 0; cut <= octets.len; cut++) {
            struct buffer text = BUFFER_WITH_LIMIT(3 * octets.len);
            struct charset_decoder decoder;
            charset_decoder_init(&decoder, charset);
            charset_decoder_feed(&decoder, slice_range(octets, 0, cut), &text);
            charset_decoder_feed(&decoder, slice_from(octets, cut), &text);
            charset_decoder_finish(&decoder, &text);
            assert_false(text.failed);
            assert_slice_is(buffer_slice(&text), charset_cases[i].text);
            buffer_clear(&text);
        }
    }
    assert_null(charset_find(SLICE("utf-7")));
    assert_null(charset_find(SLICE("")));
}

static const struct {
    enum decode_encoding encoding;
    const char *text;
    const char *octets;
} decode_cases[] = {
    {DECODE_QUOTED_PRINTABLE, "a=3D=c3=BC b", "a=\xc3\xbc b"},
    {DECODE_QUOTED_PRINTABLE, "soft=\r\n break=\n twice= \t\r\n.", "soft break twice."},
    {DECODE_QUOTED_PRINTABLE, "trailing \t \r\nnext  \nlast  ", "trailing\r\nnext\nlast"},
    {DECODE_QUOTED_PRINTABLE, "kept=20\r\n", "kept \r\n"},
    {DECODE_QUOTED_PRINTABLE, "=XY =4 =", "=XY =4 "},
    {DECODE_QUOTED_PRINTABLE, "==41=4=41", "=A=4A"},
    {DECODE_QUOTED_PRINTABLE, "=\rx= x", "=\rx= x"},
    {DECODE_QUOTED_PRINTABLE, "=4", "=4"},
    {DECODE_BASE64, "YWJj", "abc"},
    {DECODE_BASE64, "YW\r\nJ j\tZA==", "abcd"},
    {DECODE_BASE64, "YQ==YmM=", "abc"}, /* several in a row */
    {DECODE_BASE64, "YWI", "ab"},
    {DECODE_BASE64, "Y", ""},
    {DECODE_BASE64, "-YWJj*_", "abc"},
    {DECODE_IDENTITY, "a=3D \r\n", "a=3D \r\n"},
};

static void encodings_are_undone_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(decode_cases); i++) {
        struct slice text = slice_of_string(decode_cases[i].text);
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct buffer octets = BUFFER_WITH_LIMIT(text.len);
            struct decode decode;
            decode_init(&decode, decode_cases[i].encoding);
            decode_feed(&decode, slice_range(text, 0, cut), &octets);
            decode_feed(&decode, slice_from(text, cut), &octets);
            decode_finish(&decode, &octets);
            assert_false(octets.failed);
            assert_slice_is(buffer_slice(&octets), decode_cases[i].octets);
            buffer_clear(&octets);
        }
    }
    assert_int_equal(decode_encoding_find(SLICE("BASE64")), DECODE_BASE64);
    assert_int_equal(decode_encoding_find(SLICE("Quoted-Printable")), DECODE_QUOTED_PRINTABLE);
    assert_int_equal(decode_encoding_find(SLICE("8bit")), DECODE_IDENTITY);
}

static void long_white_space_is_text(void **state)
{
    (void)state;
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    struct buffer octets = BUFFER_WITH_LIMIT(1000);
    struct decode decode;
    for (size_t i = 0; i < 500; i++)
        buffer_append_octet(&text, i % 2 ? ' ' : '\t');
    buffer_append_octet(&text, 'x');
    decode_init(&decode, DECODE_QUOTED_PRINTABLE);
    decode_feed(&decode, buffer_slice(&text), &octets);
    decode_finish(&decode, &octets);
    assert_slice_equal(buffer_slice(&octets), buffer_slice(&text));
    buffer_clear(&text);
    buffer_clear(&octets);
}

static const struct {
    const char *body;
    const char *text;
} word_cases[] = {
    {"plain text", "plain text"},
    {"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"},
    {"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld J\xc3\xb8rn Simonsen"},
    {"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= "
     "=?ISO-8859-1?b?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
     "If you can read this you understand the example."},
    /* RFC 2047 8 */
    {"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
    {"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a?=\r\n   =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a_b?=)", "(a b)"},
    {"(=?ISO-8859-1?Q?a?= =?utf-8?Q?_b?=)", "(a b)"},
    {"a =?utf-8*de?q?=C3=BC?= b", "a \xc3\xbc b"}, /* RFC 2231 5 */
    /* a character cut between words, and words amid other text */
    {"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "\xc3\xbc"},
    {"=?utf-8?q?=C3?= x =?utf-8?q?=BC?=", FFFD " x " FFFD},
    {"=?utf-8?q?=C3?= =?iso-8859-1?q?=FC?=", FFFD "\xc3\xbc"},
    {"\"=?utf-8?q?a?=\"", "\"a\""},
    {"x=?utf-8?q?a?=y", "xay"},
    {"=?utf-8?q?a?==?utf-8?q?b?=", "ab"},
    {"=?utf-8?q?"
     "?= x",
     " x"},
    {"=?utf-8?q?a=?=", "a"},
    /* what is none */
    {"=?x-unknown?q?a?= b", "=?x-unknown?q?a?= b"},
    {"=?utf-8?x?a?=", "=?utf-8?x?a?="},
    {"=?utf-8?q?a b?=", "=?utf-8?q?a b?="},
    {"=?utf-8?q?a", "=?utf-8?q?a"},
    {"=?utf-8?q?a?", "=?utf-8?q?a?"},
    {"=?=?=?", "=?=?=?"},
    {" a = b ", " a = b "},
    {"", ""},
    /* raw octets */
    {"J\xc3\xbcrgen", "J\xc3\xbcrgen"},
    {"J\xfcrgen", "J" FFFD "rgen"},
};

static void encoded_words_become_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(word_cases); i++) {
        struct slice body = slice_of_string(word_cases[i].body);
        struct buffer text = BUFFER_WITH_LIMIT(3 * body.len);
        encoded_word_decode(body, &text);
        assert_false(text.failed);
        assert_slice_is(buffer_slice(&text), word_cases[i].text);
        buffer_clear(&text);
    }
}

static void hostile_words_take_linear_time(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "=?", "=?a", "=?a?q?", "=", "?", "=?utf-8?q?", "=?utf-8?q?=C3?=", " ", "=?a?"};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        struct buffer body = BUFFER_WITH_LIMIT(4 << 20);
        struct buffer text = BUFFER_WITH_LIMIT(16 << 20);
        while (body.len < 2 << 20)
            buffer_append_string(&body, parts[i]);
        encoded_word_decode(buffer_slice(&body), &text);
        assert_false(text.failed);
        buffer_clear(&text);
        buffer_clear(&body);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(charsets_become_utf8),
        cmocka_unit_test(encodings_are_undone_however_they_are_cut),
        cmocka_unit_test(long_white_space_is_text),
        cmocka_unit_test(encoded_words_become_utf8),
        cmocka_unit_test(hostile_words_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
