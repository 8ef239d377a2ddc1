/* Promises of pop3d/line.h, login_command.h and capability.h. */
#include "tests/unit/test.h"

#include "common/buffer.h"
#include "common/size.h"
#include "pop3d/capability.h"
#include "pop3d/line.h"
#include "pop3d/login_command.h"

/* Reads all of `octets`, given in two parts, into one text: "line|", "<bare>", "<long>". */
static void read_all(struct slice octets, size_t split, struct buffer *seen)
{
    struct pop3_line_reader reader = {.skipping = false};
    size_t consumed = 0;
    for (int part = 0; part < 2; part++) {
        struct cursor input =
            cursor_of(slice_range(octets, consumed, part == 0 ? split : octets.len));
        const uint8_t *start = input.at;
        struct slice line;
        enum pop3_line_result result;
        while ((result = pop3_line_read(&reader, &input, 12, &line)) != POP3_LINE_MORE) {
            if (result == POP3_LINE_READY) {
                buffer_append(seen, line);
                buffer_append(seen, SLICE("|"));
            } else {
                buffer_append_string(seen, result == POP3_LINE_BARE ? "<bare>" : "<long>");
            }
        }
        consumed += (size_t)(input.at - start);
    }
}

static void lines_are_the_same_however_split(void **state)
{
    (void)state;
    static const struct {
        struct slice octets;
        const char *seen;
    } cases[] = {
        {SLICE("CAPA\r\nQUIT\r\n"), "CAPA|QUIT|"},
        {SLICE("\r\n"), "|"},
        {SLICE("CAPA\nQUIT\r\n"), "<bare>QUIT|"},
        {SLICE("\nQUIT\r\n"), "<bare>QUIT|"},
        {SLICE("A\rB\r\nQUIT\r\n"), "<bare>QUIT|"},
        {SLICE("A\r\r\nQUIT\r\n"), "<bare>QUIT|"},
        {SLICE("A\0B\r\nQUIT\r\n"), "<bare>QUIT|"},
        {SLICE("0123456789\r\nQUIT\r\n"), "0123456789|QUIT|"},
        {SLICE("0123456789A\r\nQUIT\r\n"), "<long>QUIT|"},
        {SLICE("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\nQUIT\r\n"), "<long>QUIT|"},
        {SLICE("QUI"), ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        for (size_t split = 0; split <= cases[i].octets.len; split++) {
            struct buffer seen = BUFFER_WITH_LIMIT(1000);
            read_all(cases[i].octets, split, &seen);
            assert_slice_is(buffer_slice(&seen), cases[i].seen);
            buffer_clear(&seen);
        }
}

static void commands_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool valid;
        enum pop3_login_verb verb;
        const char *argument;
        const char *initial;
    } cases[] = {
        {"CAPA", true, POP3_CAPA, "", NULL},
        {"capa ", false, POP3_CAPA, "", NULL},
        {"CAPA x", false, POP3_CAPA, "", NULL},
        {"USER alice", true, POP3_USER, "alice", NULL},
        {"USER", false, POP3_USER, "", NULL},
        {"USER ", false, POP3_USER, "", NULL},
        {"user a b ", true, POP3_USER, "a b ", NULL},
        {"PASS  two words ", true, POP3_PASS, " two words ", NULL}, /* RFC 1939 7 */
        {"AUTH", true, POP3_AUTH, "", NULL},
        {"AUTH PLAIN", true, POP3_AUTH, "PLAIN", NULL},
        {"AUTH PLAIN =", true, POP3_AUTH, "PLAIN", "="},
        {"AUTH PLAIN ", false, POP3_AUTH, "", NULL},
        {"AUTH  AGE=", false, POP3_AUTH, "", NULL},
        {"AUTH PLAIN AG E=", false, POP3_AUTH, "", NULL},
        {"STLS", true, POP3_STLS, "", NULL},
        {"STLS now", false, POP3_STLS, "", NULL},
        {"LANG", true, POP3_LANG, "", NULL},
        {"LANG *", true, POP3_LANG, "*", NULL},
        {"RETR 1", true, POP3_LATER, "1", NULL},
        {"TOP", true, POP3_LATER, "", NULL},
        {"", true, POP3_UNKNOWN, "", NULL},
        {" CAPA", true, POP3_UNKNOWN, "CAPA", NULL},
        {"APOP alice x", true, POP3_UNKNOWN, "alice x", NULL},
        {"CAP", true, POP3_UNKNOWN, "", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct pop3_login_command command;
        const char *wrong;
        assert_int_equal(pop3_login_command_parse(slice_of_string(cases[i].line), &command, &wrong),
                         cases[i].valid);
        if (!cases[i].valid)
            continue;
        assert_int_equal(command.verb, cases[i].verb);
        assert_slice_is(command.argument, cases[i].argument);
        assert_int_equal(command.initial.ptr != NULL, cases[i].initial != NULL);
        assert_slice_is(command.initial, cases[i].initial);
    }
}

static void capabilities_follow_the_configuration(void **state)
{
    (void)state;
    struct config config = {.pop3 = {.expire_ms = CONFIG_NEVER}};
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    pop3_capabilities_append(&config, &text);
    assert_true(slice_find(buffer_slice(&text), SLICE("\r\nEXPIRE NEVER\r\n")) < text.len);
    assert_int_equal(slice_find(buffer_slice(&text), SLICE("LOGIN-DELAY")), text.len);
    config.pop3.expire_ms = 86400000ULL * 30;
    config.pop3.login_delay_ms = 1500;
    buffer_reset(&text);
    pop3_capabilities_append(&config, &text);
    assert_true(slice_find(buffer_slice(&text), SLICE("\r\nEXPIRE 30\r\n")) < text.len);
    assert_true(slice_find(buffer_slice(&text), SLICE("\r\nLOGIN-DELAY 2\r\n")) < text.len);
    buffer_clear(&text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_the_same_however_split),
        cmocka_unit_test(commands_are_parsed),
        cmocka_unit_test(capabilities_follow_the_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
