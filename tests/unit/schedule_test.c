/* Promises of smtpd/queue/waiting/schedule.h: nothing before its time, nothing forgotten, nobody
 * starved.
 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "common/size.h"
#include "smtpd/queue/waiting/schedule.h"

/* One message to one destination. */
struct flow {
    struct schedule_turn sender, message;
    struct schedule_group group;
};

static void begin_flow(struct flow *flow, struct schedule_destination *destination)
{
    *flow = (struct flow){0};
    flow->group.destination = destination;
    flow->group.sender = &flow->sender;
    flow->group.message = &flow->message;
}

static struct schedule_entry *take(struct schedule *schedule)
{
    return schedule_take(schedule, SCHEDULE_PROVEN);
}

static void due_times_are_kept_in_any_order(void **state)
{
    (void)state;
    enum { ENTRIES = 2000 };
    static struct schedule_entry entries[ENTRIES];
    struct schedule schedule = {0};
    struct schedule_destination destination = {.schedule = &schedule};
    struct flow flow;
    begin_flow(&flow, &destination);
    unsigned seed = 4;
    for (size_t i = 0; i < ENTRIES; i++) {
        entries[i] = (struct schedule_entry){.group = &flow.group};
        schedule_add(&entries[i], (unsigned)rand_r(&seed) % 5000);
    }
    for (size_t i = 0; i < ENTRIES; i += 3) /* from anywhere in the heap */
        schedule_remove(&entries[i]);
    size_t taken = 0;
    uint64_t due, now = 0, last = 0;
    while (schedule_next_due(&schedule, &due)) {
        assert_true(due >= now);
        now = due;
        schedule_advance(&schedule, now);
        struct schedule_entry *entry;
        while ((entry = take(&schedule))) {
            assert_true(entry->node.key >= last && entry->node.key <= now);
            assert_int_not_equal((entry - entries) % 3, 0);
            last = entry->node.key;
            taken++;
        }
    }
    assert_int_equal(taken, ENTRIES - (ENTRIES + 2) / 3);
}

/* Whatever was added and removed, the smallest comes first, and equals in their order. */
static void heaps_are_sorted(void **state)
{
    (void)state;
    enum { NODES = 3000 };
    static struct heap_node nodes[NODES];
    struct heap heap = {0};
    unsigned seed = 9;
    for (size_t i = 0; i < NODES; i++) {
        nodes[i] = (struct heap_node){.key = (unsigned)rand_r(&seed) % 100, .order = i};
        heap_add(&heap, &nodes[i]);
        if (i % 5 == 4)
            heap_remove(&heap, &nodes[i - (unsigned)rand_r(&seed) % 4]);
    }
    size_t count = 0;
    const struct heap_node *last = NULL;
    for (; heap.first; count++) {
        struct heap_node *first = heap.first;
        heap_remove(&heap, first);
        assert_true(!last || last->key < first->key
                    || (last->key == first->key && last->order < first->order));
        last = first;
    }
    assert_int_equal(count, NODES - NODES / 5);
}

/* A message to one recipient, of whomever, to whatever place, leaves before all but a few of the
 * thousands that wait already. */
static void bulk_delays_nobody(void **state)
{
    (void)state;
    enum { BULK = 5000, DOMAINS = 100 };
    static struct schedule_destination destinations[DOMAINS];
    static struct flow to[DOMAINS], many[BULK];
    static struct schedule_entry bulk[BULK], newsletter[BULK];
    struct schedule schedule = {0};
    struct schedule_turn sender = {0}, message = {0}, writer = {0};
    for (size_t i = 0; i < DOMAINS; i++) {
        destinations[i] = (struct schedule_destination){.schedule = &schedule};
        begin_flow(&to[i], &destinations[i]); /* one message to all domains */
        to[i].group.sender = &sender;
        to[i].group.message = &message;
    }
    for (size_t i = 0; i < BULK; i++) {
        bulk[i] = (struct schedule_entry){.group = &to[i % DOMAINS].group};
        schedule_add(&bulk[i], 10);
        begin_flow(&many[i], &destinations[i % DOMAINS]); /* and thousands of another sender */
        many[i].group.sender = &writer;
        newsletter[i] = (struct schedule_entry){.group = &many[i].group};
        schedule_add(&newsletter[i], 10);
    }
    schedule_advance(&schedule, 10);
    for (size_t i = 0; i < 1000; i++)
        assert_non_null(take(&schedule));
    struct flow others[2];
    struct schedule_entry singles[2];
    for (size_t i = 0; i < 2; i++) {
        begin_flow(&others[i], &destinations[7]);
        others[i].group.sender =
            i == 0 ? &others[i].sender : &sender; /* of the bulk's sender too */
        singles[i] = (struct schedule_entry){.group = &others[i].group};
        schedule_add(&singles[i], 20);
    }
    schedule_advance(&schedule, 20);
    size_t before[2] = {0};
    for (size_t taken = 0; before[0] == 0 || before[1] == 0; taken++) {
        const struct schedule_entry *entry = take(&schedule);
        assert_true(taken < 1000 && entry);
        for (size_t i = 0; i < 2; i++)
            if (entry == &singles[i])
                before[i] = taken + 1;
    }
    assert_in_range(before[0], 1, 5);
    assert_in_range(before[1], 1, 250); /* behind a fair share of his own */
}

static void blocked_destinations_keep_their_line(void **state)
{
    (void)state;
    struct schedule schedule = {0};
    struct schedule_destination first = {.schedule = &schedule}, second = {.schedule = &schedule};
    struct flow flows[2];
    begin_flow(&flows[0], &first);
    begin_flow(&flows[1], &second);
    struct schedule_entry entries[3] = {
        {.group = &flows[0].group}, {.group = &flows[0].group}, {.group = &flows[1].group}};
    for (size_t i = 0; i < 3; i++)
        schedule_add(&entries[i], i);
    schedule_block(&first);
    schedule_advance(&schedule, 5);
    assert_ptr_equal(schedule_first_of(&first), &entries[0]);
    assert_ptr_equal(take(&schedule), &entries[2]);
    assert_null(take(&schedule));
    schedule_unblock(&first);
    schedule_unblock(&first);
    schedule_remove(&entries[0]); /* ready, not taken */
    assert_ptr_equal(take(&schedule), &entries[1]);
    assert_null(take(&schedule));
    schedule_add(&entries[1], 9); /* again, after it was taken */
    schedule_advance(&schedule, 8);
    assert_null(take(&schedule));
    schedule_block(&first);
    schedule_block(&first);
    schedule_advance(&schedule, 9);
    schedule_remove(&entries[1]);
    schedule_unblock(&first);
    assert_null(take(&schedule));
}

static void who_rests_is_served_afterwards(void **state)
{
    (void)state;
    struct schedule schedule = {0};
    struct schedule_destination destination = {.schedule = &schedule};
    struct flow flow;
    begin_flow(&flow, &destination);
    struct schedule_entry entry = {.group = &flow.group};
    uint64_t due;
    schedule_add(&entry, 5);
    schedule_advance(&schedule, 5);
    schedule_rest(&destination, 100);
    schedule_rest(&destination, 50);
    assert_null(take(&schedule));
    assert_true(schedule_next_due(&schedule, &due));
    assert_int_equal(due, 50);
    schedule_set_lane(&destination, SCHEDULE_UNPROVEN); /* while it rests */
    schedule_advance(&schedule, 49);
    assert_null(schedule_next(&schedule, SCHEDULE_UNPROVEN));
    schedule_advance(&schedule, 50);
    assert_ptr_equal(schedule_next(&schedule, SCHEDULE_UNPROVEN), &destination);
    schedule_set_lane(&destination, SCHEDULE_PROVEN);
    assert_null(schedule_next(&schedule, SCHEDULE_UNPROVEN));
    assert_ptr_equal(take(&schedule), &entry);
    assert_false(schedule_next_due(&schedule, &due));
    schedule_rest(&destination, 60);
    schedule_forget(&destination);
    assert_false(schedule_next_due(&schedule, &due));
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
        cmocka_unit_test(heaps_are_sorted),
        cmocka_unit_test(bulk_delays_nobody),
        cmocka_unit_test(blocked_destinations_keep_their_line),
        cmocka_unit_test(who_rests_is_served_afterwards),
        cmocka_unit_test(waits_follow_the_list_with_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
