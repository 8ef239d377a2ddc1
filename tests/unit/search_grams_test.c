/* Promises of imapd/search/search_grams.h. */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "imapd/search/search_grams.h"

static uint64_t chance = 1;

static unsigned draw(unsigned below)
{
    chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(chance >> 33) % below;
}

static struct search_grams grams;

/* One text, in pieces of any length. */
static void feed(struct slice text)
{
    while (text.len > 0) {
        size_t piece = 1 + draw(text.len < 40 ? (unsigned)text.len : 40);
        search_grams_feed(&grams, slice_range(text, 0, piece));
        text = slice_from(text, piece);
    }
    search_grams_end(&grams);
}

static void no_part_of_a_text_is_ruled_out(void **state)
{
    (void)state;
    static uint8_t text[60000];
    for (int round = 0; round < 300; round++) {
        struct buffer record = BUFFER_WITH_LIMIT(SEARCH_GRAM_BITS / 8);
        size_t length = draw(3) ? draw(300) : draw(sizeof(text));
        unsigned letters = 1 + draw(250);
        for (size_t i = 0; i < length; i++)
            text[i] = (uint8_t)draw(letters);
        search_grams_init(&grams);
        size_t half = length / 2;
        feed(slice_of(text, half));
        feed(slice_of(text + half, length - half));
        search_grams_format(&grams, &record);
        assert_false(record.failed);
        for (int i = 0; i < 200; i++) {
            size_t begin = draw((unsigned)half + 1), octets = draw(12);
            assert_true(search_grams_may_have(
                buffer_slice(&record), slice_range(slice_of(text, half), begin, begin + octets)));
        }
        buffer_clear(&record);
    }
}

static size_t record_of(const char *text, struct buffer *record)
{
    search_grams_init(&grams);
    buffer_reset(record);
    feed(slice_of_string(text));
    search_grams_format(&grams, record);
    return record->len;
}

static void what_is_not_there_is_ruled_out(void **state)
{
    (void)state;
    struct buffer record = BUFFER_WITH_LIMIT(SEARCH_GRAM_BITS / 8);
    assert_int_equal(record_of("", &record), 8);
    assert_false(search_grams_may_have(buffer_slice(&record), SLICE("any")));
    assert_true(search_grams_may_have(buffer_slice(&record), SLICE("an"))); /* too short to tell */
    assert_true(search_grams_may_have(buffer_slice(&record), SLICE("")));
    assert_true(record_of("the quick brown fox", &record) <= 16);
    assert_false(search_grams_may_have(buffer_slice(&record), SLICE("jumps over")));
    assert_true(search_grams_may_have(buffer_slice(&record), SLICE("brown")));
    /* No string goes on in the next text. */
    search_grams_init(&grams);
    feed(SLICE("ab"));
    feed(SLICE("cd"));
    assert_int_equal(grams.count, 0);
    buffer_clear(&record);
}

static void a_text_of_all_there_is_rules_nothing_out(void **state)
{
    (void)state;
    struct buffer record = BUFFER_WITH_LIMIT(SEARCH_GRAM_BITS / 8);
    search_grams_init(&grams);
    for (int i = 0; i < 200000; i++) {
        uint8_t octets[3] = {(uint8_t)draw(256), (uint8_t)draw(256), (uint8_t)draw(256)};
        feed(slice_of(octets, 3));
    }
    search_grams_format(&grams, &record);
    assert_int_equal(record.len, 0);
    assert_true(search_grams_may_have(buffer_slice(&record), SLICE("anything")));
    /* So does a record that is none. */
    assert_true(search_grams_may_have(SLICE("123456789"), SLICE("anything")));
    buffer_clear(&record);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_part_of_a_text_is_ruled_out),
        cmocka_unit_test(what_is_not_there_is_ruled_out),
        cmocka_unit_test(a_text_of_all_there_is_rules_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
