/* Promises of imapd/syntax/sequence_set.h. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/syntax/sequence_set.h"

static const struct parse_case {
    const char *text;
    uint32_t largest;
    const char *resolved; /* NULL: no sequence-set at all */
    const char *rest;     /* behind it */
} cases[] = {
    {"1", 9, "1", ""},
    {"1,2,3", 9, "1:3", ""},
    {"3,1,2 x", 9, "1:3", " x"},
    {"2:4", 9, "2:4", ""},
    {"4:2", 9, "2:4", ""}, /* "2:4 and 4:2 are equivalent" */
    {"*", 9, "9", ""},
    {"*:4", 9, "4:9", ""},
    {"12:*", 9, "9:12", ""}, /* UID FETCH 12:* always names the last, RFC 3501 6.4.8 */
    {"5:*", 0, "", ""},      /* of an empty mailbox */
    {"*,3", 0, "3", ""},
    {"1:3,2:8,9,20", 9, "1:9,20", ""},
    {"8:9,1:3,5", 9, "1:3,5,8:9", ""},
    {"1:4294967295,4294967295", 9, "1:4294967295", ""},
    {"4294967295,1", 9, "1,4294967295", ""},
    {"$", 9, "", ""}, /* RFC 5182 3: what it stands for is another's to know */
    {"1,$", 9, "1", ""},
    {"$,1", 9, "", ",1"},
    {"1:$", 9, NULL, "1:$"},
    {"1:2:3", 9, "1:2", ":3"},
    {"0", 9, NULL, "0"},
    {"01", 9, NULL, "01"},
    {"1:0", 9, NULL, "1:0"},
    {"4294967296", 9, NULL, "4294967296"},
    {"99999999999999999999999", 9, NULL, "99999999999999999999999"},
    {"", 9, NULL, ""},
    {"1,", 9, NULL, "1,"},
    {",1", 9, NULL, ",1"},
    {"1:", 9, NULL, "1:"},
    {"1:,2", 9, NULL, "1:,2"},
    {"-1", 9, NULL, "-1"},
    {"a", 9, NULL, "a"},
};

static void sets_are_parsed_and_resolved(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena arena;
        struct sequence_set set;
        struct buffer text = BUFFER_WITH_LIMIT(200);
        struct cursor in = cursor_of(slice_of_string(cases[i].text));
        arena_init(&arena, 10000);
        assert_int_equal(sequence_set_parse(&in, &arena, &set), cases[i].resolved != NULL);
        assert_slice_is(cursor_rest(&in), cases[i].rest);
        if (cases[i].resolved) {
            sequence_set_resolve(&set, cases[i].largest);
            sequence_set_format(&set, &text);
            assert_slice_is(buffer_slice(&text), cases[i].resolved);
        }
        buffer_clear(&text);
        arena_clear(&arena);
    }
}

static void contains_what_it_names(void **state)
{
    (void)state;
    struct arena arena;
    struct sequence_set set;
    struct cursor in = cursor_of(SLICE("2:3,7,10:*"));
    arena_init(&arena, 10000);
    assert_true(sequence_set_parse(&in, &arena, &set));
    sequence_set_resolve(&set, 12);
    for (uint32_t n = 0; n < 16; n++) {
        bool named = n == 2 || n == 3 || n == 7 || (n >= 10 && n <= 12);
        assert_int_equal(sequence_set_contains(&set, n), named);
    }
    assert_int_equal(sequence_set_largest(&set), 12);
    assert_int_equal(sequence_set_size(&set), 6);
    arena_clear(&arena);
}

static void numbers_are_added_in_order(void **state)
{
    (void)state;
    struct arena arena;
    struct sequence_set set;
    struct buffer text = BUFFER_WITH_LIMIT(200);
    const uint32_t numbers[] = {4, 5, 6, 9, 1, 2, UINT32_MAX};
    arena_init(&arena, 10000);
    sequence_set_init(&set, &arena);
    assert_int_equal(sequence_set_largest(&set), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
        assert_true(sequence_set_add(&set, numbers[i]));
    sequence_set_format(&set, &text);
    assert_slice_is(buffer_slice(&text), "4:6,9,1:2,4294967295");
    buffer_clear(&text);
    arena_clear(&arena);
}

static void a_full_arena_is_a_failure(void **state)
{
    (void)state;
    struct arena arena;
    struct sequence_set set;
    struct cursor in = cursor_of(SLICE("1,3,5,7,9,11,13,15,17"));
    arena_init(&arena, 64);
    assert_false(sequence_set_parse(&in, &arena, &set));
    assert_true(set.full);
    assert_int_equal(*in.at, '1');
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_parsed_and_resolved),
        cmocka_unit_test(contains_what_it_names),
        cmocka_unit_test(numbers_are_added_in_order),
        cmocka_unit_test(a_full_arena_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
