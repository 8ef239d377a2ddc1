/* Promises of imapd/shared/answer.h and shared_names.h: the end of an answer is found, wherever the
 * input is cut, and nothing that a message says is taken for it. */
#include "tests/unit/test.h"

#include "common/buffer.h"
#include "common/size.h"
#include "imapd/shared/answer.h"
#include "imapd/shared/shared_names.h"

struct heard {
    struct buffer text, literal, tagged;
    size_t taken;
    bool ended, lost;
    enum answer_verdict verdict;
};

/* All octets at once up to `cut`, then the rest. */
static void hear(const char *octets, size_t cut, struct heard *heard)
{
    struct answer answer;
    struct slice all = slice_of_string(octets);
    size_t there = cut, taken = 0;
    assert_true(answer_init(&answer, SLICE("a1")));
    *heard = (struct heard){.text = BUFFER_WITH_LIMIT(1000),
                            .literal = BUFFER_WITH_LIMIT(1000),
                            .tagged = BUFFER_WITH_LIMIT(1000)};
    enum answer_part part;
    for (;;) {
        struct slice input = slice_range(all, heard->taken, there);
        part = answer_next(&answer, input, &taken);
        struct buffer *into = part == ANSWER_TEXT      ? &heard->text
                              : part == ANSWER_LITERAL ? &heard->literal
                                                       : &heard->tagged;
        buffer_append(into, slice_range(input, 0, taken));
        heard->taken += taken;
        if (part == ANSWER_END || part == ANSWER_LOST || (part == ANSWER_MORE && there == all.len))
            break;
        if (part == ANSWER_MORE)
            there = all.len;
    }
    heard->lost = part == ANSWER_LOST;
    heard->ended = answer_next(&answer, SLICE(""), &taken) == ANSWER_END;
    heard->verdict = answer.verdict;
}

static const struct {
    const char *octets;
    const char *text, *literal, *tagged;
    enum answer_verdict verdict; /* VERDICT_NONE: no end */
} cases[] = {
    {"a1 OK done\r\n", "", "", "a1 OK done\r\n", VERDICT_OK},
    {"* 1 EXISTS\r\na1 NO [NOPERM] no\r\n* 2", "* 1 EXISTS\r\n", "", "a1 NO [NOPERM] no\r\n",
     VERDICT_REFUSED},
    {"+ idling\r\n* BAD a1 OK\r\na1 BAD x\r\n", "+ idling\r\n* BAD a1 OK\r\n", "", "a1 BAD x\r\n",
     VERDICT_REFUSED},
    /* a message says what it likes */
    {"* 1 FETCH (BODY[] {9}\r\na1 OK x\r\n)\r\na1 OK\r\n", "* 1 FETCH (BODY[] {9}\r\n)\r\n",
     "a1 OK x\r\n", "a1 OK\r\n", VERDICT_OK},
    {"* 1 FETCH (BODY[] {0}\r\na1 OK x)\r\na1 OK\r\n", "* 1 FETCH (BODY[] {0}\r\na1 OK x)\r\n", "",
     "a1 OK\r\n", VERDICT_OK}, /* no line begins behind an empty one either */
    {"* 1 FETCH (X ~{2}\r\n\r\n A {1}\r\nb)\r\na1 OK\r\n", "* 1 FETCH (X ~{2}\r\n A {1}\r\n)\r\n",
     "\r\nb", "a1 OK\r\n", VERDICT_OK},
    {"* X \"{3}\"\r\na1 OK {5}\r\n", "* X \"{3}\"\r\n", "", "a1 OK {5}\r\n", VERDICT_OK},
    {"* X {3}\r\nab", "* X {3}\r\n", "ab", "", VERDICT_NONE},
    {"a1 O", "", "", "a1 O", VERDICT_NONE},
    {"a1", "", "", "", VERDICT_NONE},
};

static void the_end_is_found_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        for (size_t cut = 0; cut <= strlen(cases[i].octets); cut++) {
            struct heard heard;
            hear(cases[i].octets, cut, &heard);
            assert_true(slice_equal(buffer_slice(&heard.text), slice_of_string(cases[i].text)));
            assert_true(
                slice_equal(buffer_slice(&heard.literal), slice_of_string(cases[i].literal)));
            assert_true(slice_equal(buffer_slice(&heard.tagged), slice_of_string(cases[i].tagged)));
            assert_int_equal(heard.ended, cases[i].verdict != VERDICT_NONE);
            if (heard.ended)
                assert_int_equal(heard.verdict, cases[i].verdict);
            buffer_clear(&heard.text);
            buffer_clear(&heard.literal);
            buffer_clear(&heard.tagged);
        }
}

/* A NUL, too: nobody waits any longer. */
static void whatever_is_not_ok_is_a_refusal(void **state)
{
    (void)state;
    for (unsigned octet = 0; octet <= UINT8_MAX; octet++) {
        const uint8_t line[] = {'a', '1', ' ', (uint8_t)octet, 'K', '\r', '\n'};
        struct answer answer;
        size_t taken;
        assert_true(answer_init(&answer, SLICE("a1")));
        assert_int_equal(answer_next(&answer, slice_of(line, sizeof(line)), &taken), ANSWER_TAGGED);
        assert_int_equal(answer.verdict, octet == 'O' ? VERDICT_OK : VERDICT_REFUSED);
    }
}

/* RFC 3501 2.2.2: it is a response, or has the command's tag. */
static void what_is_no_answer_is_found(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "a11 OK\r\n", "a2 OK done\r\n",  "\r\n",
        "A1 OK\r\n",  "* 1 EXISTS\r\nb", "* X {1}\r\na)\r\na2 OK\r\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(lies); i++)
        for (size_t cut = 0; cut <= strlen(lies[i]); cut++) {
            struct heard heard;
            hear(lies[i], cut, &heard);
            assert_true(heard.lost);
            assert_true(slice_find(buffer_slice(&heard.text), SLICE("a2")) == heard.text.len);
            assert_int_equal(heard.tagged.len, 0);
            buffer_clear(&heard.text);
            buffer_clear(&heard.literal);
            buffer_clear(&heard.tagged);
        }
}

/* Whatever stands in the response that has begun, its end is the same, and the next tag the other.
 */
static void a_response_goes_on_under_another_tag(void **state)
{
    (void)state;
    static const char response[] = "* 1 FETCH (X {9}\r\nb OK x\r\n))\r\n";
    for (size_t cut = 1; cut < sizeof(response) - 1; cut++) {
        struct slice rest = slice_of_string(response);
        struct answer answer;
        size_t taken;
        assert_true(answer_init(&answer, SLICE("a long tag")));
        for (size_t left = cut; left > 0; left -= taken, rest = slice_from(rest, taken))
            assert_int_not_equal(answer_next(&answer, slice_range(rest, 0, left), &taken),
                                 ANSWER_LOST);
        assert_false(answer_is_between_lines(&answer));
        assert_true(answer_retag(&answer, SLICE("b")));
        for (; rest.len > 0; rest = slice_from(rest, taken)) {
            enum answer_part part = answer_next(&answer, rest, &taken);
            assert_true(part == ANSWER_TEXT || part == ANSWER_LITERAL);
        }
        assert_true(answer_is_between_lines(&answer));
        assert_int_equal(answer_next(&answer, SLICE("b OK y\r\n"), &taken), ANSWER_TAGGED);
        assert_int_equal(answer_next(&answer, SLICE(""), &taken), ANSWER_END);
        assert_int_equal(answer.verdict, VERDICT_OK);
    }
}

static void names_are_those_that_may_be_looked_up(void **state)
{
    (void)state;
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    shared_names_append(
        "Shared", SLICE("alice@x"),
        SLICE("lrx bob@x\tWork/A\ns anyone\tWork/A\nr bob@x\tHidden\n"
              "l anyone\tNot\nl -bob@x\tNot\nnonsense\nq bob@x\tNo\nl bob@x\tLast\n"),
        &text);
    assert_true(slice_equal(buffer_slice(&text), SLICE("lrsxc Shared/alice@x/Work/A\n"
                                                       "l Shared/alice@x/Last\n")));
    buffer_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_is_found_however_it_is_cut),
        cmocka_unit_test(whatever_is_not_ok_is_a_refusal),
        cmocka_unit_test(what_is_no_answer_is_found),
        cmocka_unit_test(a_response_goes_on_under_another_tag),
        cmocka_unit_test(names_are_those_that_may_be_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
