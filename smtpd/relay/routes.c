/* The choice of a route; see routes.h. Pure; relay. */
#include "smtpd/relay/routes.h"

/* "example.org", ".example.org" for what lies below it, "*" */
static bool domain_fits(const struct config_route *route, struct slice destination)
{
    struct slice domain = slice_of_string(route->domain);
    if (slice_equal(domain, SLICE("*")))
        return true;
    if (!slice_starts_with(domain, SLICE(".")))
        return slice_equal_nocase(destination, domain);
    return destination.len > domain.len
           && slice_equal_nocase(slice_from(destination, destination.len - domain.len), domain);
}

/* Matches an address, or the part after its '@'. */
static bool sender_fits(const struct config_route *route, struct slice reverse_path)
{
    struct slice sender = slice_of_string(route->sender.text);
    if (sender.len == 0 || slice_equal_nocase(sender, reverse_path))
        return true;
    if (reverse_path.len <= sender.len)
        return false;
    size_t domain = reverse_path.len - sender.len;
    return reverse_path.ptr[domain - 1] == '@'
           && slice_equal_nocase(slice_from(reverse_path, domain), sender);
}

/* "=route/sender"; older rows of the queue have "=route". */
static bool is_named(const struct config_route *route, struct slice destination,
                     struct slice reverse_path)
{
    struct slice name = slice_from(destination, 1);
    size_t slash = slice_find_octet(name, '/');
    if (!slice_equal_nocase(slice_range(name, 0, slash), slice_of_string(route->domain)))
        return false;
    return slash == name.len ? sender_fits(route, reverse_path)
                             : slice_equal_nocase(slice_from(name, slash + 1),
                                                  slice_of_string(route->sender.text));
}

const struct config_route *routes_find(const struct config *config, struct slice destination,
                                       struct slice reverse_path)
{
    bool is_name = slice_starts_with(destination, SLICE("="));
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        if (is_name ? is_named(route, destination, reverse_path)
                    : domain_fits(route, destination) && sender_fits(route, reverse_path))
            return route;
    }
    return NULL;
}
