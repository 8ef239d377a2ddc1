/* Promises of the readers of other servers' files: storage/foreign_*.h, common/text/uidl_format.h.
 */
#include "tests/unit/test.h"

#include "common/size.h"
#include "common/text/uidl_format.h"
#include "storage/foreign/foreign_keywords.h"
#include "storage/foreign/foreign_subscriptions.h"
#include "storage/foreign/foreign_uids.h"

static void lists_of_uids(void **state)
{
    static const struct {
        const char *text;
        uint32_t uidvalidity; /* 0: refused */
        uint64_t next_uid;
        const char *key;
        uint32_t uid;
        size_t bad_lines;
    } cases[] = {
        {"3 V7 N9 Gx\n1 :a.b:2,S\n", 7, 9, "a.b", 1, 0},
        {"3 N2 V7\n8 W9 S8 Pp Gg Xnew :a.b\n", 7, 9, "a.b", 8, 0},
        {"1 7 9\n1 a.b:2,S\n", 7, 9, "a.b", 1, 0},
        {"1 7 0\n", 7, 1, "a.b", 0, 0},
        {"3 V7 N9\n4 :a.b,U=7.4\n", 7, 9, "a.b", 4, 0}, /* a name that we had made before */
        {"3 V7 N9\n4294967295 :a\n", 7, UINT64_C(1) << 32, "a", UINT32_MAX, 0},
        {"3 V7 N9\n4294967296 :a\n0 :a\n1:a\n1 \n :a\n1 :\n", 7, 9, "a", 0, 6},
        {"3 V0 N9\n", 0, 0, NULL, 0, 0},
        {"3 V4294967296 N9\n", 0, 0, NULL, 0, 0},
        {"2 7 9\n", 0, 0, NULL, 0, 0},
        {"1 7\n", 0, 0, NULL, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct foreign_uids uids;
        bool read = foreign_uids_parse(slice_of_string(cases[i].text), &uids, NULL);
        assert_int_equal(read, cases[i].uidvalidity != 0);
        if (read) {
            const struct foreign_uid *found =
                foreign_uids_find(&uids, slice_of_string(cases[i].key));
            assert_int_equal(uids.uidvalidity, cases[i].uidvalidity);
            assert_int_equal(uids.next_uid, cases[i].next_uid);
            assert_int_equal(found ? found->uid : 0, cases[i].uid);
            assert_int_equal(uids.bad_lines, cases[i].bad_lines);
        }
        foreign_uids_clear(&uids);
    }
}

static void formats_of_unique_ids(void **state)
{
    static const struct {
        const char *format;
        const char *uidl; /* NULL: refused */
    } cases[] = {
        {"%08Xu%08Xv", "000000ff6b0a1197"}, /* Dovecot's default, as 2.3.19 writes it */
        {"UID%u-%v", "UID255-1795821975"},  /* Courier */
        {"%v.%u", "1795821975.255"},        /* Cyrus */
        {"%f", "1.a.h,S=60"},
        {"%g", "guid"},
        {"%5u%%", "  255%"},
        {"%v", NULL}, /* all would be the same */
        {"same", NULL},
        {"%Mf", NULL},
        {"%", NULL},
        {"%08X", NULL},
        {"%99999999999999999999u", NULL},
        {"%u x", NULL},
    };
    const struct uidl_facts facts = {1795821975, 255, SLICE("1.a.h,S=60"), SLICE("guid")};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer uidl = BUFFER_WITH_LIMIT(100);
        struct slice format = slice_of_string(cases[i].format);
        assert_int_equal(uidl_format_is_valid(format), cases[i].uidl != NULL);
        if (cases[i].uidl) {
            uidl_format_apply(format, &facts, &uidl);
            assert_true(slice_equal(buffer_slice(&uidl), slice_of_string(cases[i].uidl)));
        }
        buffer_clear(&uidl);
    }
}

static void subscriptions(void **state)
{
    static const struct {
        const char *text;
        bool is_courier;
        const char *names;
        size_t bad_lines;
    } cases[] = {
        {"V\t2\n\ninbox\nWork\tSub\nEntw&APw-rfe\n", false, "Entw\xc3\xbcrfe\nINBOX\nWork/Sub\n",
         0},
        {"INBOX\nWork.Sub\n\n", false, "INBOX\nWork/Sub\n", 1},
        {"INBOX\nINBOX.Work.Sub\nINBOX.K\xc3\xa4se\n", true, "INBOX\nK\xc3\xa4se\nWork/Sub\n", 0},
        {"a/b\n..\n\xff\xff\nx\n", false, "a/b\nx\n", 2},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct subscriptions found;
        size_t bad_lines = 0;
        subscriptions_init(&found);
        foreign_subscriptions_parse(slice_of_string(cases[i].text), cases[i].is_courier, &found,
                                    &bad_lines);
        assert_slice_is(buffer_slice(&found.text), cases[i].names);
        assert_int_equal(bad_lines, cases[i].bad_lines);
        subscriptions_clear(&found);
    }
}

static void keywords(void **state)
{
    (void)state;
    struct folder_record record = {.uidvalidity = 1};
    struct foreign_keywords found;
    foreign_keywords_init(&found, &record);
    foreign_keywords_parse_dovecot(SLICE("0 $forwarded\n2 todo\n3 TODO\n26 none\nx\n4 a b\n"),
                                   &found);
    assert_int_equal(found.forwarded, 1);
    assert_string_equal(record.keywords[0], "");
    assert_string_equal(record.keywords[2], "todo");
    assert_int_equal(found.bad_lines, 3);
    assert_true(
        foreign_keywords_parse_list(SLICE("todo\nnew\n\n1.a:0 1\n1.b:1 7\n1.c\n"), &found, NULL));
    assert_int_equal(foreign_keywords_of(&found, SLICE("1.a")), 1 << 2 | 1 << 0);
    assert_int_equal(foreign_keywords_of(&found, SLICE("1.b")), 1 << 0);
    assert_int_equal(found.bad_lines, 4);
    foreign_keywords_clear(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_uids),
        cmocka_unit_test(formats_of_unique_ids),
        cmocka_unit_test(subscriptions),
        cmocka_unit_test(keywords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
