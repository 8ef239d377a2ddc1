/* Promises of smtpd/queue/waiting/queued.h: nothing is counted twice or forgotten, targets are
 * shared. */
#include "tests/unit/test.h"

#include "smtpd/queue/outcome/outcome_text.h"
#include "smtpd/queue/waiting/queued.h"

static struct queued_recipient *add(struct queued *queued, struct queued_message *message,
                                    uint32_t number, const char *account)
{
    struct queued_recipient *recipient =
        queued_add_recipient(queued, message, number, TARGET_ACCOUNT, slice_of_string(account));
    assert_non_null(recipient);
    return recipient;
}

static void recipients_of_one_account_share_its_target(void **state)
{
    (void)state;
    struct queued queued = {0};
    struct queued_message *first = queued_add_message(&queued, 1, 0);
    struct queued_message *second = queued_add_message(&queued, 2, 0);
    struct queued_recipient *bob = add(&queued, first, 0, "bob@demo.test");
    add(&queued, first, 7, "carol@demo.test");
    struct queued_recipient *again = add(&queued, second, 0, "bob@demo.test");
    assert_ptr_equal(queued_target_of(bob), queued_target_of(again));
    assert_int_equal(queued_target_of(bob)->groups, 2);
    assert_ptr_equal(add(&queued, second, 1, "bob@demo.test")->group, again->group);
    queued_drop_recipient(&queued, again->next_of_message);
    assert_int_equal(first->next_number, 8);
    assert_int_equal(queued.recipient_count, 3);
    assert_ptr_equal(queued_find_message(&queued, 2), second);

    queued_drop_message(&queued, first);
    assert_null(queued_find_message(&queued, 1));
    queued_sweep_targets(&queued);
    assert_null(queued_find_target(&queued, TARGET_ACCOUNT, SLICE("carol@demo.test")));
    assert_ptr_equal(queued_find_target(&queued, TARGET_ACCOUNT, SLICE("bob@demo.test")),
                     queued_target_of(again));
    queued_drop_recipient(&queued, again); /* the last: the message goes with it */
    assert_int_equal(queued.message_count, 0);
    assert_int_equal(queued.recipient_count, 0);
    queued_clear(&queued);
    queued_clear(&queued);
}

static void a_target_that_is_asked_for_stays(void **state)
{
    (void)state;
    struct queued queued = {0};
    struct queued_message *message = queued_add_message(&queued, 1, 0);
    struct queue_target *target = queued_target_of(add(&queued, message, 0, "bob@demo.test"));
    target->deliver.state = TARGET_ASKED;
    queued_drop_message(&queued, message);
    queued_sweep_targets(&queued);
    assert_non_null(queued_find_target(&queued, TARGET_ACCOUNT, SLICE("bob@demo.test")));
    target->deliver.state = TARGET_KNOWN;
    queued_sweep_targets(&queued);
    assert_null(queued_find_target(&queued, TARGET_ACCOUNT, SLICE("bob@demo.test")));
    queued_clear(&queued);
}

static void held_messages_are_counted_once(void **state)
{
    (void)state;
    struct queued queued = {0};
    struct queued_message *message = queued_add_message(&queued, 1, 0);
    struct queued_recipient *recipients[3];
    for (uint32_t i = 0; i < 3; i++) {
        recipients[i] = add(&queued, message, i, "bob@demo.test");
        queued_enter(&queued, recipients[i], QUEUED_HELD);
        assert_int_equal(queued.held_count, 1);
    }
    queued_schedule(&queued, recipients[0], 10);
    queued_drop_recipient(&queued, recipients[1]);
    assert_int_equal(queued.held_count, 1);
    queued_drop_recipient(&queued, recipients[2]);
    assert_int_equal(queued.held_count, 0);
    queued_drop_recipient(&queued, recipients[0]); /* out of the schedule too */
    assert_null(queued.schedules[QUEUED_LOCAL].waiting.first);
    queued_clear(&queued);
}

static void leaving_the_schedule_leaves_the_line(void **state)
{
    (void)state;
    struct queued queued = {0};
    struct queued_message *message = queued_add_message(&queued, 1, 0);
    struct queued_recipient *recipient = add(&queued, message, 0, "bob@demo.test");
    queued_schedule(&queued, recipient, 10);
    struct schedule *schedule = &queued.schedules[QUEUED_LOCAL];
    schedule_advance(schedule, 10);
    assert_ptr_equal(schedule_next(schedule, SCHEDULE_PROVEN),
                     &queued_target_of(recipient)->destination);
    queued_enter(&queued, recipient, QUEUED_SETTLING); /* as when its account is gone */
    assert_null(schedule_next(schedule, SCHEDULE_PROVEN));
    queued_clear(&queued);
}

/* A relay's destination is no account of the same name, and is remembered while it rests. */
static void destinations_stand_apart(void **state)
{
    (void)state;
    struct queued queued = {0};
    struct queued_message *message = queued_add_message(&queued, 1, 7);
    add(&queued, message, 0, "demo.test");
    struct queued_recipient *recipient =
        queued_add_recipient(&queued, message, 1, TARGET_RELAY, SLICE("demo.test"));
    assert_non_null(recipient);
    struct queue_target *target = queued_target_of(recipient);
    assert_ptr_equal(queued_find_target(&queued, TARGET_RELAY, SLICE("demo.test")), target);
    assert_ptr_equal(target->destination.schedule, &queued.schedules[QUEUED_OUTWARD]);
    schedule_rest(&target->destination, 100);
    queued_drop_message(&queued, message);
    assert_null(queued.senders);
    queued_sweep_targets(&queued);
    assert_non_null(queued_find_target(&queued, TARGET_RELAY, SLICE("demo.test")));
    schedule_advance(&queued.schedules[QUEUED_OUTWARD], 100);
    queued_sweep_targets(&queued);
    assert_null(queued_find_target(&queued, TARGET_RELAY, SLICE("demo.test")));
    queued_clear(&queued);
}

static void the_sooner_time_comes_first(void **state)
{
    (void)state;
    struct queued queued = {0};
    struct queued_message *one = queued_add_message(&queued, 1, 0);
    struct queued_message *two = queued_add_message(&queued, 2, 0);
    queued_set_times(&queued, one, 100, QUEUED_NEVER);
    queued_set_times(&queued, two, 200, 50);
    assert_ptr_equal(queued.deadlines.first, two);
    queued_set_deadline(&queued, two, two->expires_ms);
    assert_ptr_equal(queued.deadlines.first, one);
    queued_drop_message(&queued, one);
    assert_ptr_equal(queued.deadlines.first, two);
    queued_set_deadline(&queued, two, QUEUED_NEVER);
    assert_null(queued.deadlines.first);
    queued_clear(&queued);
}

static void texts_are_cut(void **state)
{
    (void)state;
    static uint8_t octets[5000];
    memset(octets, 'x', sizeof(octets));
    char *text = NULL;
    queued_set_text(&text, slice_of(octets, sizeof(octets)));
    assert_int_equal(strlen(text), OUTCOME_TEXT_MAX);
    queued_set_text(&text, SLICE("4.2.2 full"));
    assert_string_equal(text, "4.2.2 full");
    queued_set_text(&text, slice_of(NULL, 0));
    assert_null(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipients_of_one_account_share_its_target),
        cmocka_unit_test(a_target_that_is_asked_for_stays),
        cmocka_unit_test(held_messages_are_counted_once),
        cmocka_unit_test(leaving_the_schedule_leaves_the_line),
        cmocka_unit_test(destinations_stand_apart),
        cmocka_unit_test(the_sooner_time_comes_first),
        cmocka_unit_test(texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
