/* Promises of common/auth/throttle.h: guessing is slow, the owner from elsewhere is not. */
#include "tests/unit/test.h"

#include <sodium.h>

#include "common/auth/throttle.h"
#include "common/size.h"

static const struct throttle_limits limits = {
    .free = 2,
    .pause_after = 6,
    .network_pause_after = 20,
    .pause_ms = 60000,
    .forget_ms = 10000,
    .refusal_ms = 500,
    .slowest_ms = 3000,
    .ipv4_bits = 24,
    .ipv6_bits = 64,
};

static struct throttle_who who(const struct throttle *throttle, const char *account,
                               const char *address)
{
    struct ip_address ip;
    assert_true(ip_address_parse(slice_of_string(address), &ip));
    return throttle_who(throttle, slice_of_string(account), &ip);
}

static struct throttle_news guess(struct throttle *throttle, const struct throttle_who *guesser,
                                  unsigned number, uint64_t now_ms)
{
    assert_int_equal(throttle_begin(throttle, guesser, now_ms), THROTTLE_TRY);
    return throttle_failed(throttle, guesser, slice_of(&number, sizeof(number)), now_ms);
}

static int fresh(void **state)
{
    struct error error;
    *state = throttle_new(&limits, &error);
    return *state ? 0 : -1;
}

static int freed(void **state)
{
    throttle_free(*state);
    return 0;
}

static void refusals_get_slower_then_pause(void **state)
{
    struct throttle *throttle = *state;
    static const uint64_t held_ms[] = {500, 500, 1000, 2000, 3000, 3000};
    struct throttle_who guesser = who(throttle, "alice", "192.0.2.1");
    for (unsigned i = 0; i < 6; i++) {
        struct throttle_news news = guess(throttle, &guesser, i, 0);
        assert_int_equal(news.failures, i + 1);
        assert_int_equal(news.pair_paused, i == 5);
        assert_int_equal(throttle_refusal_ms(throttle, &guesser, 0), held_ms[i]);
    }
    assert_int_equal(throttle_begin(throttle, &guesser, 0), THROTTLE_PAUSED);
    assert_int_equal(throttle_begin(throttle, &guesser, 59999), THROTTLE_PAUSED);
    /* After the pause half of them count still: three more, not six. */
    for (unsigned i = 10; i < 13; i++)
        assert_int_equal(guess(throttle, &guesser, i, 60000).pair_paused, i == 12);
}

static void others_are_not_touched(void **state)
{
    struct throttle *throttle = *state;
    struct throttle_who guesser = who(throttle, "alice", "192.0.2.1");
    for (unsigned i = 0; i < 6; i++)
        guess(throttle, &guesser, i, 0);
    static const struct {
        const char *account;
        const char *address;
        enum throttle_verdict verdict;
    } cases[] = {
        {"alice", "192.0.2.200", THROTTLE_PAUSED}, /* same network */
        {"alice", "192.0.3.1", THROTTLE_TRY},      /* the owner, from elsewhere */
        {"bob", "192.0.2.1", THROTTLE_TRY},
        {"alice", "2001:db8::1", THROTTLE_TRY},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct throttle_who other = who(throttle, cases[i].account, cases[i].address);
        assert_int_equal(throttle_begin(throttle, &other, 0), cases[i].verdict);
    }
}

static void a_right_password_forgives(void **state)
{
    struct throttle *throttle = *state;
    struct throttle_who owner = who(throttle, "alice", "2001:db8::1");
    for (unsigned i = 0; i < 5; i++)
        guess(throttle, &owner, i, 0);
    assert_int_equal(throttle_begin(throttle, &owner, 0), THROTTLE_TRY);
    throttle_succeeded(throttle, &owner, 0);
    assert_int_equal(guess(throttle, &owner, 9, 0).failures, 1);
}

static void failures_are_forgotten(void **state)
{
    struct throttle *throttle = *state;
    struct throttle_who owner = who(throttle, "alice", "2001:db8::1");
    for (unsigned i = 0; i < 5; i++)
        guess(throttle, &owner, i, 9999 * i);
    assert_int_equal(guess(throttle, &owner, 9, 9999 * 4 + 10000).failures, 1);
}

static void the_same_wrong_password_counts_once(void **state)
{
    struct throttle *throttle = *state;
    struct throttle_who telephone = who(throttle, "alice", "2001:db8::1");
    assert_int_equal(guess(throttle, &telephone, 1, 0).failures, 1);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(guess(throttle, &telephone, 1, i).failures, 0);
    assert_int_equal(guess(throttle, &telephone, 2, 100).failures, 2);
}

static void a_network_is_counted_over_accounts(void **state)
{
    struct throttle *throttle = *state;
    char name[20];
    bool paused = false;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "user%u", i);
        struct throttle_who guesser = who(throttle, name, "198.51.100.7");
        paused = guess(throttle, &guesser, 0, 0).network_paused;
        assert_int_equal(paused, i == 19);
    }
    struct throttle_who next = who(throttle, "alice", "198.51.100.8");
    assert_int_equal(throttle_begin(throttle, &next, 0), THROTTLE_PAUSED);
    assert_int_equal(throttle_refusal_ms(throttle, &next, 0), 3000);
}

static void loopback_is_many_people(void **state)
{
    struct throttle *throttle = *state;
    char name[20];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "user%u", i);
        struct throttle_who guesser = who(throttle, name, i % 2 ? "127.0.0.1" : "::1");
        assert_false(guess(throttle, &guesser, 0, 0).network_paused);
    }
    struct throttle_who guesser = who(throttle, "alice", "127.0.0.1");
    for (unsigned i = 0; i < 6; i++)
        guess(throttle, &guesser, i, 0);
    assert_int_equal(throttle_begin(throttle, &guesser, 0), THROTTLE_PAUSED);
}

static void many_at_once_get_no_more_tries(void **state)
{
    struct throttle *throttle = *state;
    struct throttle_who guesser = who(throttle, "alice", "192.0.2.1");
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(throttle_begin(throttle, &guesser, 0), THROTTLE_TRY);
    assert_int_equal(throttle_begin(throttle, &guesser, 0), THROTTLE_WAIT);
    throttle_abandoned(throttle, &guesser);
    assert_int_equal(throttle_begin(throttle, &guesser, 0), THROTTLE_TRY);
    for (unsigned i = 0; i < 6; i++)
        throttle_failed(throttle, &guesser, slice_of(&i, sizeof(i)), 0);
    assert_int_equal(throttle_begin(throttle, &guesser, 0), THROTTLE_PAUSED);
}

/* A hundred networks and a hundred thousand names push nobody out of a pause. */
static void a_flood_frees_nobody(void **state)
{
    struct throttle *throttle = *state;
    struct throttle_who guesser = who(throttle, "alice", "192.0.2.1");
    for (unsigned i = 0; i < 6; i++)
        guess(throttle, &guesser, i, 0);
    for (unsigned i = 0; i < 100000; i++) {
        char name[20];
        char address[40];
        snprintf(name, sizeof(name), "user%u", i);
        snprintf(address, sizeof(address), "2001:db8:%x:%x::1", i % 100, i / 100 % 10);
        struct throttle_who other = who(throttle, name, address);
        if (throttle_begin(throttle, &other, 1) == THROTTLE_TRY)
            throttle_failed(throttle, &other, SLICE("x"), 1);
    }
    assert_int_equal(throttle_begin(throttle, &guesser, 1), THROTTLE_PAUSED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refusals_get_slower_then_pause, fresh, freed),
        cmocka_unit_test_setup_teardown(others_are_not_touched, fresh, freed),
        cmocka_unit_test_setup_teardown(a_right_password_forgives, fresh, freed),
        cmocka_unit_test_setup_teardown(failures_are_forgotten, fresh, freed),
        cmocka_unit_test_setup_teardown(the_same_wrong_password_counts_once, fresh, freed),
        cmocka_unit_test_setup_teardown(a_network_is_counted_over_accounts, fresh, freed),
        cmocka_unit_test_setup_teardown(loopback_is_many_people, fresh, freed),
        cmocka_unit_test_setup_teardown(many_at_once_get_no_more_tries, fresh, freed),
        cmocka_unit_test_setup_teardown(a_flood_frees_nobody, fresh, freed),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
