/* Promises of storage/maildir_name.h: our names and everybody else's. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "storage/maildir_name.h"

struct name_case {
    const char *text;
    const char *key;
    const char *unique;
    uint64_t seconds, octets, crlf_octets;
    uint32_t uidvalidity, uid, flags, keywords;
    const char *extra;
};

#define LETTER(letter) (UINT32_C(1) << ((letter) - 'a'))

static const struct name_case cases[] = {
    /* ours, in new/ and in cur/ */
    {"1700000000.Q4KQ2R1.mx,S=10,W=10", "1700000000.Q4KQ2R1.mx,S=10,W=10", "1700000000.Q4KQ2R1.mx",
     1700000000, 10, 10, 0, 0, 0, 0, ""},
    {"17.A.mx,S=10,W=12,U=5.7:2,FSac", "17.A.mx,S=10,W=12", "17.A.mx", 17, 10, 12, 5, 7,
     MAILDIR_FLAGGED | MAILDIR_SEEN, LETTER('a') | LETTER('c'), ""},
    {"17.A.mx,U=4294967295.4294967295:2,", "17.A.mx", "17.A.mx", 17, 0, 0, UINT32_MAX, UINT32_MAX,
     0, 0, ""},
    /* Dovecot, Courier, mutt, procmail, mbsync (with a UID of its own, which is not ours) */
    {"1611844811.M12P3.host,S=3,W=4:2,RSab", "1611844811.M12P3.host,S=3,W=4",
     "1611844811.M12P3.host", 1611844811, 3, 4, 0, 0, MAILDIR_ANSWERED | MAILDIR_SEEN,
     LETTER('a') | LETTER('b'), ""},
    {"1056.M9P1V00I00_0.host,S=2323:2,DFPRST", "1056.M9P1V00I00_0.host,S=2323",
     "1056.M9P1V00I00_0.host", 1056, 2323, 0, 0, 0,
     MAILDIR_DRAFT | MAILDIR_FLAGGED | MAILDIR_PASSED | MAILDIR_ANSWERED | MAILDIR_SEEN
         | MAILDIR_TRASHED,
     0, ""},
    {"17.R1.host:2,S", "17.R1.host", "17.R1.host", 17, 0, 0, 0, 0, MAILDIR_SEEN, 0, ""},
    {"17.5_3.host,U=42:2,S", "17.5_3.host,U=42", "17.5_3.host", 17, 0, 0, 0, 0, MAILDIR_SEEN, 0,
     ""},
    {"17.5_3.host,U=42,U=3.4:2,", "17.5_3.host,U=42", "17.5_3.host", 17, 0, 0, 3, 4, 0, 0, ""},
    {"msg.with.no.number", "msg.with.no.number", "msg.with.no.number", 0, 0, 0, 0, 0, 0, 0, ""},
    {"42", "42", "42", 0, 0, 0, 0, 0, 0, 0, ""},
    /* flags: in any order, twice, unknown ones, and Dovecot's part behind a second comma */
    {"a:2,SSF", "a", "a", 0, 0, 0, 0, 0, MAILDIR_SEEN | MAILDIR_FLAGGED, 0, ""},
    {"a:2,XS", "a", "a", 0, 0, 0, 0, 0, MAILDIR_SEEN | 1U << ('X' - 'A'), 0, ""},
    {"a:2,S,extra", "a", "a", 0, 0, 0, 0, 0, MAILDIR_SEEN, 0, ",extra"},
    {"a:2,S:2,F", "a", "a", 0, 0, 0, 0, 0, MAILDIR_SEEN, 0, ":2,F"},
    {"a:1,S", "a", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"a:", "a", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    /* malformed, repeated and overflowing fields say nothing */
    {"a,S=x,W=", "a,S=x,W=", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"a,S=1,S=1", "a,S=1,S=1", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"a,S=18446744073709551616", "a,S=18446744073709551616", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"a,S=18446744073709551615", "a,S=18446744073709551615", "a", 0, UINT64_MAX, 0, 0, 0, 0, 0, ""},
    {"1099511627775.a", "1099511627775.a", "1099511627775.a", 1099511627775, 0, 0, 0, 0, 0, 0, ""},
    {"1099511627776.a", "1099511627776.a", "1099511627776.a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"18446744073709551616.a", "18446744073709551616.a", "18446744073709551616.a", 0, 0, 0, 0, 0, 0,
     0, ""},
    {"a,U=0.5", "a,U=0.5", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"a,U=5.0", "a,U=5.0", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"a,U=05.1", "a,U=05.1", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"a,U=4294967296.1", "a,U=4294967296.1", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"a,U=1.2x", "a,U=1.2x", "a", 0, 0, 0, 0, 0, 0, 0, ""},
    {"a,U=1.2,S=3", "a,U=1.2,S=3", "a", 0, 3, 0, 0, 0, 0, 0, ""}, /* not last: no longer ours */
    {"a,U=1.2,U=3.4", "a", "a", 0, 0, 0, 3, 4, 0, 0, ""},
    /* no name in front */
    {":2,S", ":2,S", ":2", 0, 0, 0, 0, 0, 0, 0, ""},
    {",S=5", ",S=5", ",S=5", 0, 5, 0, 0, 0, 0, 0, ""},
    {",U=1.2", ",U=1.2", ",U=1.2", 0, 0, 0, 0, 0, 0, 0, ""},
};

static void names_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct name_case *is = &cases[i];
        struct maildir_name name;
        print_message("%s\n", is->text);
        assert_true(maildir_name_parse(slice_of_string(is->text), &name));
        assert_slice_is(name.key, is->key);
        assert_slice_is(name.unique, is->unique);
        assert_int_equal(name.seconds, is->seconds);
        assert_int_equal(name.octets, is->octets);
        assert_int_equal(name.crlf_octets, is->crlf_octets);
        assert_int_equal(name.uidvalidity, is->uidvalidity);
        assert_int_equal(name.uid, is->uid);
        assert_int_equal(name.flags, is->flags);
        assert_int_equal(name.keywords, is->keywords);
        assert_slice_is(name.extra, is->extra);
    }
}

static void what_is_formatted_is_parsed_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct maildir_name name, again;
        assert_true(maildir_name_parse(slice_of_string(cases[i].text), &name));
        name.uidvalidity = 9;
        name.uid = 10;
        name.flags |= MAILDIR_TRASHED;
        name.keywords ^= LETTER('z');
        char text[MAILDIR_NAME_SIZE];
        assert_true(maildir_name_format(&name, text));
        assert_true(maildir_name_parse(slice_of_string(text), &again));
        assert_slice_equal(again.key, name.key);
        assert_slice_equal(again.unique, name.unique);
        assert_int_equal(again.uidvalidity, 9);
        assert_int_equal(again.uid, 10);
        assert_int_equal(again.flags, name.flags);
        assert_int_equal(again.keywords, name.keywords);
        assert_slice_equal(again.extra, name.extra);
    }
}

static void flags_stand_in_order(void **state)
{
    (void)state;
    struct maildir_name name = {
        .key = SLICE("1.a.b"), .flags = MAILDIR_SEEN | MAILDIR_DRAFT, .keywords = LETTER('b') | 1};
    char text[MAILDIR_NAME_SIZE];
    assert_true(maildir_name_format(&name, text));
    assert_string_equal(text, "1.a.b:2,DSab");
    assert_true(maildir_name_format_new(&name, text));
    assert_string_equal(text, "1.a.b");
}

static void impossible_names_are_refused(void **state)
{
    (void)state;
    uint8_t longest[MAILDIR_NAME_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    const struct slice bad[] = {
        SLICE(""),
        SLICE("."),
        SLICE(".."),
        SLICE(".hidden"),
        SLICE("a/b:2,"),
        SLICE("a\0b:2,"),
        {longest, sizeof(longest)},
    };
    struct maildir_name name = {.uid = 77};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_false(maildir_name_parse(bad[i], &name));
    assert_int_equal(name.uid, 77);
    assert_true(maildir_name_parse(slice_of(longest, MAILDIR_NAME_MAX), &name));
}

static void length_is_respected(void **state)
{
    (void)state;
    uint8_t key[MAILDIR_NAME_MAX];
    memset(key, 'k', sizeof(key));
    struct maildir_name name = {.key = {key, MAILDIR_KEY_MAX},
                                .uidvalidity = UINT32_MAX,
                                .uid = UINT32_MAX,
                                .flags = (1U << 26) - 1,
                                .keywords = (1U << 26) - 1};
    char text[MAILDIR_NAME_SIZE];
    assert_true(maildir_name_format(&name, text));
    assert_int_equal(strlen(text), MAILDIR_NAME_MAX);
    name.key.len++;
    assert_false(maildir_name_format(&name, text));
    name.key.len = MAILDIR_NAME_MAX;
    name.uid = 0;
    assert_true(maildir_name_format_new(&name, text));
    assert_false(maildir_name_format(&name, text));
}

static void keys_are_made(void **state)
{
    (void)state;
    struct maildir_key key = {1700000000, SLICE("Q4KQ2R1"), SLICE("mx/1:\xc3.example.org"), 10, 12};
    char text[MAILDIR_NAME_SIZE];
    maildir_key_format(&key, text);
    assert_string_equal(text, "1700000000.Q4KQ2R1.mx_1__.example.org,S=10,W=12");
    maildir_key_format_unique(&key, text);
    assert_string_equal(text, "1700000000.Q4KQ2R1.mx_1__.example.org");

    uint8_t longest[300];
    memset(longest, 'h', sizeof(longest));
    struct maildir_key large = {UINT64_MAX, slice_of(longest, MAILDIR_UNIQUE_MAX),
                                slice_of(longest, sizeof(longest)), UINT64_MAX, UINT64_MAX};
    maildir_key_format(&large, text);
    assert_in_range(strlen(text), 1, MAILDIR_KEY_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_parsed),     cmocka_unit_test(what_is_formatted_is_parsed_again),
        cmocka_unit_test(flags_stand_in_order), cmocka_unit_test(impossible_names_are_refused),
        cmocka_unit_test(length_is_respected),  cmocka_unit_test(keys_are_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
