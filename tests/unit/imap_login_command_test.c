/* Promises of imapd/login_command.h. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/login_command.h"

static void commands_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        const char *tag;
        enum imap_login_verb verb;
        const char *name;
        const char *password; /* or initial response, or client's version */
    } cases[] = {
        {"a1 NOOP", true, "a1", IMAP_LOGIN_NOOP, "", NULL},
        {"a1 noop", true, "a1", IMAP_LOGIN_NOOP, "", NULL},
        {"a1 NOOP ", false, "a1", IMAP_LOGIN_NOOP, "", NULL},
        {"a1  NOOP", false, "a1", IMAP_LOGIN_UNKNOWN, "", NULL},
        {"a1", false, "a1", IMAP_LOGIN_UNKNOWN, "", NULL},
        {"", false, "", IMAP_LOGIN_UNKNOWN, "", NULL},
        {"+ NOOP", false, "", IMAP_LOGIN_UNKNOWN, "", NULL}, /* a tag has no "+" */
        {"* NOOP", false, "", IMAP_LOGIN_UNKNOWN, "", NULL},
        {"a1 NOOPS", true, "a1", IMAP_LOGIN_UNKNOWN, "", NULL},
        {"a1 UID FETCH 1 ALL", true, "a1", IMAP_LOGIN_UNKNOWN, "", NULL},
        {"a1 LOGIN alice secret", true, "a1", IMAP_LOGIN_LOGIN, "alice", "secret"},
        {"a1 LOGIN \"al ice\" \"se\\\"cr\\\\et\"", true, "a1", IMAP_LOGIN_LOGIN, "al ice",
         "se\"cr\\et"},
        {"a1 LOGIN {5}\r\nalice {6}\r\nsecret", true, "a1", IMAP_LOGIN_LOGIN, "alice", "secret"},
        {"a1 LOGIN alice {6+}\r\nse\r\net", true, "a1", IMAP_LOGIN_LOGIN, "alice", "se\r\net"},
        {"a1 LOGIN alice@demo.test p{}", false, "a1", IMAP_LOGIN_LOGIN, "", NULL},
        {"a1 LOGIN alice", false, "a1", IMAP_LOGIN_LOGIN, "", NULL},
        {"a1 LOGIN alice secret more", false, "a1", IMAP_LOGIN_LOGIN, "", NULL},
        {"a1 LOGIN \"alice secret", false, "a1", IMAP_LOGIN_LOGIN, "", NULL},
        {"a1 AUTHENTICATE PLAIN", true, "a1", IMAP_LOGIN_AUTHENTICATE, "PLAIN", NULL},
        {"a1 AUTHENTICATE PLAIN =", true, "a1", IMAP_LOGIN_AUTHENTICATE, "PLAIN", "="},
        {"a1 authenticate plain AG+/Yg==", true, "a1", IMAP_LOGIN_AUTHENTICATE, "plain",
         "AG+/Yg=="},
        {"a1 AUTHENTICATE PLAIN ", false, "a1", IMAP_LOGIN_AUTHENTICATE, "", NULL},
        {"a1 AUTHENTICATE", false, "a1", IMAP_LOGIN_AUTHENTICATE, "", NULL},
        {"a1 ID NIL", true, "a1", IMAP_LOGIN_ID, "", NULL},
        {"a1 ID ()", true, "a1", IMAP_LOGIN_ID, "", NULL},
        {"a1 ID (\"name\" \"mutt\" \"version\" \"2\" \"x\" NIL)", true, "a1", IMAP_LOGIN_ID, "mutt",
         "2"},
        {"a1 ID (\"name\")", false, "a1", IMAP_LOGIN_ID, "", NULL},
        {"a1 ID (\"name\" \"x\"", false, "a1", IMAP_LOGIN_ID, "", NULL},
        {"a1 ID (\"a name that is longer than 30 octets\" \"x\")", false, "a1", IMAP_LOGIN_ID, "",
         NULL},
        {"a1 ID", false, "a1", IMAP_LOGIN_ID, "", NULL},
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
            assert_slice_is(command.client_name, cases[i].name);
            assert_slice_is(command.client_version, cases[i].password);
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
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_parsed),
        cmocka_unit_test(a_beginning_shows_tag_and_verb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
