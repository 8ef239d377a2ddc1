/* Promises of common/net/ip_address.h. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/net/ip_address.h"
#include "common/size.h"

struct text_case {
    const char *text;
    bool good;
    const char *formatted;
    bool loopback;
};

static const struct text_case cases[] = {
    {"127.0.0.1", true, "127.0.0.1", true},
    {"127.255.0.9", true, "127.255.0.9", true},
    {"192.0.2.1", true, "192.0.2.1", false},
    {"::1", true, "::1", true},
    {"::", true, "::", false},
    {"2001:DB8:0:0::5", true, "2001:db8::5", false},
    {"", false, NULL, false},
    {"1.2.3", false, NULL, false},
    {"01.2.3.4", false, NULL, false},
    {"1.2.3.4 ", false, NULL, false},
    {"fe80::1%eth0", false, NULL, false},
    {"[::1]", false, NULL, false},
    {"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", false, NULL, false},
};

static void texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct ip_address address = {.family = IP_NONE};
        char text[IP_ADDRESS_TEXT_SIZE];
        assert_int_equal(ip_address_parse(slice_of_string(cases[i].text), &address), cases[i].good);
        if (!cases[i].good) {
            assert_int_equal(address.family, IP_NONE);
            continue;
        }
        assert_string_equal(ip_address_format(&address, text), cases[i].formatted);
        assert_int_equal(ip_address_is_loopback(&address), cases[i].loopback);
    }
    assert_false(ip_address_parse(slice_of("1.2.3.4\0", 8), &(struct ip_address){0}));
}

static void sockaddr_both_ways(void **state)
{
    (void)state;
    static const char *const texts_both[] = {"192.0.2.1", "2001:db8::1"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts_both); i++) {
        struct ip_address address, back;
        struct sockaddr_storage name;
        uint16_t port = 0;
        assert_true(ip_address_parse(slice_of_string(texts_both[i]), &address));
        assert_true(ip_address_to_sockaddr(&address, 10025, &name) > 0);
        ip_address_from_sockaddr((struct sockaddr *)&name, &back, &port);
        assert_true(ip_address_equal(&address, &back));
        assert_int_equal(port, 10025);
    }
    struct sockaddr_storage none;
    assert_int_equal(ip_address_to_sockaddr(&(struct ip_address){0}, 1, &none), 0);
}

static void mapped_addresses_are_ipv4(void **state)
{
    (void)state;
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.1.2.3", &name.sin6_addr), 1);
    struct ip_address address;
    char text[IP_ADDRESS_TEXT_SIZE];
    ip_address_from_sockaddr((struct sockaddr *)&name, &address, NULL);
    assert_string_equal(ip_address_format(&address, text), "10.1.2.3");
}

static void networks(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        unsigned ipv4, ipv6;
        const char *network;
    } prefixes[] = {
        {"192.0.2.201", 24, 64, "192.0.2.0"},
        {"192.0.2.201", 26, 64, "192.0.2.192"},
        {"192.0.2.201", 32, 64, "192.0.2.201"},
        {"192.0.2.201", 0, 64, "0.0.0.0"},
        {"2001:db8:1:2:3:4:5:6", 24, 64, "2001:db8:1:2::"},
        {"2001:db8:1:ffff:3:4:5:6", 24, 52, "2001:db8:1:f000::"},
        {"2001:db8:1:2:3:4:5:6", 24, 128, "2001:db8:1:2:3:4:5:6"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++) {
        struct ip_address address, network;
        char text[IP_ADDRESS_TEXT_SIZE];
        assert_true(ip_address_parse(slice_of_string(prefixes[i].address), &address));
        network = ip_address_network(&address, prefixes[i].ipv4, prefixes[i].ipv6);
        assert_string_equal(ip_address_format(&network, text), prefixes[i].network);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(sockaddr_both_ways),
        cmocka_unit_test(mapped_addresses_are_ipv4),
        cmocka_unit_test(networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
