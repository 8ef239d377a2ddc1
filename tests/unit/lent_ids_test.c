/* Promises of smtpd/queue/intake/lent_ids.h: each id once, and only to whom it was lent. */
#include "tests/unit/test.h"

#include "smtpd/queue/intake/lent_ids.h"

static void each_id_is_used_once(void **state)
{
    (void)state;
    struct lent_ids lent = {0};
    assert_int_equal(lent_ids_use(&lent, 0), LENT_LONG_AGO); /* no id is 0 */
    assert_int_equal(lent_ids_use(&lent, 1000), LENT_NEVER);
    assert_true(lent_ids_add(&lent, 1000));
    assert_true(lent_ids_add(&lent, 5000));
    assert_int_equal(lent_ids_use(&lent, 999), LENT_NEVER);
    assert_int_equal(lent_ids_use(&lent, 1000 + LENT_RANGE), LENT_NEVER);
    assert_int_equal(lent_ids_use(&lent, 5003), LENT);
    for (uint64_t id = 1000; id < 1000 + LENT_RANGE; id++)
        assert_int_equal(lent_ids_use(&lent, id), LENT);
    for (uint64_t id = 1000; id < 1000 + LENT_RANGE; id++)
        assert_int_equal(lent_ids_use(&lent, id), LENT_NEVER);
    assert_int_equal(lent_ids_use(&lent, 5003), LENT_NEVER);
    assert_int_equal(lent.count, 1);
    lent_ids_clear(&lent);
    lent_ids_clear(&lent);
    assert_int_equal(lent_ids_use(&lent, 5004), LENT_NEVER);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct lent_ids lent = {0};
    for (uint64_t i = 1; i <= LENT_RANGES_MAX + 10; i++)
        assert_true(lent_ids_add(&lent, i * LENT_RANGE));
    assert_int_equal(lent.count, LENT_RANGES_MAX);
    assert_int_equal(lent_ids_use(&lent, 10 * LENT_RANGE + 7), LENT_LONG_AGO);
    assert_int_equal(lent_ids_use(&lent, 11 * LENT_RANGE), LENT);
    lent_ids_clear(&lent);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_id_is_used_once),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
