/* Promises of imapd/shared/told.h: what says something of one mailbox, and cannot pass for anything
 * else. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/shared/told.h"

static const struct told_case {
    const char *text;
    enum told_kind kind;
    const char *name;
} cases[] = {
    {"* STATUS Shared/a/W (MESSAGES 5 HIGHESTMODSEQ 18446744073709551615)\r\n", TOLD_STATUS,
     "Shared/a/W"},
    {"* status \"Shared/a/b c\" (MAILBOXID (F-1_x))\r\n", TOLD_STATUS, "Shared/a/b c"},
    {"* STATUS {10}\r\nShared/a/W ()\r\n", TOLD_STATUS, "Shared/a/W"},
    {"* STATUS Shared/a/&APw- (MESSAGES 5)\r\n", TOLD_STATUS, "Shared/a/\xc3\xbc"},
    {"* STATUS Shared/a/W (MESSAGES)\r\n", TOLD_OTHER, NULL},
    {"* STATUS Shared/a/W (MESSAGES 5\r\n", TOLD_OTHER, NULL},
    {"* STATUS Shared/a/W (MESSAGES 5) x\r\n", TOLD_OTHER, NULL},
    {"* STATUS Shared/a/W (MESSAGES 5)\n", TOLD_OTHER, NULL},
    {"* STATUS Shared/a/W (MESSAGES 5)\r\n* BYE x\r\n", TOLD_OTHER, NULL},
    {"* STATUS Shared/a/W (MESSAGES \"5\")\r\n", TOLD_OTHER, NULL},
    {"* STATUS Shared/a/W (MAILBOXID (a b))\r\n", TOLD_OTHER, NULL},
    {"* STATUS {99}\r\nShared/a/W (MESSAGES 5)\r\n", TOLD_OTHER, NULL},
    {"* METADATA W (/shared/a {7}\r\n) \r\n* x /private/b NIL)\r\n", TOLD_METADATA, "W"},
    {"* METADATA W (/shared/a ~{2}\r\n\1) /private/b \"q\\\"\")\r\n", TOLD_METADATA, "W"},
    {"* METADATA W /shared/a /private/b\r\n", TOLD_METADATA, "W"}, /* RFC 5464 4.4.2 */
    {"* METADATA W (/shared/a)\r\n", TOLD_OTHER, NULL},
    {"* METADATA W (/shared/a b)\r\n", TOLD_OTHER, NULL},
    {"* METADATA W\r\n", TOLD_OTHER, NULL},
    {"* LIST (\\NonExistent) \"/\" W\r\n", TOLD_LIST, "W"}, /* RFC 5465 5.4 */
    {"* LIST () \"/\" Shared/a/new (\"OLDNAME\" (Shared/a/b/old))\r\n", TOLD_LIST, "Shared/a/new"},
    {"* LIST () \"/\" Shared/a/new (\"OLDNAME\" (Shared/b/old))\r\n", TOLD_OTHER, NULL},
    {"* LIST () \"/\" Shared/a/new (\"OLDNAME\" (Shared/ab/old))\r\n", TOLD_OTHER, NULL},
    {"* LIST () \"/\" Shared/a/new (\"OLDNAME\" (INBOX))\r\n", TOLD_OTHER, NULL},
    {"* LIST () NIL W\r\n", TOLD_OTHER, NULL},
    {"* LIST (NonExistent) \"/\" W\r\n", TOLD_OTHER, NULL},
    {"* LIST (\\Sent) \"/\" W\r\n", TOLD_OTHER, NULL}, /* RFC 6154: not of another account */
    {"* LIST (\\NonExistent \\Sent) \"/\" W\r\n", TOLD_OTHER, NULL},
    {"* LIST () \"/\" W (\"OTHER\" (x))\r\n", TOLD_OTHER, NULL},
    {"* 5 EXISTS\r\n", TOLD_OTHER, NULL},
    {"* OK [ALERT] x\r\n", TOLD_OTHER, NULL},
    {"+ x\r\n", TOLD_OTHER, NULL},
    {"\r\n", TOLD_OTHER, NULL},
    {"", TOLD_OTHER, NULL},
};

static void responses(void **state)
{
    (void)state;
    struct buffer name = BUFFER_WITH_LIMIT(MAILBOX_NAME_MAX);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena arena;
        arena_init(&arena, 10000);
        enum told_kind kind =
            told_parse(slice_of_string(cases[i].text), MAILBOX_NAME_UTF7, &arena, &name);
        if (kind != cases[i].kind)
            fail_msg("%s", cases[i].text);
        if (cases[i].name)
            assert_slice_is(buffer_slice(&name), cases[i].name);
        arena_clear(&arena);
    }
    buffer_clear(&name);
}

/* RFC 7377 2.1 */
static const struct search_case {
    const char *text;
    bool found;
} searches[] = {
    {"* ESEARCH (TAG \"a\" MAILBOX W UIDVALIDITY 1) UID ALL 1:3,5\r\n", true},
    {"* ESEARCH (TAG \"a\" MAILBOX \"W\" UIDVALIDITY 1) UID MIN 1 COUNT 2 PARTIAL (-1:-9 NIL)\r\n",
     true},
    {"* ESEARCH (TAG \"a\" MAILBOX W UIDVALIDITY 1) UID\r\n", true},
    {"* ESEARCH (TAG \"b\" MAILBOX W UIDVALIDITY 1) UID ALL 1\r\n", false},
    {"* ESEARCH (TAG \"a\") UID ALL 1\r\n", false},
    {"* ESEARCH (TAG \"a\" MAILBOX W UIDVALIDITY 1) ALL 1\r\n", false},
    {"* ESEARCH (TAG \"a\" MAILBOX W UIDVALIDITY 1) UID ALL x\r\n", false},
    {"* ESEARCH (TAG \"a\" MAILBOX W UIDVALIDITY 1) UID PARTIAL (1:1 1\r\n", false},
    {"* ESEARCH (TAG \"a\" MAILBOX W UIDVALIDITY 1) UID ALL 1\r\n* BYE\r\n", false},
    {"* SEARCH 1\r\n", false},
};

static void answers_to_esearch(void **state)
{
    (void)state;
    struct buffer name = BUFFER_WITH_LIMIT(MAILBOX_NAME_MAX);
    for (size_t i = 0; i < ARRAY_LENGTH(searches); i++) {
        struct arena arena;
        arena_init(&arena, 10000);
        if (told_parse_search(slice_of_string(searches[i].text), SLICE("a"), MAILBOX_NAME_UTF7,
                              &arena, &name)
            != searches[i].found)
            fail_msg("%s", searches[i].text);
        arena_clear(&arena);
    }
    assert_slice_is(buffer_slice(&name), "W");
    buffer_clear(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(responses),
                                       cmocka_unit_test(answers_to_esearch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
