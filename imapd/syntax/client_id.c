/* The grammar of client_id.h, and the clients of the configuration. */
#include "imapd/syntax/client_id.h"

#include "common/config/config.h"
#include "common/login/imap_capability.h"
#include "common/size.h"

enum { FIELDS_MAX = 30, NAME_OCTETS_MAX = 30, VALUE_OCTETS_MAX = 1024 }; /* RFC 2971 3.3 */

/* string SP nstring */
static bool parse_field(struct imap_parser *parser, struct imap_client_id *id)
{
    struct slice name, value;
    if (!imap_parse_string(parser, &name) || !imap_parse_space(parser)
        || !imap_parse_nstring(parser, &value))
        return false;
    if (name.len > NAME_OCTETS_MAX || value.len > VALUE_OCTETS_MAX)
        return imap_parser_fail(parser, "names of 30 octets and values of 1024 at most");
    if (slice_equal_nocase(name, SLICE("name")))
        id->name = value;
    else if (slice_equal_nocase(name, SLICE("version")))
        id->version = value;
    else if (slice_equal_nocase(name, SLICE("vendor")))
        id->vendor = value;
    return true;
}

/* id_params_list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil */
bool imap_parse_client_id(struct imap_parser *parser, struct imap_client_id *id)
{
    int fields = 0;
    *id = (struct imap_client_id){.name = SLICE("")};
    if (!imap_parse_space(parser))
        return false;
    if (imap_skip_word(parser, SLICE("NIL")))
        return true;
    if (!imap_parse_octet(parser, '(', "NIL or a list in parentheses"))
        return false;
    if (imap_skip_octet(parser, ')'))
        return true;
    do {
        if (!parse_field(parser, id))
            return false;
        if (++fields > FIELDS_MAX)
            return imap_parser_fail(parser, "at most 30 fields");
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "a string or \")\"");
}

size_t imap_client_id_format(const struct imap_client_id *id, uint8_t text[IMAP_CLIENT_ID_TEXT_MAX])
{
    const struct slice fields[] = {id->name, id->version, id->vendor};
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        size_t octets =
            fields[i].len < IMAP_CLIENT_ID_FIELD_MAX ? fields[i].len : IMAP_CLIENT_ID_FIELD_MAX;
        text[used++] = '\0';
        if (octets > 0)
            memcpy(text + used, fields[i].ptr, octets);
        used += octets;
    }
    return used;
}

/* Takes the text up to the next NUL, and the NUL. */
static struct slice take_text(struct slice *rest)
{
    size_t end = slice_find_octet(*rest, '\0');
    struct slice text = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end < rest->len ? end + 1 : end);
    return text;
}

struct slice imap_client_id_unpack(struct slice handed, struct imap_client_id *id)
{
    struct slice tag = take_text(&handed);
    id->name = take_text(&handed);
    id->version = take_text(&handed);
    id->vendor = take_text(&handed);
    return tag;
}

/* `*` in the pattern matches any text. On a mismatch the last `*` takes one octet more. */
static bool matches(const char *pattern, struct slice text)
{
    const char *behind_star = NULL;
    size_t at = 0, tried = 0;
    while (at < text.len) {
        if (*pattern == '*') {
            behind_star = ++pattern;
            tried = at;
        } else if (ascii_lower((uint8_t)*pattern) == ascii_lower(text.ptr[at])) {
            pattern++;
            at++;
        } else if (behind_star) {
            pattern = behind_star;
            at = ++tried;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool fits(const struct config_client *client, const struct imap_client_id *id,
                 const char *account)
{
    if (client->account.text
        && (!account
            || !slice_equal_nocase(slice_of_string(client->account.text),
                                   slice_of_string(account))))
        return false;
    return matches(client->name, id->name)
           && (!client->version.text || matches(client->version.text, id->version))
           && (!client->vendor.text || matches(client->vendor.text, id->vendor));
}

/* Capabilities that the configuration turns on for nobody. */
static uint64_t turned_off(const struct config *config)
{
    uint64_t off = 0;
    if (!config->imap.uid_only)
        off |= imap_capability_find(SLICE("UIDONLY"));
    if (config->imap.message_limit == 0)
        off |= imap_capability_find(SLICE("MESSAGELIMIT"));
    if (config->imap.progress_ms == 0)
        off |= imap_capability_find(SLICE("INPROGRESS"));
    return off;
}

uint64_t imap_client_without(const struct config *config, const struct imap_client_id *id,
                             const char *account)
{
    uint64_t without = turned_off(config);
    for (size_t i = 0; i < config->client_count; i++)
        if (fits(&config->clients[i], id, account))
            without |= config->clients[i].without;
    return without;
}
