/* Promises of common/mime: charset.h, decode.h, encoded_word.h. */
#include "tests/unit/test.h"

#include <iconv.h>

#include <unistr.h>

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
    {"csISOLatin2", "\xb1", "\xc4\x85"},
    {"gb2312", "\xc4\xe3\xba\xc3<", "\xe4\xbd\xa0\xe5\xa5\xbd<"},
    {"gb18030", "\x81\x30\x81\x30\x90\x30\x81\x30", "\xc2\x80\xf0\x90\x80\x80"},
    {"gb18030", "\x81\x30|\x81\x30\x81|", FFFD "|" FFFD "|"},
    {"big5", "\xa7\x41\xa6<", "\xe4\xbd\xa0" FFFD "<"}, /* a cut character takes nothing along */
    {"euc-jp", "\xa4\xa2\x8e\xb1\x8f\xb0\xa1", "\xe3\x81\x82\xef\xbd\xb1\xe4\xb8\x82"},
    {"shift_jis", "\x82\xa0\xb1", "\xe3\x81\x82\xef\xbd\xb1"},
    {"euc-kr", "\xb0\xa1", "\xea\xb0\x80"},
    /* RFC 1468; the second without the way back, as lines may come */
    {"iso-2022-jp", "a\x1b$B$\"\x1b(Bb",
     "a\xe3\x81\x82"
     "b"},
    {"iso-2022-jp", "\x1b$B$\"\r\na", "\xe3\x81\x82\r\na"},
    {"iso-2022-jp", "\x1b(I1\x1b(B\x1bX", "\xef\xbd\xb1" FFFD},
    {"iso-2022-kr",
     "\x1b$)C\x0e"
     "0!"
     "\x0f"
     "a",
     "\xea\xb0\x80"
     "a"},                                           /* RFC 1557 */
    {"hz-gb-2312", "a~{Dc~}~~b", "a\xe4\xbd\xa0~b"}, /* RFC 1843 */
    /* RFC 2152 */
    {"utf-7", "Hi Mom +Jjo--+-", "Hi Mom \xe2\x98\xba-+"},
    {"utf-7", "+2D3eAA-", "\xf0\x9f\x98\x80"},
    {"utf-7", "+ZeVnLIqe!", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e!"},
    {"utf-16le", "a\x20\x3d\xd8\x01\xde\x3d\xd8|", "\xe2\x81\xa1\xf0\x9f\x98\x81" FFFD},
    {"utf-16be", "\x20\x61\xd8\x3d\xde\x01", "\xe2\x81\xa1\xf0\x9f\x98\x81"},
    {"utf-16", "\xff\xfe\x61\x20", "\xe2\x81\xa1"},
    {"utf-16", "\xfe\xff\x20\x61", "\xe2\x81\xa1"},
    {"utf-16", "\x20\x61\xde\x01", "\xe2\x81\xa1" FFFD},
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
    assert_null(charset_find(SLICE("utf-9")));
    assert_null(charset_find(SLICE(" ")));
    assert_null(charset_find(SLICE("latin1 l1")));
    assert_null(charset_find(SLICE("")));
}

/* What iconv(3) makes of it; false: nothing, or not one character. */
static bool ask_iconv(iconv_t iconv_charset, const uint8_t *octets, size_t count, char utf8[16],
                      size_t *len)
{
    char in[4];
    char *from = in, *to = utf8;
    size_t left = count, room = 16;
    memcpy(in, octets, count);
    iconv(iconv_charset, NULL, NULL, NULL, NULL);
    bool known = iconv(iconv_charset, &from, &left, &to, &room) != (size_t)-1 && left == 0
                 && iconv(iconv_charset, NULL, NULL, &to, &room) != (size_t)-1;
    *len = 16 - room;
    return known && u8_mbsnlen((const uint8_t *)utf8, *len) == 1;
}

static void check_octets(const char *name, iconv_t iconv_charset, const uint8_t *octets,
                         size_t count)
{
    struct buffer text = BUFFER_WITH_LIMIT(16);
    char utf8[16];
    size_t len;
    if (count == 2 && ask_iconv(iconv_charset, octets, 1, utf8, &len))
        return; /* two characters; some of Hebrew and Vietnamese iconv puts together */
    /* Tables end at U+FFFF: six rare characters that GB18030 has by two octets are not in it. */
    if (!ask_iconv(iconv_charset, octets, count, utf8, &len) || len > 3)
        return;
    charset_decode(charset_find(slice_of_string(name)), slice_of(octets, count), &text);
    if (!slice_equal(buffer_slice(&text), slice_of(utf8, len)))
        fail_msg("%s %02x %02x", name, octets[0], octets[1]);
    buffer_clear(&text);
}

/* Each octet, each pair; of GB18030 and EUC-JP the longer ones too. */
static void characters_are_those_of_iconv(void **state)
{
    (void)state;
    struct buffer names = BUFFER_WITH_LIMIT(4096);
    charset_append_names(&names);
    buffer_append_octet(&names, '\0');
    char *rest = (char *)names.ptr, *name;
    while ((name = strsep(&rest, " "))) {
        bool shifts = strncmp(name, "UTF", 3) == 0 || strncmp(name, "ISO-2022", 8) == 0
                      || strncmp(name, "HZ", 2) == 0;
        const char *called = strcmp(name, "EUC-KR") == 0 ? "UHC" : name;
        iconv_t iconv_charset = shifts ? (iconv_t)-1 : iconv_open("UTF-8", called);
        if (shifts)
            continue;
        assert_true(iconv_charset != (iconv_t)-1);
        for (unsigned i = 0x8000; i < 0x10000; i++) { /* below is ASCII, in Shift_JIS too */
            const uint8_t octets[] = {(uint8_t)(i >> 8), (uint8_t)i};
            check_octets(name, iconv_charset, octets, (i & 0xff) == 0 ? 1 : 2);
        }
        for (unsigned i = 0; i < 39420 && strcmp(name, "GB18030") == 0; i++) {
            const uint8_t octets[] = {(uint8_t)(0x81 + i / 12600), (uint8_t)(0x30 + i / 1260 % 10),
                                      (uint8_t)(0x81 + i / 10 % 126), (uint8_t)(0x30 + i % 10)};
            check_octets(name, iconv_charset, octets, 4);
        }
        for (unsigned i = 0; i < 0x10000 && strcmp(name, "EUC-JP") == 0; i++) {
            const uint8_t octets[] = {0x8f, (uint8_t)(i >> 8), (uint8_t)i};
            check_octets(name, iconv_charset, octets, 3);
        }
        iconv_close(iconv_charset);
    }
    buffer_clear(&names);
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
        cmocka_unit_test(characters_are_those_of_iconv),
        cmocka_unit_test(encodings_are_undone_however_they_are_cut),
        cmocka_unit_test(long_white_space_is_text),
        cmocka_unit_test(encoded_words_become_utf8),
        cmocka_unit_test(hostile_words_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
