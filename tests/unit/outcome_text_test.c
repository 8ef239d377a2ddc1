/* Promises of smtpd/queue/outcome/outcome_text.h: three lines whatever a peer says, and back. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "smtpd/queue/outcome/outcome_text.h"

static void texts_come_back(void **state)
{
    (void)state;
    static const struct {
        struct outcome_text text;
        const char *formatted;
    } cases[] = {
        {{SLICE("2.1.5 done"), SLICE("250 ok"), SLICE("mx [192.0.2.1]")},
         "2.1.5 done\n250 ok\nmx [192.0.2.1]"},
        {{SLICE("5.1.1 no"), SLICE("550-5.1.1 a\r\n550 5.1.1 b\r\n"), SLICE("mx")},
         "5.1.1 no\n550-5.1.1 a\r550 5.1.1 b\nmx"},
        {{SLICE("5.1.1 no"), SLICE("550-a\n550 b"), SLICE("")}, "5.1.1 no\n550-a\r550 b"},
        {{SLICE("4.4.1 silence"), SLICE(""), SLICE("mx")}, "4.4.1 silence\n\nmx"},
        {{SLICE("4.4.3 no DNS"), SLICE(""), SLICE("")}, "4.4.3 no DNS"},
        {{SLICE(""), SLICE(""), SLICE("")}, ""},
        {{SLICE("5.0.0 a\nb\tc"), SLICE("550 \x01\x7f\r.\xc3\xa4"), SLICE("m\nx")},
         "5.0.0 a?b c\n550 ???.\xc3\xa4\nm?x"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer out = BUFFER_WITH_LIMIT(OUTCOME_TEXT_MAX);
        outcome_text_format(&cases[i].text, &out);
        assert_slice_is(buffer_slice(&out), cases[i].formatted);
        struct outcome_text parsed = outcome_text_parse(buffer_slice(&out));
        struct buffer again = BUFFER_WITH_LIMIT(OUTCOME_TEXT_MAX);
        parsed.reply = slice_of(NULL, 0); /* its line ends are others now */
        outcome_text_format(&parsed, &again);
        assert_true(again.len <= out.len && !again.failed);
        buffer_clear(&again);
        buffer_clear(&out);
    }
}

static void parts_are_found(void **state)
{
    (void)state;
    struct outcome_text text = outcome_text_parse(SLICE("5.1.1 no\n550-a\r550 b\nmx\nmore"));
    assert_slice_is(text.words, "5.1.1 no");
    assert_slice_is(text.reply, "550-a\r550 b");
    assert_slice_is(text.peer, "mx");
    text = outcome_text_parse(SLICE("4.2.2 full"));
    assert_slice_is(text.words, "4.2.2 full");
    assert_int_equal(text.reply.len + text.peer.len, 0);
}

/* Longer than the limits, each part alone and all of them, with a cut within a character. */
static void lengths_are_bounded(void **state)
{
    (void)state;
    static uint8_t octets[5000];
    for (size_t i = 0; i < sizeof(octets); i++)
        octets[i] = i % 2 ? 0xa4 : 0xc3;
    struct slice longest = slice_of(octets, sizeof(octets));
    for (unsigned which = 0; which < 8; which++) {
        struct outcome_text text = {.words = slice_range(longest, which & 1, which & 1 ? 4999 : 0),
                                    .reply = slice_range(longest, 0, which & 2 ? 4999 : 0),
                                    .peer = slice_range(longest, 0, which & 4 ? 4999 : 0)};
        struct buffer out = BUFFER_WITH_LIMIT(OUTCOME_TEXT_MAX);
        outcome_text_format(&text, &out);
        assert_false(out.failed);
        struct outcome_text parsed = outcome_text_parse(buffer_slice(&out));
        assert_true(parsed.words.len <= OUTCOME_WORDS_MAX);
        assert_int_equal(parsed.peer.len, which & 4 ? OUTCOME_PEER_MAX : 0);
        assert_int_equal(parsed.reply.len % 2, 0); /* whole characters */
        buffer_clear(&out);
    }
}

/* The last attempt's words stand behind the reason; its reply and peer stay what they were. */
static void who_gives_up_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *last, *text;
    } cases[] = {
        {"", "5.4.7 too late"},
        {"4.2.2 full", "5.4.7 too late; the last answer was: 4.2.2 full"},
        {"4.2.2 full\n452-a\r452 b\nmx",
         "5.4.7 too late; the last answer was: 4.2.2 full\n452-a\r452 b\nmx"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer out = BUFFER_WITH_LIMIT(OUTCOME_TEXT_MAX);
        outcome_text_give_up(SLICE("5.4.7 too late"), slice_of_string(cases[i].last), &out);
        assert_slice_is(buffer_slice(&out), cases[i].text);
        buffer_clear(&out);
    }
}

static void status_codes_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *words, *status;
    } cases[] = {
        {"5.1.1 no", "5.1.1"},
        {"4.700.123", "4.700.123"},
        {"2.0.0 x", "2.0.0"},
        {"5.1 no", ""},
        {"5..1 no", ""},
        {"5.1.1. no", ""},
        {"3.1.1 no", ""},
        {"55.1.1 no", ""},
        {"5.1.1000 no", ""},
        {"no 5.1.1", ""},
        {"", ""},
        {"5.1.1\n", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_slice_is(outcome_text_status(slice_of_string(cases[i].words)), cases[i].status);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back),        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(lengths_are_bounded),    cmocka_unit_test(who_gives_up_says_why),
        cmocka_unit_test(status_codes_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
