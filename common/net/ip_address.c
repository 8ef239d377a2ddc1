/* Addresses as octets. No I/O, no allocation; any process. */
#include "common/net/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ip_address_parse(struct slice text, struct ip_address *address)
{
    char copy[IP_ADDRESS_TEXT_SIZE];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    struct ip_address parsed = {.family = IP_V4};
    if (inet_pton(AF_INET, copy, parsed.octets) != 1) {
        parsed.family = IP_V6;
        if (inet_pton(AF_INET6, copy, parsed.octets) != 1)
            return false;
    }
    *address = parsed;
    return true;
}

const char *ip_address_format(const struct ip_address *address, char text[IP_ADDRESS_TEXT_SIZE])
{
    int family = address->family == IP_V4 ? AF_INET : AF_INET6;
    if (address->family == IP_NONE
        || !inet_ntop(family, address->octets, text, IP_ADDRESS_TEXT_SIZE))
        memcpy(text, "unknown", sizeof("unknown"));
    return text;
}

static void from_ipv6(const struct sockaddr_in6 *name, struct ip_address *address)
{
    const uint8_t *octets = name->sin6_addr.s6_addr;
    if (memcmp(octets, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        address->family = IP_V4;
        memcpy(address->octets, octets + sizeof(mapped_prefix), 4);
        return;
    }
    address->family = IP_V6;
    memcpy(address->octets, octets, 16);
}

void ip_address_from_sockaddr(const struct sockaddr *name, struct ip_address *address,
                              uint16_t *port)
{
    in_port_t network_port = 0;
    *address = (struct ip_address){.family = IP_NONE};
    if (name->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, name, sizeof(ipv4));
        address->family = IP_V4;
        memcpy(address->octets, &ipv4.sin_addr, 4);
        network_port = ipv4.sin_port;
    } else if (name->sa_family == AF_INET6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, name, sizeof(ipv6));
        from_ipv6(&ipv6, address);
        network_port = ipv6.sin6_port;
    }
    if (port)
        *port = ntohs(network_port);
}

socklen_t ip_address_to_sockaddr(const struct ip_address *address, uint16_t port,
                                 struct sockaddr_storage *name)
{
    memset(name, 0, sizeof(*name));
    if (address->family == IP_V4) {
        struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&ipv4.sin_addr, address->octets, 4);
        memcpy(name, &ipv4, sizeof(ipv4));
        return sizeof(ipv4);
    }
    if (address->family == IP_V6) {
        struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&ipv6.sin6_addr, address->octets, 16);
        memcpy(name, &ipv6, sizeof(ipv6));
        return sizeof(ipv6);
    }
    return 0;
}

struct ip_address ip_address_network(const struct ip_address *address, unsigned ipv4_prefix_bits,
                                     unsigned ipv6_prefix_bits)
{
    struct ip_address network = *address;
    unsigned bits = address->family == IP_V4 ? ipv4_prefix_bits : ipv6_prefix_bits;
    for (unsigned i = 0; i < sizeof(network.octets); i++) {
        unsigned kept = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
        network.octets[i] &= (uint8_t)(0xff00U >> kept);
    }
    return network;
}

bool ip_address_is_loopback(const struct ip_address *address)
{
    static const uint8_t ipv6_loopback[16] = {[15] = 1};
    if (address->family == IP_V4)
        return address->octets[0] == 127;
    return address->family == IP_V6 && memcmp(address->octets, ipv6_loopback, 16) == 0;
}

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return a->family == b->family && memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}
