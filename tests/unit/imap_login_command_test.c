/* Promises of imapd/login/login_command.h. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/login/login_command.h"

static void commands_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *tag;
        enum imap_login_verb verb;
        bool valid;
        const char *name;
        const char *password; /* or initial response, or client's version */
    } cases[] = {
        {"a1 NOOP", "a1", IMAP_LOGIN_NOOP, true, "", NULL},
        {"a1 noop", "a1", IMAP_LOGIN_NOOP, true, "", NULL},
        {"a1 NOOP ", "a1", IMAP_LOGIN_NOOP, false, "", NULL},
        {"a1  NOOP", "a1", IMAP_LOGIN_UNKNOWN, false, "", NULL},
        {"a1", "a1", IMAP_LOGIN_UNKNOWN, false, "", NULL},
        {"", "", IMAP_LOGIN_UNKNOWN, false, "", NULL},
        {"+ NOOP", "", IMAP_LOGIN_UNKNOWN, false, "", NULL}, /* a tag has no "+" */
        {"* NOOP", "", IMAP_LOGIN_UNKNOWN, false, "", NULL},
        {"a1 NOOPS", "a1", IMAP_LOGIN_UNKNOWN, true, "", NULL},
        {"a1 UID FETCH 1 ALL", "a1", IMAP_LOGIN_UNKNOWN, true, "", NULL},
        {"a1 LOGIN alice secret", "a1", IMAP_LOGIN_LOGIN, true, "alice", "secret"},
        {"a1 LOGIN \"al ice\" \"se\\\"cr\\\\et\"", "a1", IMAP_LOGIN_LOGIN, true, "al ice",
         "se\"cr\\et"},
        {"a1 LOGIN {5}\r\nalice {6}\r\nsecret", "a1", IMAP_LOGIN_LOGIN, true, "alice", "secret"},
        {"a1 LOGIN alice {6+}\r\nse\r\net", "a1", IMAP_LOGIN_LOGIN, true, "alice", "se\r\net"},
        {"a1 LOGIN alice@demo.test p{}", "a1", IMAP_LOGIN_LOGIN, false, "", NULL},
        {"a1 LOGIN alice", "a1", IMAP_LOGIN_LOGIN, false, "", NULL},
        {"a1 LOGIN alice secret more", "a1", IMAP_LOGIN_LOGIN, false, "", NULL},
        {"a1 LOGIN \"alice secret", "a1", IMAP_LOGIN_LOGIN, false, "", NULL},
        {"a1 AUTHENTICATE PLAIN", "a1", IMAP_LOGIN_AUTHENTICATE, true, "PLAIN", NULL},
        {"a1 AUTHENTICATE PLAIN =", "a1", IMAP_LOGIN_AUTHENTICATE, true, "PLAIN", "="},
        {"a1 authenticate plain AG+/Yg==", "a1", IMAP_LOGIN_AUTHENTICATE, true, "plain",
         "AG+/Yg=="},
        {"a1 AUTHENTICATE PLAIN ", "a1", IMAP_LOGIN_AUTHENTICATE, false, "", NULL},
        {"a1 AUTHENTICATE", "a1", IMAP_LOGIN_AUTHENTICATE, false, "", NULL},
        {"a1 ID NIL", "a1", IMAP_LOGIN_ID, true, "", NULL},
        {"a1 ID ()", "a1", IMAP_LOGIN_ID, true, "", NULL},
        {"a1 ID (\"name\" \"mutt\" \"version\" \"2\" \"x\" NIL)", "a1", IMAP_LOGIN_ID, true, "mutt",
         "2"},
        {"a1 ID (\"name\")", "a1", IMAP_LOGIN_ID, false, "", NULL},
        {"a1 ID (\"name\" \"x\"", "a1", IMAP_LOGIN_ID, false, "", NULL},
        {"a1 ID (\"a name that is longer than 30 octets\" \"x\")", "a1", IMAP_LOGIN_ID, false, "",
         NULL},
        {"a1 ID", "a1", IMAP_LOGIN_ID, false, "", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena arena;
        struct imap_parser parser;
        struct imap_login_command command;
        arena_init(&arena, 4096);
        imap_parser_init(&parser, slice_of_string(cases[i].text), &arena);
        assert_int_equal(imap_login_command_parse(&parser, &command), cases[i].valid);
        assert_slice_is(command.tag, cases[i].tag);
        assert_int_equal(command.verb, cases[i].verb);
        if (!cases[i].valid) {
            assert_non_null(parser.expected);
        } else if (cases[i].verb == IMAP_LOGIN_ID) {
            assert_slice_is(command.client.name, cases[i].name);
            assert_slice_is(command.client.version, cases[i].password);
        } else {
            assert_slice_is(command.name, cases[i].name);
            assert_slice_is(cases[i].verb == IMAP_LOGIN_LOGIN ? command.password : command.initial,
                            cases[i].password);
        }
        arena_clear(&arena);
    }
}

static void a_beginning_shows_tag_and_verb(void **state)
{
    (void)state;
    struct imap_parser parser;
    struct imap_login_command command;
    imap_parser_init(&parser, SLICE("a1 LOGIN {5}\r\n"), NULL);
    imap_login_command_peek(&parser, &command);
    assert_slice_is(command.tag, "a1");
    assert_int_equal(command.verb, IMAP_LOGIN_LOGIN);
    imap_parser_init(&parser, SLICE("{5}\r\n"), NULL);
    imap_login_command_peek(&parser, &command);
    assert_int_equal(command.tag.len, 0);
    assert_int_equal(command.verb, IMAP_LOGIN_UNKNOWN);
    imap_parser_init(&parser, SLICE("aaaaaaaa"), NULL);
    imap_login_command_peek(&parser, &command);
    assert_int_equal(command.tag.len, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_parsed),
        cmocka_unit_test(a_beginning_shows_tag_and_verb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
