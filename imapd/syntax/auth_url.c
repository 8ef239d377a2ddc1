/* The parser of auth_url.h. */
#include "imapd/syntax/auth_url.h"

#include "common/text/cursor.h"
#include "common/text/date.h"
#include "imapd/syntax/message_url.h"

static const struct slice scheme = SLICE("imap://");
static const struct slice expire_word = SLICE(";EXPIRE=");
static const struct slice urlauth_word = SLICE(";URLAUTH=");

/* Offset of the last occurrence of the word, ignoring case; text.len: none. */
static size_t find_last(struct slice text, struct slice word)
{
    for (size_t i = text.len; i-- > 0;)
        if (slice_starts_with_nocase(slice_from(text, i), word))
            return i;
    return text.len;
}

/* access = ("submit+" enc-user) / ("user+" enc-user) / "authuser" / "anonymous" */
static bool parse_access(struct slice text, struct arena *arena, struct auth_url *url)
{
    struct cursor in = cursor_of(text);
    if (slice_equal_nocase(text, SLICE("authuser"))
        || slice_equal_nocase(text, SLICE("anonymous"))) {
        url->access = text.len == 8 ? AUTH_URL_AUTHUSER : AUTH_URL_ANONYMOUS;
        return true;
    }
    if (cursor_skip_nocase(&in, SLICE("submit+")))
        url->access = AUTH_URL_SUBMIT;
    else if (cursor_skip_nocase(&in, SLICE("user+")))
        url->access = AUTH_URL_USER;
    else
        return false;
    url->reader = message_url_decode(cursor_rest(&in), arena);
    return url->reader.len > 0;
}

/* iurlauth = ";URLAUTH=" access [":" mechanism ":" token] */
static bool parse_urlauth(struct slice text, size_t at, struct arena *arena, struct auth_url *url)
{
    struct slice value = slice_from(text, at + urlauth_word.len);
    size_t colon = slice_find_octet(value, ':');
    url->rump = slice_range(text, 0, at + urlauth_word.len + colon);
    if (!parse_access(slice_range(value, 0, colon), arena, url))
        return false;
    if (colon == value.len)
        return true;
    struct slice rest = slice_from(value, colon + 1);
    size_t second = slice_find_octet(rest, ':');
    url->mechanism = slice_range(rest, 0, second);
    url->token = slice_from(rest, second < rest.len ? second + 1 : second);
    return url->mechanism.len > 0 && url->token.len > 0;
}

/* iserver = [enc-user [";AUTH=" ...] "@"] host [":" port]: here with the user */
static bool parse_server(struct slice text, struct arena *arena, struct auth_url *url)
{
    size_t at = slice_find_octet(text, '@');
    struct slice user = slice_range(text, 0, at);
    struct slice host = slice_from(text, at < text.len ? at + 1 : at);
    user = slice_range(user, 0, slice_find_octet(user, ';'));
    url->host = slice_range(host, 0, slice_find_octet(host, ':'));
    url->user = message_url_decode(user, arena);
    return url->user.len > 0 && url->host.len > 0;
}

bool auth_url_parse(struct slice text, struct arena *arena, struct auth_url *url)
{
    *url = (struct auth_url){.expires = false};
    size_t at = find_last(text, urlauth_word);
    if (at == text.len || !slice_starts_with_nocase(text, scheme)
        || !parse_urlauth(text, at, arena, url))
        return false;
    struct slice rest = slice_range(text, scheme.len, at);
    size_t slash = slice_find_octet(rest, '/');
    if (!parse_server(slice_range(rest, 0, slash), arena, url))
        return false;
    rest = slice_from(rest, slash);
    size_t expire = find_last(rest, expire_word);
    url->path = slice_range(rest, 0, expire);
    url->expires = expire < rest.len;
    if (url->expires) {
        struct date date;
        if (!date_parse_internet(slice_from(rest, expire + expire_word.len), &date))
            return false;
        url->until = date.seconds;
    }
    return url->path.len > 0;
}
