/* Promises of common/net/connections.h: each limit, a network's tenth, and who is silent longest.
 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include <sodium.h>

#include "common/net/connections.h"
#include "common/size.h"

static const struct config_limits limits = {
    .connections = 20,
    .connections_per_network = 6,
    .unauthenticated_connections = 10,
    .unauthenticated_per_network = 2,
    .network_ipv4_bits = 24,
    .network_ipv6_bits = 64,
};

static struct ip_address address(const char *text)
{
    struct ip_address parsed;
    assert_true(ip_address_parse(slice_of_string(text), &parsed));
    return parsed;
}

static void init(struct connections *connections, uint32_t processes)
{
    assert_true(sodium_init() >= 0);
    assert_true(connections_init(connections, &limits, processes, NULL));
}

static void a_network_is_its_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *client;
        enum connection_verdict verdict;
    } cases[] = {
        {"192.0.2.1", CONNECTION_ADMITTED},
        {"192.0.2.1", CONNECTION_ADMITTED},
        {"192.0.2.255", CONNECTION_TOO_MANY_UNAUTHENTICATED_OF_NETWORK},
        {"192.0.3.1", CONNECTION_ADMITTED},
        {"2001:db8::1", CONNECTION_ADMITTED},
        {"2001:db8::ffff:1", CONNECTION_ADMITTED},
        {"2001:db8::2", CONNECTION_TOO_MANY_UNAUTHENTICATED_OF_NETWORK},
        {"2001:db8:0:1::1", CONNECTION_ADMITTED},
    };
    struct connections connections;
    struct connection_share shares[8] = {{.network = NULL}};
    init(&connections, 1);
    for (size_t i = 0; i < 8; i++) {
        struct ip_address client = address(cases[i].client);
        assert_int_equal(connections_enter(&connections, &client, &shares[i]), cases[i].verdict);
    }
    for (size_t i = 0; i < 8; i++)
        connections_leave(&connections, &shares[i]);
    assert_int_equal(connections.count, 0);
    assert_int_equal(connections.unauthenticated, 0);
    connections_clear(&connections);
}

static struct ip_address network_number(size_t number)
{
    return (struct ip_address){.family = IP_V4, .octets = {10, 0, (uint8_t)number, 1}};
}

static void strangers_have_a_limit_of_their_own(void **state)
{
    (void)state;
    struct connections connections;
    struct connection_share shares[10];
    struct connection_share more;
    init(&connections, 1);
    for (size_t i = 0; i < 10; i++) {
        struct ip_address client = network_number(i);
        assert_int_equal(connections_enter(&connections, &client, &shares[i]), CONNECTION_ADMITTED);
    }
    struct ip_address client = network_number(10);
    assert_int_equal(connections_enter(&connections, &client, &more),
                     CONNECTION_TOO_MANY_UNAUTHENTICATED);
    connections_authenticate(&connections, &shares[0]);
    connections_authenticate(&connections, &shares[0]);
    assert_int_equal(connections_enter(&connections, &client, &more), CONNECTION_ADMITTED);
    connections_forget_who(&connections, &shares[0]); /* one more than there may be */
    connections_forget_who(&connections, &shares[0]);
    connections_leave(&connections, &more);
    connections_leave(&connections, &more);
    assert_int_equal(connections_enter(&connections, &client, &more),
                     CONNECTION_TOO_MANY_UNAUTHENTICATED);
    for (size_t i = 0; i < 10; i++)
        connections_leave(&connections, &shares[i]);
    assert_int_equal(connections.count, 0);
    assert_int_equal(connections.unauthenticated, 0);
    connections_clear(&connections);
}

static void all_and_one_network_are_limited(void **state)
{
    (void)state;
    struct connections connections;
    struct connection_share shares[21];
    init(&connections, 1);
    for (size_t i = 0; i < 20; i++) {
        struct ip_address client = network_number(i / 6);
        assert_int_equal(connections_enter(&connections, &client, &shares[i]), CONNECTION_ADMITTED);
        connections_authenticate(&connections, &shares[i]);
        if (i % 6 == 5)
            assert_int_equal(connections_enter(&connections, &client, &shares[i + 1]),
                             CONNECTION_TOO_MANY_OF_NETWORK);
    }
    struct ip_address client = network_number(9);
    assert_int_equal(connections_enter(&connections, &client, &shares[20]), CONNECTION_TOO_MANY);
    assert_string_equal(connection_verdict_limit(CONNECTION_TOO_MANY), "limits.connections");
    for (size_t i = 0; i < 20; i++)
        connections_leave(&connections, &shares[i]);
    connections_clear(&connections);
}

static void processes_share_the_limits(void **state)
{
    (void)state;
    struct connections connections;
    init(&connections, 3);
    assert_int_equal(connections.limits.connections, 7);
    assert_int_equal(connections.limits.unauthenticated_per_network, 1);
    connections_clear(&connections);
}

struct silence {
    struct connections connections;
    struct connection_share shares[4]; /* a, b of one network, c of another, d of a third */
};

static const char *const silent_clients[] = {"192.0.2.1", "192.0.2.2", "192.0.3.1", "192.0.4.1"};

static void set_up_silence(struct silence *silence)
{
    init(&silence->connections, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(silent_clients); i++) {
        struct ip_address client = address(silent_clients[i]);
        assert_int_equal(connections_enter(&silence->connections, &client, &silence->shares[i]),
                         CONNECTION_ADMITTED);
        connections_hear(&silence->connections, &silence->shares[i], 1000 + i);
    }
}

/* '-': nobody. */
static char silent(const struct silence *silence, const char *client, enum connection_verdict why,
                   uint64_t before_ms)
{
    struct ip_address newcomer = address(client);
    const struct connection_share *share =
        connections_find_silent(&silence->connections, &newcomer, why, before_ms);
    return share ? (char)('a' + (share - silence->shares)) : '-';
}

static void the_longest_silent_makes_room(void **state)
{
    (void)state;
    const enum connection_verdict of_network = CONNECTION_TOO_MANY_UNAUTHENTICATED_OF_NETWORK;
    const enum connection_verdict of_all = CONNECTION_TOO_MANY_UNAUTHENTICATED;
    struct silence silence = {.shares = {{.network = NULL}}};
    set_up_silence(&silence);
    assert_int_equal(silent(&silence, "192.0.2.9", of_network, 999), '-');
    assert_int_equal(silent(&silence, "192.0.2.9", of_network, 1000), 'a');
    assert_int_equal(silent(&silence, "192.0.3.9", of_network, 9999), 'c');
    assert_int_equal(silent(&silence, "192.0.9.9", of_network, 9999), '-');
    assert_int_equal(silent(&silence, "192.0.9.9", of_all, 9999), 'a');
    assert_int_equal(silent(&silence, "192.0.9.9", CONNECTION_TOO_MANY, 9999), 'a');
    assert_int_equal(silent(&silence, "192.0.2.9", CONNECTION_TOO_MANY_OF_NETWORK, 9999), 'a');
    assert_int_equal(silent(&silence, "192.0.2.9", CONNECTION_NO_MEMORY, 9999), '-');
    assert_int_equal(silent(&silence, "192.0.2.9", CONNECTION_ADMITTED, 9999), '-');

    connections_hear(&silence.connections, &silence.shares[0], 2000);
    assert_int_equal(silent(&silence, "192.0.2.9", of_network, 1999), 'b');
    assert_int_equal(silent(&silence, "192.0.9.9", of_all, 1999), 'b');
    connections_authenticate(&silence.connections, &silence.shares[1]);
    connections_hear(&silence.connections, &silence.shares[1], 2001);
    assert_int_equal(silent(&silence, "192.0.2.9", of_network, 1999), '-');
    assert_int_equal(silent(&silence, "192.0.9.9", of_all, 1999), 'c');
    connections_excuse(&silence.connections, &silence.shares[2]);
    connections_excuse(&silence.connections, &silence.shares[2]);
    assert_int_equal(silent(&silence, "192.0.9.9", of_all, 1999), 'd');
    connections_leave(&silence.connections, &silence.shares[3]);
    assert_int_equal(silent(&silence, "192.0.9.9", of_all, 9999), 'a');
    connections_hear(&silence.connections, &silence.shares[2], 2002);
    for (size_t i = 0; i < ARRAY_LENGTH(silence.shares); i++)
        connections_leave(&silence.connections, &silence.shares[i]);
    assert_null(silence.connections.strangers);
    assert_int_equal(silence.connections.count, 0);
    connections_clear(&silence.connections);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_is_its_prefix),
        cmocka_unit_test(strangers_have_a_limit_of_their_own),
        cmocka_unit_test(all_and_one_network_are_limited),
        cmocka_unit_test(processes_share_the_limits),
        cmocka_unit_test(the_longest_silent_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
