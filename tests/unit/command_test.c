/* Promises of imapd/syntax/command.h: the same events however the input is split, bounded memory,
 * and no octet of a refused command taken for the next one. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/syntax/command.h"

enum { TEXT_LIMIT = 40, SKIP_LIMIT = 60 };
static const struct command_limits limits = {
    .lines = TEXT_LIMIT, .literal = TEXT_LIMIT, .text = TEXT_LIMIT, .skip = SKIP_LIMIT};

/* What came out: "=text;" READY, "?text;" LITERAL, "+octets;" what was streamed, "!problem/text;"
 * BAD, "#problem;" CLOSE. */
struct log {
    struct buffer text;
    bool streaming;
};

static void say(struct log *log, const char *mark, struct slice text)
{
    if (log->streaming)
        buffer_append(&log->text, SLICE(";"));
    log->streaming = false;
    buffer_append_string(&log->text, mark);
    buffer_append(&log->text, text);
    buffer_append(&log->text, SLICE(";"));
}

static void say_problem(struct log *log, const char *mark, const struct command_reader *reader)
{
    static const char *const names[] = {"fine", "break", "quote", "long", "literal", "memory"};
    char text[100];
    snprintf(text, sizeof(text), "%s%s/", mark, names[reader->problem]);
    say(log, text, command_text(reader));
}

/* APPEND streams its literals, SKIP streams one octet and gives up, NO refuses, the rest accepts
 * what fits. */
static bool answer_literal(struct command_reader *reader, struct log *log)
{
    struct slice text = command_text(reader);
    say(log, reader->literal.synchronising ? "?" : "&", text);
    if (slice_find(text, SLICE("APPEND")) < text.len || slice_starts_with(text, SLICE(" ")))
        command_stream_literal(reader);
    else if (slice_find(text, SLICE("NO")) < text.len || !command_accept_literal(reader)) {
        say_problem(log, "!", reader);
        return command_refuse_literal(reader);
    }
    return true;
}

static bool feed(struct command_reader *reader, struct slice part, struct log *log)
{
    struct cursor in = cursor_of(part);
    for (;;) {
        struct slice octets;
        switch (command_read(reader, &in, &octets)) {
        case COMMAND_MORE:
            return true;
        case COMMAND_READY:
            say(log, "=", command_text(reader));
            if (slice_ends_with(command_text(reader), SLICE("IDLE")))
                command_expect_line(reader);
            break;
        case COMMAND_LITERAL:
            if (!answer_literal(reader, log)) {
                say_problem(log, "#", reader);
                return false;
            }
            break;
        case COMMAND_OCTETS:
            buffer_append(&log->text, log->streaming ? SLICE("") : SLICE("+"));
            buffer_append(&log->text, octets);
            log->streaming = true;
            if (slice_find(octets, SLICE("%")) < octets.len && !command_skip_rest(reader)) {
                say_problem(log, "#", reader);
                return false;
            }
            break;
        case COMMAND_BAD:
            say_problem(log, "!", reader);
            break;
        case COMMAND_CLOSE:
            say_problem(log, "#", reader);
            return false;
        }
    }
}

static const struct command_case {
    const char *input;
    const char *events;
} cases[] = {
    {"a NOOP\r\n", "=a NOOP;"},
    {"a NOOP\r\nb NOOP\r\n", "=a NOOP;=b NOOP;"},
    {"\r\n", "=;"},
    {"a LOGIN \"x\" \"\\\"y\\\\\"\r\n", "=a LOGIN \"x\" \"\\\"y\\\\\";"},
    /* Literals, RFC 3501 4.3: synchronising, and not, RFC 7888 */
    {"a X {3}\r\na\r\n {0}\r\n z\r\n",
     "?a X {3}\r\n;?a X {3}\r\na\r\n {0}\r\n;=a X {3}\r\na\r\n {0}\r\n z;"},
    {"a X {3+}\r\na\"b\r\n", "&a X {3+}\r\n;=a X {3+}\r\na\"b;"},
    {"a X ~{3}\r\n{1}\r\n", "?a X ~{3}\r\n;=a X ~{3}\r\n{1};"},
    /* what only looks like one */
    {"a X {3} \r\n", "=a X {3} ;"},
    {"a X {3-}\r\n", "=a X {3-};"},
    {"a X {}\r\n", "=a X {};"},
    {"a X {+}\r\n", "=a X {+};"},
    {"a X {3+4}\r\n", "=a X {3+4};"},
    {"a X {{3}\r\nabc\r\n", "?a X {{3}\r\n;=a X {{3}\r\nabc;"},
    {"a X \"{3}\"\r\n", "=a X \"{3}\";"},
    {"a X \"\\\"{3}\"\r\nb\r\n", "=a X \"\\\"{3}\";=b;"},
    /* streams */
    {"a APPEND {5}\r\nhello\r\n", "?a APPEND {5}\r\n;+hello;=;"},
    {"a APPEND {0+}\r\n\r\n", "&a APPEND {0+}\r\n;+;=;"},
    {"a APPEND {1}\r\nx {1}\r\ny\r\nb\r\n", "?a APPEND {1}\r\n;+x;? {1}\r\n;+y;=;=b;"},
    {"a APPEND {1}\r\n% x {3+}\r\nb\r\n\r\nc\r\n", "?a APPEND {1}\r\n;+%;=c;"},
    /* refused literals: the client that waits sends no more of it, the other has sent it all */
    {"a NO {5}\r\nb NOOP\r\n", "?a NO {5}\r\n;!fine/a NO {5}\r\n;=b NOOP;"},
    {"a NO {4+}\r\nb NO\r\nc\r\nd\r\n", "&a NO {4+}\r\n;!fine/a NO {4+}\r\n;=c;=d;"},
    {"a NO {4+}\r\nb NO {3}\r\nc\r\n", "&a NO {4+}\r\n;!fine/a NO {4+}\r\n;=c;"},
    {"a NO {4+}\r\nb NO {3+}\r\nc\r\nd\r\ne\r\n", "&a NO {4+}\r\n;!fine/a NO {4+}\r\n;=e;"},
    {"a NO {4+}\r\nb NO\"{3+}\r\nc\r\n\r\nd\r\n", "&a NO {4+}\r\n;!fine/a NO {4+}\r\n;=d;"},
    {"a X {9223372036854775807}\r\nb\r\n",
     "?a X {9223372036854775807}\r\n;!literal/a X {9223372036854775807}\r\n;=b;"},
    {"a X {9223372036854775807+}\r\nb\r\n",
     "&a X {9223372036854775807+}\r\n;!literal/a X {9223372036854775807+}\r\n;"
     "#literal/a X {9223372036854775807+}\r\n;"},
    {"a X {99999999999999999999999}\r\nb\r\n",
     "?a X {99999999999999999999999}\r\n;!literal/a X {99999999999999999999999}\r\n;=b;"},
    {"a X {50+}\r\n01234567890123456789012345678901234567890123\r\n89\r\n\r\nb\r\n",
     "&a X {50+}\r\n;!literal/a X {50+}\r\n;=b;"},
    {"a X {31}\r\n", "?a X {31}\r\n;!literal/a X {31}\r\n;"},
    {"a X {30}\r\n", "?a X {30}\r\n;"},
    /* lines that break: nothing behind a bare CR or LF is a command */
    {"a NOOP\nb NOOP\r\nc\r\n", "!break/a NOOP\n;=c;"},
    {"a NOOP\rb NOOP\r\nc\r\n", "!break/a NOOP\rb;=c;"},
    {"a\r\rb\r\nc\r\n", "!break/a\r\r;=c;"},
    {"a\nb {3+}\r\nc\r\n\r\nd\r\n", "!break/a\n;=d;"},
    {"a \"x\r\nb\r\n", "!quote/a \"x\r\n;=b;"},
    {"a \"x\\\r\nb\r\n", "!quote/a \"x\\\r\n;=b;"},
    /* a quote too many: what may be a literal is no command */
    {"a \"x {3+}\r\nb\r\n\r\nc\r\n", "!quote/a \"x {3+}\r\n;=c;"},
    {"a \"x\"y\" {3+}\r\nb\r\n {3+}\r\nc\r\n\r\nd\r\n", "!quote/a \"x\"y\" {3+}\r\n;=d;"},
    {"a \"\\{3+}\r\nb\r\n\r\nc\r\n", "!quote/a \"\\{3+}\r\n;=c;"},
    {"a \"x {3}\r\nb\r\n", "!quote/a \"x {3}\r\n;=b;"},
    {"a \"x {3+} \r\nb\r\n", "!quote/a \"x {3+} \r\n;=b;"},
    {"a \"x {99+}\r\nb\r\n", "#quote/a \"x {99+}\r\n;"},
    {"a \"x {3}\" \"y\r\nb\r\n", "!quote/a \"x {3}\" \"y\r\n;=b;"},
    {"a \"x\ny\" {3+}\r\nc\r\n\r\nd\r\n", "!break/a \"x\n;=d;"},
    {"a \"x\ry {3}\r\nd\r\n", "!break/a \"x\ry;=d;"},
    /* limits: the tag is kept, the rest is not */
    {"a 345678901234567890123456789012345678\r\nb\r\n",
     "=a 345678901234567890123456789012345678;=b;"},
    {"a 3456789012345678901234567890123456789\r\nb\r\n",
     "!long/a 3456789012345678901234567890123456789\r;=b;"},
    {"a 34567890123456789012345678901234567890 {4+}\r\nb {1\r\nc\r\n",
     "!long/a 34567890123456789012345678901234567890;=c;"},
    {"a 34567890123456789012345678901234567890 {40+}\r\n"
     "0123456789012345678901234567890123456789\r\nb\r\n",
     "!long/a 34567890123456789012345678901234567890;=b;"},
    {"a 34567890123456789012345678901234567890 {80+}\r\nb\r\n",
     "!long/a 34567890123456789012345678901234567890;#fine/;"},
    {"a 345678901234567890123456789012345678901234567890123456789012345678901234567890"
     "1234567890123456789012345678901234567890\r\nb\r\n",
     "!long/a 34567890123456789012345678901234567890;#fine/;"},
    /* the answer to a continuation request: neither quotes nor literals */
    {"a IDLE\r\nDONE\r\nb\r\n", "=a IDLE;=DONE;=b;"},
    {"a IDLE\r\n\"{3}\r\nb\r\n", "=a IDLE;=\"{3};=b;"},
    {"a IDLE\r\n\r\nb\r\n", "=a IDLE;=;=b;"},
    {"a IDLE\r\nDONE\nb\r\n", "=a IDLE;!break/DONE\n;=b;"},
    {"a IDLE\r\nDO\rNE\r\nb\r\n", "=a IDLE;!break/DO\rNE\r\n;=b;"},
    {"a IDLE\r\n0123456789012345678901234567890123456789\r\nb\r\n",
     "=a IDLE;#long/0123456789012345678901234567890123456789;"},
};

static void read_in_parts(const struct command_case *c, size_t first, size_t each)
{
    struct command_reader reader;
    struct log log = {.text = BUFFER_WITH_LIMIT(4096)};
    struct slice input = slice_of_string(c->input);
    command_reader_init(&reader, limits);
    bool open = feed(&reader, slice_range(input, 0, first), &log);
    for (size_t at = first; open && at < input.len; at += each)
        open = feed(&reader, slice_range(input, at, at + each), &log);
    if (log.streaming)
        buffer_append(&log.text, SLICE(";"));
    assert_slice_is(buffer_slice(&log.text), c->events);
    assert_true(reader.text.len <= TEXT_LIMIT);
    buffer_clear(&log.text);
    command_reader_clear(&reader);
    command_reader_clear(&reader);
}

static void events_are_the_same_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        size_t length = strlen(cases[i].input);
        for (size_t first = 0; first <= length; first++)
            read_in_parts(&cases[i], first, length);
        read_in_parts(&cases[i], 0, 1);
        read_in_parts(&cases[i], 0, 2);
    }
}

static void idle_only_between_commands(void **state)
{
    (void)state;
    struct command_reader reader;
    struct slice octets;
    command_reader_init(&reader, limits);
    assert_true(command_reader_is_idle(&reader));
    struct cursor in = cursor_of(SLICE("a NOOP\r\nb"));
    assert_int_equal(command_read(&reader, &in, &octets), COMMAND_READY);
    assert_true(command_reader_is_idle(&reader));
    assert_int_equal(command_read(&reader, &in, &octets), COMMAND_MORE);
    assert_false(command_reader_is_idle(&reader));
    command_reader_clear(&reader);
}

/* Its handler gives a literal up while it streams (no space left, say). */
static void rest_of_a_stream_is_skipped(void **state)
{
    (void)state;
    struct command_reader reader;
    struct slice octets;
    command_reader_init(&reader, limits);
    struct cursor in = cursor_of(SLICE("a APPEND {9}\r\nab"));
    assert_int_equal(command_read(&reader, &in, &octets), COMMAND_LITERAL);
    command_stream_literal(&reader);
    assert_int_equal(command_read(&reader, &in, &octets), COMMAND_OCTETS);
    assert_int_equal(reader.literal.left, 7);
    assert_true(command_skip_rest(&reader));
    in = cursor_of(SLICE("\r\nb\r\nc {3}\r\nd\r\n"));
    assert_int_equal(command_read(&reader, &in, &octets), COMMAND_READY);
    assert_slice_is(command_text(&reader), "d");
    command_reader_clear(&reader);
}

static void a_stream_too_long_to_skip_closes(void **state)
{
    (void)state;
    struct command_reader reader;
    struct slice octets;
    command_reader_init(&reader, limits);
    struct cursor in = cursor_of(SLICE("a APPEND {90}\r\nab"));
    assert_int_equal(command_read(&reader, &in, &octets), COMMAND_LITERAL);
    command_stream_literal(&reader);
    assert_int_equal(command_read(&reader, &in, &octets), COMMAND_OCTETS);
    assert_false(command_skip_rest(&reader));
    in = cursor_of(SLICE("b NOOP\r\n"));
    assert_int_equal(command_read(&reader, &in, &octets), COMMAND_CLOSE);
    command_reader_clear(&reader);
}

/* Each limit alone: of the lines, of one literal, of both together. */
static void limits_are_kept_apart(void **state)
{
    (void)state;
    static const struct {
        struct command_limits limits;
        const char *input;
        enum command_problem problem;
    } each[] = {
        {{9, 8, 17, 99}, "a {8+}\r\n01234567\r\n", COMMAND_TOO_LONG},
        {{10, 8, 18, 99}, "a {8+}\r\n01234567\r\n", COMMAND_FINE},
        {{10, 8, 17, 99}, "a {8+}\r\n01234567\r\n", COMMAND_TOO_LONG},
        {{10, 8, 15, 99}, "a {8+}\r\n01234567\r\n", COMMAND_LITERAL_TOO_LONG},
        {{10, 7, 18, 99}, "a {8+}\r\n01234567\r\n", COMMAND_LITERAL_TOO_LONG},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(each); i++) {
        struct command_reader reader;
        struct log log = {.text = BUFFER_WITH_LIMIT(4096)};
        command_reader_init(&reader, each[i].limits);
        assert_true(feed(&reader, slice_of_string(each[i].input), &log));
        struct slice text = buffer_slice(&log.text);
        assert_int_equal(slice_find(text, SLICE("!long")) < text.len,
                         each[i].problem == COMMAND_TOO_LONG);
        assert_int_equal(slice_find(text, SLICE("!literal")) < text.len,
                         each[i].problem == COMMAND_LITERAL_TOO_LONG);
        buffer_clear(&log.text);
        command_reader_clear(&reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_at_every_split),
        cmocka_unit_test(idle_only_between_commands),
        cmocka_unit_test(limits_are_kept_apart),
        cmocka_unit_test(rest_of_a_stream_is_skipped),
        cmocka_unit_test(a_stream_too_long_to_skip_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
