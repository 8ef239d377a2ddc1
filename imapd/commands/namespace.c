/* NAMESPACE (RFC 2342): one personal namespace, "/" between levels. */
#include "imapd/commands/commands.h"

void command_namespace(struct session *session, struct imap_parser *arguments)
{
    if (!imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    buffer_append(&session->writer.text, SLICE("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"));
    session_ok(session, SLICE(""), "Those are the namespaces");
}
