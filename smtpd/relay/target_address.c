/* Addresses to which mail is not sent just because a name resolves to them; see target.h. relay. */
#include <ifaddrs.h>
#include <stdlib.h>

#include "common/size.h"
#include "smtpd/relay/target.h"

static const struct range {
    uint8_t family;
    uint8_t bits;
    uint8_t octets[16];
} private_ranges[] = {
    {IP_V4, 8, {0}},          /* this network, RFC 1122 */
    {IP_V4, 8, {10}},         /* RFC 1918 */
    {IP_V4, 10, {100, 64}},   /* RFC 6598 */
    {IP_V4, 8, {127}},        /* loopback */
    {IP_V4, 16, {169, 254}},  /* link-local, RFC 3927 */
    {IP_V4, 12, {172, 16}},   /* RFC 1918 */
    {IP_V4, 24, {192, 0, 0}}, /* RFC 6890 */
    {IP_V4, 16, {192, 168}},  /* RFC 1918 */
    {IP_V4, 15, {198, 18}},   /* benchmarks, RFC 2544 */
    {IP_V4, 3, {224}},        /* multicast, reserved, broadcast */
    {IP_V6, 96, {0}},         /* unspecified, loopback, and IPv4 in disguise, RFC 4291 2.5.5.1 */
    {IP_V6, 96, {[10] = 255, 255}},           /* the same, 2.5.5.2 */
    {IP_V6, 48, {0, 0x64, 0xff, 0x9b, 0, 1}}, /* translated within a network, RFC 8215 */
    {IP_V6, 64, {1}},                         /* discarded, RFC 6666 */
    {IP_V6, 7, {0xfc}},                       /* RFC 4193 */
    {IP_V6, 9, {0xfe, 0x80}},                 /* link-local, and what was site-local (RFC 3879) */
    {IP_V6, 8, {0xff}},                       /* multicast */
};

static bool is_within(const struct ip_address *address, const struct range *range)
{
    if (address->family != range->family)
        return false;
    struct ip_address network = ip_address_network(address, range->bits, range->bits);
    return memcmp(network.octets, range->octets, sizeof(range->octets)) == 0;
}

/* The IPv4 address that a gateway translates it to: 64:ff9b::/96 (RFC 6052 3.1: no private one may
 * stand there), 2002::/16 (RFC 3056). False: none does. */
static bool translate(const struct ip_address *address, struct ip_address *inner)
{
    static const struct range translated = {IP_V6, 96, {0, 0x64, 0xff, 0x9b}};
    static const struct range tunnelled = {IP_V6, 16, {0x20, 0x02}};
    bool is_tunnelled = is_within(address, &tunnelled);
    if (!is_tunnelled && !is_within(address, &translated))
        return false;
    *inner = (struct ip_address){.family = IP_V4};
    memcpy(inner->octets, address->octets + (is_tunnelled ? 2 : 12), 4);
    return true;
}

bool target_address_is_private(const struct ip_address *address)
{
    struct ip_address inner;
    if (translate(address, &inner))
        address = &inner;
    for (size_t i = 0; i < ARRAY_LENGTH(private_ranges); i++)
        if (is_within(address, &private_ranges[i]))
            return true;
    return address->family == IP_NONE;
}

static size_t count_interfaces(const struct ifaddrs *first)
{
    size_t count = 0;
    for (const struct ifaddrs *at = first; at; at = at->ifa_next)
        count++;
    return count;
}

bool target_own_gather(struct target_own *own, struct error *error)
{
    struct ifaddrs *first;
    *own = (struct target_own){.addresses = NULL};
    if (getifaddrs(&first) != 0)
        return error_errno(error, "addresses of this host");
    own->addresses = calloc(count_interfaces(first) + 1, sizeof(own->addresses[0]));
    for (const struct ifaddrs *at = first; at && own->addresses; at = at->ifa_next) {
        struct ip_address address = {.family = IP_NONE};
        if (at->ifa_addr)
            ip_address_from_sockaddr(at->ifa_addr, &address, NULL);
        if (address.family != IP_NONE)
            own->addresses[own->count++] = address;
    }
    freeifaddrs(first);
    return own->addresses || error_memory(error);
}
