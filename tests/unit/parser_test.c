/* Promises of imapd/syntax/parser.h, rule by rule of RFC 3501 9. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/syntax/parser.h"
#include "storage/maildir_name.h"

enum { ARENA_LIMIT = 100000 };

typedef bool string_rule(struct imap_parser *parser, struct slice *string);

static const struct string_case {
    string_rule *rule;
    const char *text;
    const char *value; /* NULL: refused */
    const char *rest;
} strings[] = {
    {imap_parse_tag, "A1 x", "A1", " x"},
    {imap_parse_tag, "a]b x", "a]b", " x"},
    {imap_parse_tag, "+ x", NULL, "+ x"},
    {imap_parse_tag, "a+ x", "a", "+ x"},
    {imap_parse_tag, "* x", NULL, "* x"},
    {imap_parse_tag, " x", NULL, " x"},
    {imap_parse_atom, "abc]", "abc", "]"},
    {imap_parse_atom, "a%", "a", "%"},
    {imap_parse_atom, "a\\", "a", "\\"},
    {imap_parse_atom, "a(b", "a", "(b"},
    {imap_parse_atom, "a{b", "a", "{b"},
    {imap_parse_atom, "a}b", "a}b", ""},
    {imap_parse_atom, "a\x7f", "a", "\x7f"},
    {imap_parse_atom, "\xc3\xa4", NULL, "\xc3\xa4"},
    {imap_parse_atom, "\"a\"", NULL, "\"a\""},
    {imap_parse_astring, "a]b", "a]b", ""},
    {imap_parse_astring, "\"a b\" c", "a b", " c"},
    {imap_parse_astring, "\"\" c", "", " c"},
    {imap_parse_astring, "\"a\\\"b\\\\\"", "a\"b\\", ""},
    {imap_parse_astring, "\"a\\b\"", NULL, "\"a\\b\""}, /* only quoted-specials are escaped */
    {imap_parse_astring, "\"a", NULL, "\"a"},
    {imap_parse_astring, "\"a\\", NULL, "\"a\\"},
    {imap_parse_astring, "\"a\r\n\"", NULL, "\"a\r\n\""},
    {imap_parse_astring, "\"\xc3\xa4\"", NULL, "\"\xc3\xa4\""}, /* 7 bits without UTF8=ACCEPT */
    {imap_parse_astring, "{3}\r\na b c", "a b", " c"},
    {imap_parse_astring, "{3+}\r\na b c", "a b", " c"},
    {imap_parse_astring, "{0}\r\n c", "", " c"},
    {imap_parse_astring, "{2}\r\n\xc3\xa4", "\xc3\xa4", ""},
    {imap_parse_astring, "{4}\r\na b", NULL, "{4}\r\na b"},
    {imap_parse_astring, "{3}\na b", NULL, "{3}\na b"},
    {imap_parse_astring, "{18446744073709551616}\r\n", NULL, "{18446744073709551616}\r\n"},
    {imap_parse_astring, "{-1}\r\n", NULL, "{-1}\r\n"},
    {imap_parse_astring, "%", NULL, "%"},
    {imap_parse_string, "a", NULL, "a"},
    {imap_parse_string, "\"a\"", "a", ""},
    {imap_parse_nstring, "NIL", NULL, ""},
    {imap_parse_nstring, "nil)", NULL, ")"},
    {imap_parse_nstring, "\"NIL\"", "NIL", ""},
    {imap_parse_list_mailbox, "a/%*]", "a/%*]", ""},
    {imap_parse_list_mailbox, "\"\"", "", ""},
    {imap_parse_list_mailbox, "{1}\r\n%", "%", ""},
    {imap_parse_list_mailbox, "\\", NULL, "\\"},
    {imap_parse_word, "BODY.PEEK[", "BODY.PEEK", "["},
    {imap_parse_word, "[", NULL, "["},
};

static void strings_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(strings); i++) {
        const struct string_case *c = &strings[i];
        struct arena arena;
        struct imap_parser parser;
        struct slice value;
        arena_init(&arena, ARENA_LIMIT);
        imap_parser_init(&parser, slice_of_string(c->text), &arena);
        bool parsed = c->rule(&parser, &value);
        bool wanted = c->value || c->rule == imap_parse_nstring;
        if (parsed != wanted || (!parsed && !parser.expected))
            fail_msg("\"%s\": %s", c->text, parsed ? "accepted" : parser.expected);
        if (c->value)
            assert_slice_is(value, c->value);
        else if (parsed)
            assert_null(value.ptr);
        assert_slice_is(cursor_rest(&parser.in), c->rest);
        arena_clear(&arena);
    }
}

static void nul_in_a_literal_is_refused(void **state)
{
    (void)state;
    struct arena arena;
    struct imap_parser parser;
    struct slice value;
    arena_init(&arena, ARENA_LIMIT);
    imap_parser_init(&parser, SLICE("{3}\r\na\0b"), &arena);
    assert_false(imap_parse_string(&parser, &value));
    arena_clear(&arena);
}

static void announcements_end_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool parsed;
        uint64_t octets;
    } cases[] = {
        {"{310}\r\n", true, 310},
        {"{310+}\r\n", true, 310},
        {"{9223372036854775807}\r\n", true, INT64_MAX},
        {"{310}\r\nx", false, 0},
        {"{310}", false, 0},
        {"x", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct imap_parser parser;
        uint64_t octets;
        imap_parser_init(&parser, slice_of_string(cases[i].text), NULL);
        assert_int_equal(imap_parse_announcement(&parser, &octets), cases[i].parsed);
        if (cases[i].parsed)
            assert_int_equal(octets, cases[i].octets);
        else
            assert_ptr_equal(parser.in.at, parser.begin);
    }
}

static void numbers_have_32_bits(void **state)
{
    (void)state;
    struct imap_parser parser;
    uint32_t number;
    imap_parser_init(&parser, SLICE("4294967295"), NULL);
    assert_true(imap_parse_number(&parser, &number));
    assert_int_equal(number, UINT32_MAX);
    imap_parser_init(&parser, SLICE("4294967296"), NULL);
    assert_false(imap_parse_number(&parser, &number));
    imap_parser_init(&parser, SLICE("0"), NULL);
    assert_false(imap_parse_nz_number(&parser, &number));
    assert_true(imap_parse_number(&parser, &number));
    imap_parser_init(&parser, SLICE(""), NULL);
    assert_false(imap_parse_nz_number(&parser, &number));
}

static void dates_are_parsed(void **state)
{
    (void)state;
    struct arena arena;
    struct imap_parser parser;
    struct date date;
    int32_t day;
    arena_init(&arena, ARENA_LIMIT);
    imap_parser_init(&parser, SLICE("\" 1-Jan-1970 01:00:01 +0100\" x"), &arena);
    assert_true(imap_parse_date_time(&parser, &date));
    assert_int_equal(date.seconds, 1);
    assert_slice_is(cursor_rest(&parser.in), " x");
    imap_parser_init(&parser, SLICE("1-Jan-1970 01:00:01 +0100"), &arena);
    assert_false(imap_parse_date_time(&parser, &date));
    imap_parser_init(&parser, SLICE("\"31-Feb-1996 02:44:25 -0700\""), &arena);
    assert_false(imap_parse_date_time(&parser, &date));
    imap_parser_init(&parser, SLICE("2-Jan-1970 \"3-Jan-1970\" 4-Foo-1970"), &arena);
    assert_true(imap_parse_date(&parser, &day));
    assert_int_equal(day, 1);
    assert_true(imap_parse_space(&parser) && imap_parse_date(&parser, &day));
    assert_int_equal(day, 2);
    assert_true(imap_parse_space(&parser));
    assert_false(imap_parse_date(&parser, &day));
    assert_slice_is(cursor_rest(&parser.in), "4-Foo-1970");
    arena_clear(&arena);
}

static const struct flags_case {
    const char *text;
    bool list;        /* flag-list; else store-att-flags */
    const char *rest; /* NULL: refused */
    uint32_t flags;
    const char *keywords; /* joined by spaces */
} flag_cases[] = {
    {"(\\Seen \\Deleted) x", true, " x", MAILDIR_SEEN | MAILDIR_TRASHED, ""},
    {"()", true, "", 0, ""},
    {"(\\ANSWERED \\flagged \\Draft)", true, "", MAILDIR_ANSWERED | MAILDIR_FLAGGED | MAILDIR_DRAFT,
     ""},
    {"($Forwarded a b c $Junk e)", true, "", MAILDIR_PASSED, "a b c $Junk e"},
    {"(\\Foo a)", true, "", 0, "a"},
    {"(\\Recent)", true, NULL, 0, ""},
    {"(\\*)", true, NULL, 0, ""},
    {"(\\)", true, NULL, 0, ""},
    {"(a", true, NULL, 0, ""},
    {"(a )", true, NULL, 0, ""},
    {"( a)", true, NULL, 0, ""},
    {"(a  b)", true, NULL, 0, ""},
    {"(a])", true, NULL, 0, ""},
    {"\\Seen", true, NULL, 0, ""},
    {"\\Seen a", false, "", MAILDIR_SEEN, "a"},
    {"(\\Seen a)", false, "", MAILDIR_SEEN, "a"},
    {"()", false, "", 0, ""},
    {"", false, NULL, 0, ""},
    {"\\Seen ", false, NULL, 0, ""},
};

static void flags_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(flag_cases); i++) {
        const struct flags_case *c = &flag_cases[i];
        struct arena arena;
        struct imap_parser parser;
        struct imap_flags flags;
        struct buffer keywords = BUFFER_WITH_LIMIT(200);
        arena_init(&arena, ARENA_LIMIT);
        imap_parser_init(&parser, slice_of_string(c->text), &arena);
        bool parsed = c->list ? imap_parse_flag_list(&parser, &flags)
                              : imap_parse_store_flags(&parser, &flags);
        if (parsed != (c->rest != NULL))
            fail_msg("\"%s\": %s", c->text, parsed ? "accepted" : parser.expected);
        assert_slice_is(cursor_rest(&parser.in), c->rest ? c->rest : c->text);
        if (parsed) {
            assert_int_equal(flags.flags, c->flags);
            for (size_t k = 0; k < flags.keyword_count; k++) {
                buffer_append_string(&keywords, k ? " " : "");
                buffer_append(&keywords, flags.keywords[k]);
            }
            assert_slice_is(buffer_slice(&keywords), c->keywords);
        }
        buffer_clear(&keywords);
        arena_clear(&arena);
    }
}

static void status_items_are_parsed(void **state)
{
    (void)state;
    struct imap_parser parser;
    unsigned items;
    imap_parser_init(&parser, SLICE("(messages UIDNEXT UNSEEN)"), NULL);
    assert_true(imap_parse_status_items(&parser, &items));
    assert_int_equal(items, STATUS_MESSAGES | STATUS_UIDNEXT | STATUS_UNSEEN);
    imap_parser_init(&parser, SLICE("(size DELETED-STORAGE DELETED APPENDLIMIT)"), NULL);
    assert_true(imap_parse_status_items(&parser, &items));
    assert_int_equal(items,
                     STATUS_SIZE | STATUS_DELETED_STORAGE | STATUS_DELETED | STATUS_APPENDLIMIT);
    static const char *const bad[] = {"()",          "MESSAGES", "(MESSAGES",
                                      "(MESSAGES )", "(FOO)",    "(UID)"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        imap_parser_init(&parser, slice_of_string(bad[i]), NULL);
        assert_false(imap_parse_status_items(&parser, &items));
        assert_ptr_equal(parser.in.at, parser.begin);
    }
}

static void a_full_arena_is_not_bad_syntax(void **state)
{
    (void)state;
    struct arena arena;
    struct imap_parser parser;
    struct imap_flags flags;
    struct sequence_set set;
    struct slice string;
    arena_init(&arena, 40);
    imap_parser_init(&parser, SLICE("(a b c d e f g h)"), &arena);
    assert_false(imap_parse_flag_list(&parser, &flags));
    assert_true(parser.exhausted);
    imap_parser_init(&parser, SLICE("1,3,5,7,9,11,13"), &arena);
    assert_false(imap_parse_sequence_set(&parser, &set));
    assert_true(parser.exhausted);
    imap_parser_init(&parser, SLICE("\"\\\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""), &arena);
    assert_false(imap_parse_string(&parser, &string));
    assert_true(parser.exhausted);
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_parsed),
        cmocka_unit_test(nul_in_a_literal_is_refused),
        cmocka_unit_test(announcements_end_the_text),
        cmocka_unit_test(numbers_have_32_bits),
        cmocka_unit_test(dates_are_parsed),
        cmocka_unit_test(flags_are_parsed),
        cmocka_unit_test(status_items_are_parsed),
        cmocka_unit_test(a_full_arena_is_not_bad_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
