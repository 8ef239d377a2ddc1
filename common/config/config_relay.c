/* Checks for combinations in `relay` and `route` that cannot work or cannot be intended. Pure. */
#include <assert.h>
#include <string.h>

#include "common/config/config_internal.h"
#include "common/size.h"
#include "common/text/address.h"

/* --- Networks that may relay ------------------------------------------------------------------ */

static bool is_within(const struct config_network *network, const char *whole, unsigned bits)
{
    struct ip_address address;
    bool parsed = ip_address_parse(slice_of_string(whole), &address);
    assert(parsed);
    (void)parsed;
    struct ip_address of_it = ip_address_network(&network->address, bits, bits);
    return network->address.family == address.family && network->bits >= bits
           && ip_address_equal(&of_it, &address);
}

/* Whether nobody outside can have an address of the network. Networks shared by providers'
 * customers (100.64.0.0/10) and example networks do not count. */
static bool is_private(const struct config_network *network)
{
    static const struct {
        const char *address;
        unsigned bits;
    } private_networks[] = {
        {"10.0.0.0", 8},  {"172.16.0.0", 12}, {"192.168.0.0", 16},                 /* RFC 1918 */
        {"127.0.0.0", 8}, {"::1", 128},       {"169.254.0.0", 16}, {"fe80::", 10}, /* of one link */
        {"fc00::", 7},                                                             /* RFC 4193 */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(private_networks); i++)
        if (is_within(network, private_networks[i].address, private_networks[i].bits))
            return true;
    return false;
}

static void check_networks(const struct config_networks *networks, unsigned line,
                           struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < networks->count; i++) {
        char text[IP_ADDRESS_TEXT_SIZE];
        if (!is_private(&networks->items[i]))
            config_mistakes_add(mistakes, CONFIG_WARNING, line,
                                "relay.networks: %s/%u is a public network: whoever has an address "
                                "in it can send mail to all the world through this host",
                                ip_address_format(&networks->items[i].address, text),
                                networks->items[i].bits);
    }
}

/* --- Routes ----------------------------------------------------------------------------------- */

static void check_login(const struct config_route *route, struct config_mistakes *mistakes)
{
    if (route->user.text && !route->password_file.text)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, route->user.line,
                            "route %.100s: a user needs a password: write password-file = PATH too",
                            route->domain);
    if (!route->user.text && route->password_file.text)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, route->password_file.line,
                            "route %.100s: a password without its user: write user = NAME too",
                            route->domain);
    if (route->user.text && route->tls == CONFIG_TLS_NEVER)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, route->user.line,
                            "route %.100s: no password is sent without TLS: leave tls = never out",
                            route->domain);
}

static void check_route(const struct config_route *route, struct config_mistakes *mistakes)
{
    check_login(route, mistakes);
    if (route->protocol == CONFIG_ROUTE_LMTP && !route->host.text)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, route->line,
                            "route %.100s: LMTP is not for hosts of the DNS (RFC 2033 5): write "
                            "host = NAME too",
                            route->domain);
    struct ip_address address;
    if (route->tls == CONFIG_TLS_VERIFY && route->host.text
        && ip_address_parse(slice_of_string(route->host.text), &address))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, route->line,
                            "route %.100s: tls = verify asks for a certificate with the host's "
                            "name: write host = NAME instead of %.100s",
                            route->domain, route->host.text);
    if (route->implicit_tls && route->tls == CONFIG_TLS_NEVER)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, route->line,
                            "route %.100s: implicit-tls and tls = never: write one of them",
                            route->domain);
}

static bool is_same(const char *a, const char *b)
{
    return strcasecmp(a ? a : "", b ? b : "") == 0;
}

/* Whether all recipients of the second route are the first one's too. */
static bool covers(const struct config_route *first, const struct config_route *second)
{
    struct slice domain = slice_of_string(first->domain);
    struct slice other = slice_of_string(second->domain);
    if (slice_equal(domain, SLICE("*")) || slice_equal(domain, other))
        return true;
    return domain.len > 0 && domain.ptr[0] == '.' && other.len > domain.len
           && slice_equal(slice_from(other, other.len - domain.len), domain);
}

/* The first match is used, so a route after one that covers it is never used. */
static void check_use(const struct config_route *first, const struct config_route *second,
                      struct config_mistakes *mistakes)
{
    bool same_sender = is_same(first->sender.text, second->sender.text);
    if (is_same(first->domain, second->domain) && same_sender)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, second->line,
                            "route %.100s is there already, in line %u: write one of them, or "
                            "another sender",
                            second->domain, first->line);
    else if (covers(first, second) && (!first->sender.text || same_sender))
        config_mistakes_add(mistakes, CONFIG_WARNING, second->line,
                            "route %.100s is never taken: route %.100s in line %u comes first",
                            second->domain, first->domain, first->line);
}

static void check_contact(const struct config_text *contact, struct config_mistakes *mistakes)
{
    struct address address;
    struct error error;
    if (contact->text && !address_parse_mailbox(slice_of_string(contact->text), &address, &error))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, contact->line,
                            "relay.tls-report-contact: %.100s is no address: write NAME@DOMAIN",
                            contact->text);
}

void config_check_relay(const struct config *config, unsigned networks_line,
                        struct config_mistakes *mistakes)
{
    check_networks(&config->relay.networks, networks_line, mistakes);
    check_contact(&config->relay.tls_report_contact, mistakes);
    for (size_t i = 0; i < config->route_count; i++) {
        check_route(&config->routes[i], mistakes);
        for (size_t j = 0; j < i; j++)
            check_use(&config->routes[j], &config->routes[i], mistakes);
    }
}
