/* ENABLE (RFC 5161). No extension that wants enabling is here yet: what is asked for is ignored, as
 * 3.1 says of unknown ones. */
#include "imapd/commands/commands.h"

/* enable = "ENABLE" 1*(SP capability) */
static bool parse(struct imap_parser *arguments)
{
    struct slice capability;
    do {
        if (!imap_parse_space(arguments) || !imap_parse_atom(arguments, &capability))
            return false;
    } while (!imap_parser_at_end(arguments));
    return true;
}

void command_enable(struct session *session, struct imap_parser *arguments)
{
    if (!parse(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    buffer_append(&session->writer.text, SLICE("* ENABLED\r\n"));
    session_ok(session, SLICE(""), "Enabled what there is of it");
}
