/* The choice of a destination; see destination.h. */
#include "smtpd/queue/dispatch/destination.h"

#include "common/text/address.h"
#include "smtpd/queue/queue_protocol.h"

enum { DOMAIN_MAX = 255 };

static struct slice domain_of(struct slice address)
{
    size_t at = address.len;
    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return slice_from(address, at);
}

/* An invalid address, or one whose domain is not valid in IDNA, is kept as it is: relay will report
 * it. */
static void append_domain(struct slice address, struct buffer *out)
{
    struct address parsed;
    if (address_parse_mailbox(address, &parsed, NULL)
        && address_canonicalise_domain(&parsed, out, NULL))
        return;
    struct slice domain = slice_range(domain_of(address), 0, DOMAIN_MAX);
    for (size_t i = 0; i < domain.len; i++)
        buffer_append_octet(out, ascii_lower(domain.ptr[i]));
}

/* "example.org", ".example.org" for what lies below it, "*" */
static bool domain_fits(struct slice pattern, struct slice domain)
{
    if (slice_equal(pattern, SLICE("*")))
        return true;
    if (slice_starts_with(pattern, SLICE(".")))
        return domain.len > pattern.len && slice_ends_with(domain, pattern);
    return slice_equal(pattern, domain);
}

/* An address, or a domain. */
static bool sender_fits(struct slice pattern, struct slice reverse_path)
{
    if (pattern.len == 0)
        return true;
    bool is_address = slice_find_octet(pattern, '@') < pattern.len;
    return reverse_path.len > 0
           && slice_equal_nocase(pattern, is_address ? reverse_path : domain_of(reverse_path));
}

static const struct config_route *find_route(const struct config *config, struct slice domain,
                                             struct slice reverse_path)
{
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        if (domain_fits(slice_of_string(route->domain), domain)
            && sender_fits(slice_of_string(route->sender.text), reverse_path))
            return route;
    }
    return NULL;
}

void destination_append(const struct config *config, uint32_t flags, struct slice address,
                        struct slice reverse_path, struct buffer *out)
{
    if ((flags & QUEUE_REQUIRETLS) != 0)
        buffer_append(out, SLICE("!"));
    else if ((flags & QUEUE_TLS_OPTIONAL) != 0)
        buffer_append(out, SLICE("~"));
    size_t before = out->len;
    append_domain(address, out);
    if (out->failed)
        return;
    struct slice domain = slice_from(buffer_slice(out), before);
    const struct config_route *route = find_route(config, domain, reverse_path);
    if (!route || !route->sender.text || !route->host.text)
        return;
    buffer_truncate(out, before);
    buffer_append(out, SLICE("="));
    buffer_append_string(out, route->domain);
    buffer_append(out, SLICE("/"));
    buffer_append_string(out, route->sender.text);
}

uint32_t destination_flags(struct slice destination)
{
    if (slice_starts_with(destination, SLICE("!")))
        return QUEUE_REQUIRETLS;
    return slice_starts_with(destination, SLICE("~")) ? QUEUE_TLS_OPTIONAL : 0;
}

struct slice destination_name(struct slice destination)
{
    return slice_from(destination, destination_flags(destination) != 0);
}

bool destination_exists(const struct config *config, struct slice destination)
{
    struct slice name = destination_name(destination);
    if (!slice_starts_with(name, SLICE("=")))
        return true;
    name = slice_from(name, 1);
    size_t slash = slice_find_octet(name, '/');
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        if (route->host.text && route->sender.text
            && slice_equal(slice_range(name, 0, slash), slice_of_string(route->domain))
            && (slash == name.len
                || slice_equal(slice_from(name, slash + 1), slice_of_string(route->sender.text))))
            return true;
    }
    return false;
}

static uint16_t number_of(const struct config *config, struct slice name)
{
    const struct config_domain *domain = config_find_domain(config, name);
    return domain ? (uint16_t)(domain - config->domains + 1) : 1;
}

uint16_t destination_forwarder(const struct config *config, bool forwarded, struct slice orcpt)
{
    return forwarded ? number_of(config, domain_of(orcpt)) : 0;
}

uint16_t destination_forwarder_now(const struct config *config, const char *domain)
{
    return number_of(config, slice_of_string(domain));
}
