/* Promises of imapd/syntax/mailbox_name.h. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/syntax/mailbox_name.h"

static const struct name_case {
    const char *wire;
    const char *name; /* NULL: refused */
    const char *back; /* NULL: the wire again */
} utf7_cases[] = {
    {"INBOX", "INBOX", NULL},
    {"inbox", "INBOX", "INBOX"}, /* RFC 3501 5.1 */
    {"inBox/a", "INBOX/a", "INBOX/a"},
    {"inboxes", "inboxes", NULL},
    {"a/inbox", "a/inbox", NULL},
    {"Sent Items", "Sent Items", NULL},
    {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e", NULL},
    {"&Jjo-!", "\u263a!", NULL},
    {"&Jjo!", NULL, NULL},              /* not shifted back, RFC 3501 5.1.3 */
    {"&U,BTFw-&ZeVnLIqe-", NULL, NULL}, /* superfluous shift */
    {"&U,BTF2XlZyyKng-", "\u53f0\u5317\u65e5\u672c\u8a9e", NULL},
    {"a&-b", "a&b", NULL},
    {"&-&-", "&&", NULL},
    {"&AOQ-&-", "\u00e4&", NULL},
    {"a&b", NULL, NULL},
    {"a&", NULL, NULL},
    {"&--", "&-", NULL},
    {"&AGE-", NULL, NULL},  /* "a" stands for itself */
    {"&ACY-", NULL, NULL},  /* "&" is "&-" */
    {"&AOR-", NULL, NULL},  /* bits left over */
    {"&AOQA-", NULL, NULL}, /* six of them */
    {"&AO-", NULL, NULL},
    {"&A-", NULL, NULL},
    {"&AOQ=-", NULL, NULL}, /* no padding */
    {"&2D3eAA-", "\U0001f600", NULL},
    {"&2D0-", NULL, NULL},    /* half a pair */
    {"&3gDYPQ-", NULL, NULL}, /* the halves the wrong way round */
    {"&2D3YPQ-", NULL, NULL},
    {"&,,8-", "\uffff", NULL},
    {"&AAA-", NULL, NULL},    /* NUL */
    {"&AAoACg-", NULL, NULL}, /* line feeds */
    {"&AIU-", NULL, NULL},    /* C1 */
    {"&ICgg-", NULL, NULL},
    {"\u00e4", NULL, NULL}, /* eight bits are not for UTF-7 */
    {"a\tb", NULL, NULL},
    {"", NULL, NULL},
    {"/", NULL, NULL},
    {"/a", NULL, NULL},
    {"a/", NULL, NULL},
    {"a//b", NULL, NULL},
    {"a.b", "a.b", NULL},
    {"../b", "../b", NULL}, /* storage/ decides what a directory may be called */
    {"a\\\"b", "a\\\"b", NULL},
};

static const struct name_case utf8_cases[] = {
    {"\u53f0\u5317", "\u53f0\u5317", NULL},
    {"a&b", "a&b", NULL},
    {"&AOQ-", "&AOQ-", NULL},
    {"\U0010ffff", "\U0010ffff", NULL},
    {"inBOX", "INBOX", "INBOX"},
    {"\xc0\xaf", NULL, NULL},         /* overlong "/" */
    {"\xed\xa0\x80", NULL, NULL},     /* surrogate */
    {"\xf4\x90\x80\x80", NULL, NULL}, /* above U+10FFFF */
    {"\xe0\x80\x80", NULL, NULL},
    {"a\xff", NULL, NULL},
    {"a\xc3", NULL, NULL},
    {"a\x01", NULL, NULL},
    {"a\u2028", NULL, NULL},
};

static void check_names(const struct name_case *cases, size_t count, enum mailbox_name_form form)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer name = BUFFER_WITH_LIMIT(2000);
        struct buffer wire = BUFFER_WITH_LIMIT(2000);
        struct slice text = slice_of_string(cases[i].wire);
        const char *problem = NULL;
        bool parsed = mailbox_name_parse(text, form, &name, &problem);
        if (parsed != (cases[i].name != NULL))
            fail_msg("%s: %s", cases[i].wire, parsed ? "accepted" : problem);
        if (parsed) {
            assert_slice_is(buffer_slice(&name), cases[i].name);
            assert_true(mailbox_name_format(buffer_slice(&name), form, &wire));
            assert_slice_is(buffer_slice(&wire), cases[i].back ? cases[i].back : cases[i].wire);
        }
        buffer_clear(&name);
        buffer_clear(&wire);
    }
}

static void names_are_parsed_and_formatted(void **state)
{
    (void)state;
    check_names(utf7_cases, ARRAY_LENGTH(utf7_cases), MAILBOX_NAME_UTF7);
    check_names(utf8_cases, ARRAY_LENGTH(utf8_cases), MAILBOX_NAME_UTF8);
}

static void long_names_are_refused(void **state)
{
    (void)state;
    uint8_t text[MAILBOX_NAME_MAX + 1];
    struct buffer name = BUFFER_WITH_LIMIT(5000);
    const char *problem;
    memset(text, 'a', sizeof(text));
    assert_true(
        mailbox_name_parse(slice_of(text, MAILBOX_NAME_MAX), MAILBOX_NAME_UTF7, &name, &problem));
    assert_false(mailbox_name_parse(slice_of(text, MAILBOX_NAME_MAX + 1), MAILBOX_NAME_UTF7, &name,
                                    &problem));
    assert_string_equal(problem, "The mailbox name is too long");
    buffer_clear(&name);
}

static void what_is_no_utf8_is_not_formatted(void **state)
{
    (void)state;
    struct buffer wire = BUFFER_WITH_LIMIT(100);
    assert_false(mailbox_name_format(SLICE("a\xff"), MAILBOX_NAME_UTF7, &wire));
    assert_false(mailbox_name_format(SLICE("a\xff"), MAILBOX_NAME_UTF8, &wire));
    buffer_clear(&wire);
}

static const struct pattern_case {
    const char *reference;
    const char *mailbox;
    const char *name;
    bool matches;
} pattern_cases[] = {
    {"", "*", "a/b/c", true},
    {"", "%", "a", true},
    {"", "%", "a/b", false},
    {"", "%/%", "a/b", true},
    {"", "%/%", "a/b/c", false},
    {"", "a/%", "a/b", true},
    {"", "a/%", "a", false},
    {"", "a%", "a", true},
    {"", "a*", "a", true},
    {"", "a*", "a/b", true},
    {"a/", "%", "a/b", true},
    {"a", "b", "ab", true}, /* joined as they are */
    {"", "*b", "a/b", true},
    {"", "%b", "a/b", false},
    {"", "*%", "a/b/c", true},
    {"", "%*", "a/b/c", true},
    {"", "%%", "a", true},
    {"", "*/%x", "a/b/cx", true},
    {"", "*/%x", "a/b/cxd", false},
    {"", "%a*b%", "xa/yb", true},
    {"", "%a*b%", "xa/yb/", false},
    {"", "", "", true},
    {"", "", "a", false},
    {"", "a", "", false},
    {"", "A", "a", false},
    {"", "inbox", "INBOX", true}, /* RFC 3501 5.1 */
    {"", "In%", "INBOX", true},
    {"", "inbox/*", "INBOX/a", true},
    {"", "inbox/A", "INBOX/a", false},
    {"", "inboxes", "INBOXes", false},
    {"", "*X", "INBOX", true},
    {"", "&U,BTFw-/*", "&U,BTFw-/&ZeVnLIqe-", true},
};

static void patterns_match(void **state)
{
    (void)state;
    static struct mailbox_pattern pattern;
    for (size_t i = 0; i < ARRAY_LENGTH(pattern_cases); i++) {
        const struct pattern_case *c = &pattern_cases[i];
        assert_true(mailbox_pattern_init(&pattern, slice_of_string(c->reference),
                                         slice_of_string(c->mailbox)));
        if (mailbox_pattern_matches(&pattern, slice_of_string(c->name)) != c->matches)
            fail_msg("\"%s\" \"%s\" against \"%s\"", c->reference, c->mailbox, c->name);
    }
}

/* The words of a set meet at bit 64. */
static void long_patterns_match(void **state)
{
    (void)state;
    static struct mailbox_pattern pattern;
    uint8_t text[MAILBOX_PATTERN_MAX + 1];
    memset(text, 'a', sizeof(text));
    for (size_t wild = 0; wild < MAILBOX_PATTERN_MAX; wild++) {
        struct slice name = slice_of(text, MAILBOX_PATTERN_MAX - 1);
        text[wild] = '%';
        assert_true(mailbox_pattern_init(&pattern, SLICE(""), slice_of(text, MAILBOX_PATTERN_MAX)));
        text[wild] = 'a';
        assert_true(mailbox_pattern_matches(&pattern, name));
        assert_false(mailbox_pattern_matches(&pattern, slice_from(name, 1)));
    }
    assert_false(mailbox_pattern_init(&pattern, SLICE("a"), slice_of(text, MAILBOX_PATTERN_MAX)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_parsed_and_formatted),
        cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(what_is_no_utf8_is_not_formatted),
        cmocka_unit_test(patterns_match),
        cmocka_unit_test(long_patterns_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
