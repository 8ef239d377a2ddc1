/* ID (RFC 2971): who the client is goes to the log, who we are to the client. No version: 4 warns
 * of telling it. */
#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"

enum { FIELDS_MAX = 30, NAME_MAX_OCTETS = 30, VALUE_MAX_OCTETS = 1024 }; /* RFC 2971 3.3 */

struct client_id {
    struct slice name;
    struct slice version;
};

/* string SP nstring */
static bool parse_field(struct imap_parser *arguments, struct client_id *id)
{
    struct slice name, value;
    if (!imap_parse_string(arguments, &name) || !imap_parse_space(arguments)
        || !imap_parse_nstring(arguments, &value))
        return false;
    if (name.len > NAME_MAX_OCTETS || value.len > VALUE_MAX_OCTETS)
        return imap_parser_fail(arguments, "names of 30 octets and values of 1024 at most");
    if (slice_equal_nocase(name, SLICE("name")))
        id->name = value;
    else if (slice_equal_nocase(name, SLICE("version")))
        id->version = value;
    return true;
}

/* id_params_list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil */
static bool parse_list(struct imap_parser *arguments, struct client_id *id)
{
    int fields = 0;
    if (imap_skip_word(arguments, SLICE("NIL")))
        return true;
    if (!imap_parse_octet(arguments, '(', "NIL or a list in parentheses"))
        return false;
    if (imap_skip_octet(arguments, ')'))
        return true;
    do {
        if (!parse_field(arguments, id))
            return false;
        if (++fields > FIELDS_MAX)
            return imap_parser_fail(arguments, "at most 30 fields");
    } while (imap_skip_octet(arguments, ' '));
    return imap_parse_octet(arguments, ')', "a string or \")\"");
}

void command_id(struct session *session, struct imap_parser *arguments)
{
    struct client_id id = {.name = SLICE(""), .version = SLICE("")};
    if (!imap_parse_space(arguments) || !parse_list(arguments, &id) || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    LOG(session->mailbox->log, LOG_INFO, "client", log_hex("session", session->number),
        log_bytes("name", id.name), log_bytes("version", id.version));
    buffer_append(&session->writer.text, SLICE("* ID (\"name\" \"staffetta\")\r\n"));
    session_ok(session, SLICE(""), "Pleased to meet you");
}
