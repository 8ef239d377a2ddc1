/* Promises of smtpd/queue/queue_id.h: one text for one number, and nothing else is taken. */
#include "tests/unit/test.h"

#include "smtpd/queue/queue_id.h"

static void known_texts(void **state)
{
    (void)state;
    static const struct {
        unsigned place, epoch;
        uint64_t count;
        const char *text;
    } cases[] = {
        {0, 0, 0, "0000000000000"},
        {0, 1, 0, "0001000000000"},
        {0, 1, 31, "000100000000Z"},
        {0, 1, 32, "0001000000010"},
        {1, 1, QUEUE_ID_COUNT_MAX, "0101FZZZZZZZZ"},
        {QUEUE_ID_PLACE_MAX, QUEUE_ID_EPOCH_MAX, QUEUE_ID_COUNT_MAX, "ZZZZFZZZZZZZZ"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t id = queue_id_make(cases[i].place, cases[i].epoch, cases[i].count), again = 0;
        char text[QUEUE_ID_SIZE];
        assert_string_equal(queue_id_format(id, text), cases[i].text);
        assert_true(queue_id_parse(slice_of_string(text), &again));
        assert_int_equal(again, id);
    }
}

static void what_is_no_id(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "000100000000",   /* too short */
        "00010000000000", /* too long */
        "0001G00000000",  /* count past 44 bits */
        "000100000000I",
        "000100000000L",
        "000100000000O",
        "000100000000U",
        "000100000000-",
        "0001 00000000",
        "000100000000\xc3",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t id = 7;
        assert_false(queue_id_parse(slice_of_string(cases[i]), &id));
        assert_int_equal(id, 7);
    }
    uint64_t id = 7;
    assert_false(queue_id_parse(SLICE("000100000000\0"), &id));
    assert_true(queue_id_parse(SLICE("0001abcdefghj"), &id));
    char text[QUEUE_ID_SIZE];
    assert_string_equal(queue_id_format(id, text), "0001ABCDEFGHJ");
}

static void order_of_numbers_is_order_of_texts(void **state)
{
    (void)state;
    uint64_t last = 0;
    char last_text[QUEUE_ID_SIZE], text[QUEUE_ID_SIZE];
    queue_id_format(last, last_text);
    for (uint64_t step = 1; last < UINT64_MAX - step; step *= 3) {
        last += step;
        assert_true(strcmp(last_text, queue_id_format(last, text)) < 0);
        memcpy(last_text, text, sizeof(text));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts),
        cmocka_unit_test(what_is_no_id),
        cmocka_unit_test(order_of_numbers_is_order_of_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
