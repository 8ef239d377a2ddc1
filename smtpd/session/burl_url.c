/* The parser of burl_url.h. */
#include "smtpd/session/burl_url.h"

#include "common/text/cursor.h"

static bool take_hex(struct cursor *in, uint8_t *value)
{
    uint8_t octet;
    if (!cursor_peek(in, &octet))
        return false;
    if (ascii_is_digit(octet))
        *value = (uint8_t)(octet - '0');
    else if (ascii_lower(octet) >= 'a' && ascii_lower(octet) <= 'f')
        *value = (uint8_t)(ascii_lower(octet) - 'a' + 10);
    else
        return false;
    return cursor_skip(in, octet);
}

/* enc-user: no octet that steers, encoded or not. */
static bool decode(struct slice text, struct buffer *out)
{
    struct cursor in = cursor_of(text);
    uint8_t octet, high, low;
    while (cursor_peek(&in, &octet)) {
        cursor_skip(&in, octet);
        if (octet == '%') {
            if (!take_hex(&in, &high) || !take_hex(&in, &low))
                return false;
            octet = (uint8_t)(high << 4 | low);
        }
        if (octet < ' ' || octet == 0x7f)
            return false;
        buffer_append_octet(out, octet);
    }
    return !out->failed;
}

/* ";URLAUTH=" in any case. */
static bool has_urlauth(struct slice path)
{
    for (size_t i = 0; i < path.len; i++)
        if (slice_starts_with_nocase(slice_from(path, i), SLICE(";URLAUTH=")))
            return true;
    return false;
}

/* iserver = [iuserinfo "@"] host [":" port]    RFC 5092 11 */
bool burl_url_parse(struct slice text, struct burl_url *url, struct buffer *owner)
{
    struct cursor in = cursor_of(text);
    if (!cursor_skip_nocase(&in, SLICE("imap://")))
        return false;
    struct slice rest = cursor_rest(&in);
    size_t slash = slice_find_octet(rest, '/');
    struct slice server = slice_range(rest, 0, slash);
    size_t at = slice_find_octet(server, '@');
    if (slash == rest.len || at == 0 || at == server.len)
        return false;
    struct slice user = slice_range(server, 0, at), host = slice_from(server, at + 1);
    user = slice_range(user, 0, slice_find_octet(user, ';'));
    url->host = slice_range(host, 0, slice_find_octet(host, ':'));
    url->has_urlauth = has_urlauth(slice_from(rest, slash));
    return user.len > 0 && url->host.len > 0 && decode(user, owner);
}
