/* The grammar of client_id.h. */
#include "imapd/client_id.h"

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
