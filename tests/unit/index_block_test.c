/* Promises of storage/index_block.h. */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "storage/index_block.h"

enum { FIRST = 7 * INDEX_BLOCK_UIDS };

/* What ought to be there. */
struct model {
    bool there[INDEX_BLOCK_UIDS];
    uint8_t octet[INDEX_BLOCK_UIDS];
    size_t octets[INDEX_BLOCK_UIDS];
};

static void assert_is(const struct index_block *block, const struct model *model)
{
    struct slice text;
    uint32_t count = 0;
    for (uint32_t i = 0; i < INDEX_BLOCK_UIDS; i++) {
        bool found = index_block_find(block, FIRST + i, &text);
        assert_int_equal(found, model->there[i]);
        count += found;
        if (!found)
            continue;
        assert_int_equal(text.len, model->octets[i]);
        for (size_t at = 0; at < text.len; at++)
            assert_int_equal(text.ptr[at], model->octet[i]);
    }
    assert_int_equal(block->count, count);
}

static void change(struct index_block *block, struct model *model, unsigned random)
{
    uint8_t octets[100];
    uint32_t at = random % INDEX_BLOCK_UIDS;
    size_t length = random / 1000 % sizeof(octets);
    if (random / 100000 % 3 == 0) {
        index_block_remove(block, FIRST + at);
        model->there[at] = false;
        return;
    }
    memset(octets, (uint8_t)(random / 300), sizeof(octets));
    index_block_put(block, FIRST + at, slice_of(octets, length));
    model->there[at] = true;
    model->octet[at] = octets[0];
    model->octets[at] = length;
}

static void texts_are_put_found_and_removed(void **state)
{
    (void)state;
    struct index_block block, copy;
    struct model model = {.there = {false}};
    struct buffer record = BUFFER_WITH_LIMIT(1 << 20);
    uint64_t random = 1;
    index_block_init(&block);
    index_block_init(&copy);
    for (int round = 0; round < 3000; round++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        change(&block, &model, (unsigned)(random >> 33));
        if (round % 50 != 0)
            continue;
        assert_is(&block, &model);
        buffer_reset(&record);
        index_block_format(&block, &record);
        assert_true(index_block_parse(buffer_slice(&record), FIRST, &copy));
        assert_is(&copy, &model);
    }
    index_block_clear(&block);
    index_block_clear(&block);
    index_block_clear(&copy);
    buffer_clear(&record);
}

static void what_has_no_room_is_left_out(void **state)
{
    (void)state;
    struct index_block block;
    struct slice text;
    uint8_t *octets = calloc(1, INDEX_BLOCK_OCTETS);
    assert_non_null(octets);
    index_block_init(&block);
    index_block_put(&block, FIRST, SLICE("here"));
    index_block_put(&block, FIRST + 1, slice_of(octets, INDEX_BLOCK_OCTETS));
    assert_false(index_block_find(&block, FIRST + 1, &text));
    index_block_put(&block, FIRST + 2, SLICE("there"));
    assert_true(index_block_find(&block, FIRST, &text));
    assert_slice_is(text, "here");
    assert_true(index_block_find(&block, FIRST + 2, &text));
    assert_slice_is(text, "there");
    index_block_clear(&block);
    free(octets);
}

/* In memory that ends where the record ends: the sanitizer sees what is read behind it. */
static bool parse_copy(struct slice record, uint32_t first_uid, struct index_block *block)
{
    uint8_t *copy = malloc(record.len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, record.ptr, record.len);
    bool parsed = index_block_parse(slice_of(copy + 1, record.len), first_uid, block);
    free(copy);
    return parsed;
}

static void half_a_record_is_none(void **state)
{
    (void)state;
    struct index_block block, other;
    struct buffer record = BUFFER_WITH_LIMIT(10000);
    index_block_init(&block);
    index_block_init(&other);
    index_block_put(&block, FIRST, SLICE("one"));
    index_block_put(&block, FIRST + 5, SLICE("another"));
    index_block_format(&block, &record);
    for (size_t length = 0; length < record.len; length++) {
        assert_false(parse_copy(slice_range(buffer_slice(&record), 0, length), FIRST, &other));
        assert_int_equal(other.count, 0);
    }
    assert_false(parse_copy(buffer_slice(&record), FIRST + INDEX_BLOCK_UIDS, &other));
    assert_false(parse_copy(buffer_slice(&record), FIRST - INDEX_BLOCK_UIDS, &other));
    for (size_t at = 0; at < 4 + 2 * 8; at++) { /* numbers that lead elsewhere */
        record.ptr[at] ^= 0xff;
        parse_copy(buffer_slice(&record), FIRST, &other);
        record.ptr[at] ^= 0xff;
    }
    assert_true(parse_copy(buffer_slice(&record), FIRST, &other));
    index_block_clear(&block);
    index_block_clear(&other);
    buffer_clear(&record);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_put_found_and_removed),
        cmocka_unit_test(what_has_no_room_is_left_out),
        cmocka_unit_test(half_a_record_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
