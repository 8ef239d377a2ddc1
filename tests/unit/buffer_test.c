/* Promises of common/buffer.h and common/arena.h: limits hold, failure is sticky. */
#include "tests/unit/test.h"

#include "common/arena.h"
#include "common/buffer.h"

static void limit_holds_and_failure_is_sticky(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_WITH_LIMIT(5);
    buffer_append(&buffer, SLICE("abc"));
    buffer_append(&buffer, SLICE("def"));
    assert_true(buffer.failed);
    buffer_append(&buffer, SLICE("d"));
    assert_slice_is(buffer_slice(&buffer), "abc");
    buffer_reset(&buffer);
    buffer_append(&buffer, SLICE("12345"));
    assert_false(buffer.failed);
    buffer_clear(&buffer);
    buffer_clear(&buffer);
}

static void own_octets_survive_growth(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_WITH_LIMIT(1 << 20);
    buffer_append(&buffer, SLICE("0123456789"));
    for (int i = 0; i < 10; i++)
        buffer_append(&buffer, buffer_slice(&buffer));
    assert_int_equal(buffer.len, 10240);
    for (size_t i = 0; i < buffer.len; i++)
        assert_int_equal(buffer.ptr[i], '0' + i % 10);
    buffer_clear(&buffer);
}

static void numbers_and_formats(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_WITH_LIMIT(100);
    buffer_append_number(&buffer, 0);
    buffer_append_octet(&buffer, ' ');
    buffer_append_number(&buffer, UINT64_MAX);
    buffer_append_format(&buffer, " %s=%d", "x", -3);
    assert_slice_is(buffer_slice(&buffer), "0 18446744073709551615 x=-3");
    buffer_consume(&buffer, 2);
    buffer_truncate(&buffer, 3);
    assert_slice_is(buffer_slice(&buffer), "184");
    buffer_clear(&buffer);
}

static void arena_is_bounded_and_reusable(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    assert_non_null(arena_copy(&arena, SLICE("")).ptr);
    for (int round = 0; round < 3; round++) {
        size_t got = 0;
        while (arena_alloc(&arena, 100))
            got++;
        assert_in_range(got, 30, 41);
        arena_reset(&arena);
    }
    assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 3));
    assert_string_equal(arena_copy_string(&arena, SLICE("name")), "name");
    arena_clear(&arena);
}

static void numbers_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"", false, 0},
        {"1a", false, 0},
        {"-1", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 0;
        assert_int_equal(slice_parse_number(slice_of_string(cases[i].text), &value),
                         cases[i].valid);
        assert_int_equal(value, cases[i].value);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_holds_and_failure_is_sticky),
        cmocka_unit_test(own_octets_survive_growth),
        cmocka_unit_test(numbers_and_formats),
        cmocka_unit_test(arena_is_bounded_and_reusable),
        cmocka_unit_test(numbers_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
