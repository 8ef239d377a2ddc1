/* ID (RFC 2971): who the client is goes to the log, who we are to the client. No version: 4 warns
 * of telling it. */
#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"
#include "imapd/syntax/client_id.h"

void command_id(struct session *session, struct imap_parser *arguments)
{
    struct imap_client_id id;
    if (!imap_parse_client_id(arguments, &id) || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    LOG(session->mailbox->log, LOG_INFO, "client", log_hex("session", session->number),
        log_bytes("name", id.name), log_bytes("version", id.version),
        log_bytes("vendor", id.vendor));
    session_know_client(session, &id);
    buffer_append(&session->writer.text, SLICE("* ID (\"name\" \"staffetta\")\r\n"));
    session_ok(session, SLICE(""), "Pleased to meet you");
}
