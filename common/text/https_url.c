/* The address of https_url.h. Pure. */
#include "common/text/https_url.h"

#include "common/dns/answer.h"

enum { PORT_DEFAULT = 443 };

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return false;
    return text.len > 0;
}

/* authority = host [ ":" port ], RFC 3986 3.2 */
static bool parse_authority(struct slice authority, struct https_url *url)
{
    uint64_t port = PORT_DEFAULT;
    size_t colon = slice_find_octet(authority, ':');
    url->authority = authority;
    url->host = slice_range(authority, 0, colon);
    if (colon < authority.len
        && (!slice_parse_number(slice_from(authority, colon + 1), &port) || port == 0
            || port > UINT16_MAX))
        return false;
    url->port = (uint16_t)port;
    return dns_name_is_valid(url->host);
}

bool https_url_parse(struct slice text, struct https_url *url)
{
    if (!is_printable(text) || !slice_starts_with_nocase(text, SLICE("https://"))
        || slice_find_octet(text, '#') < text.len)
        return false;
    struct slice rest = slice_from(text, 8);
    size_t slash = slice_find_octet(rest, '/');
    url->path = slash < rest.len ? slice_from(rest, slash) : SLICE("/");
    return parse_authority(slice_range(rest, 0, slash), url);
}
