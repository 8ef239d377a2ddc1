/* Promises of smtpd/queue/schedule.h: nothing before its time, nothing forgotten, nobody starved.
 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "common/size.h"
#include "smtpd/queue/schedule.h"

static void due_times_are_kept_in_any_order(void **state)
{
    (void)state;
    enum { ENTRIES = 2000 };
    static struct schedule_entry entries[ENTRIES];
    struct schedule_destination destination = {0};
    struct schedule schedule = {0};
    unsigned seed = 4;
    assert_true(schedule_reserve(&schedule, ENTRIES));
    for (size_t i = 0; i < ENTRIES; i++) {
        entries[i] = (struct schedule_entry){.destination = &destination};
        schedule_add(&schedule, &entries[i], (unsigned)rand_r(&seed) % 5000);
    }
    for (size_t i = 0; i < ENTRIES; i += 3) /* from anywhere in the heap */
        schedule_remove(&schedule, &entries[i]);
    size_t taken = 0;
    uint64_t due, now = 0, last = 0;
    while (schedule_next_due(&schedule, &due)) {
        assert_true(due >= now);
        now = due;
        schedule_advance(&schedule, now);
        struct schedule_entry *entry;
        while ((entry = schedule_take(&schedule))) {
            assert_true(entry->due_ms >= last && entry->due_ms <= now);
            assert_int_not_equal((entry - entries) % 3, 0);
            last = entry->due_ms;
            taken++;
        }
    }
    assert_int_equal(taken, ENTRIES - (ENTRIES + 2) / 3);
    schedule_clear(&schedule);
    schedule_clear(&schedule);
}

static void a_long_line_does_not_delay_a_short_one(void **state)
{
    (void)state;
    static struct schedule_entry bulk[1000];
    struct schedule_entry single[2] = {0};
    struct schedule_destination many = {0}, few = {0};
    struct schedule schedule = {0};
    assert_true(schedule_reserve(&schedule, 1002));
    for (size_t i = 0; i < 1000; i++) {
        bulk[i] = (struct schedule_entry){.destination = &many};
        schedule_add(&schedule, &bulk[i], 10);
    }
    for (size_t i = 0; i < 2; i++) {
        single[i].destination = &few;
        schedule_add(&schedule, &single[i], 20);
    }
    schedule_advance(&schedule, 20);
    static const bool is_single[] = {false, true, false, true, false, false};
    for (size_t i = 0; i < ARRAY_LENGTH(is_single); i++)
        assert_int_equal(schedule_take(&schedule)->destination == &few, is_single[i]);
    schedule_clear(&schedule);
}

static void blocked_destinations_keep_their_line(void **state)
{
    (void)state;
    struct schedule_destination first = {0}, second = {0};
    struct schedule_entry entries[3] = {
        {.destination = &first}, {.destination = &first}, {.destination = &second}};
    struct schedule schedule = {0};
    assert_true(schedule_reserve(&schedule, 3));
    for (size_t i = 0; i < 3; i++)
        schedule_add(&schedule, &entries[i], i);
    schedule_block(&schedule, &first);
    schedule_advance(&schedule, 5);
    assert_ptr_equal(schedule_take(&schedule), &entries[2]);
    assert_null(schedule_take(&schedule));
    schedule_unblock(&schedule, &first);
    schedule_unblock(&schedule, &first);
    schedule_remove(&schedule, &entries[0]); /* ready, not taken */
    assert_ptr_equal(schedule_take(&schedule), &entries[1]);
    assert_null(schedule_take(&schedule));
    schedule_add(&schedule, &entries[1], 9); /* again, after it was taken */
    schedule_advance(&schedule, 8);
    assert_null(schedule_take(&schedule));
    schedule_block(&schedule, &first);
    schedule_block(&schedule, &first);
    schedule_advance(&schedule, 9);
    schedule_remove(&schedule, &entries[1]);
    schedule_unblock(&schedule, &first);
    assert_null(schedule_take(&schedule));
    schedule_clear(&schedule);
}

static void waits_follow_the_list_with_jitter(void **state)
{
    (void)state;
    static const uint64_t waits[] = {60000, 300000, 14400000};
    for (uint32_t attempts = 1; attempts < 10; attempts++) {
        uint64_t middle = waits[attempts < 3 ? attempts - 1 : 2], low = UINT64_MAX, high = 0;
        for (uint32_t random = 0; random < UINT32_MAX - 99999; random += 99999) {
            uint64_t wait = schedule_wait_ms(waits, 3, attempts, random);
            low = wait < low ? wait : low;
            high = wait > high ? wait : high;
        }
        assert_in_range(low, middle * 9 / 10, middle * 91 / 100);
        assert_in_range(high, middle * 109 / 100, middle * 11 / 10);
    }
    static const uint64_t zero[] = {0};
    assert_int_equal(schedule_wait_ms(zero, 1, 1, 12345), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_times_are_kept_in_any_order),
        cmocka_unit_test(a_long_line_does_not_delay_a_short_one),
        cmocka_unit_test(blocked_destinations_keep_their_line),
        cmocka_unit_test(waits_follow_the_list_with_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
