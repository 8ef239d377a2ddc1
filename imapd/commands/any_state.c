/* CAPABILITY, NOOP, LOGOUT (RFC 3501 6.1) and CHECK (6.4.1). */
#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"
#include "imapd/syntax/capability.h"

void command_capability(struct session *session, struct imap_parser *arguments)
{
    if (!imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    buffer_append(&session->writer.text, SLICE("* "));
    capability_append(session->mailbox->config, session->without, &session->writer.text);
    buffer_append(&session->writer.text, SLICE("\r\n"));
    session_ok(session, SLICE(""), "That is what can be done");
}

/* News are told with every answer; that is all there is to it. */
void command_noop(struct session *session, struct imap_parser *arguments)
{
    if (imap_parse_end(arguments))
        session_ok(session, SLICE(""), "Nothing done");
    else
        session_bad_arguments(session, arguments);
}

/* Flags and messages are on disk as soon as they are answered: nothing to check here. */
void command_check(struct session *session, struct imap_parser *arguments)
{
    if (imap_parse_end(arguments))
        session_ok(session, SLICE(""), "All is well");
    else
        session_bad_arguments(session, arguments);
}

/* "* BYE" before the tagged OK. */
void command_logout(struct session *session, struct imap_parser *arguments)
{
    if (!imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    session_unselect(session);
    writer_untagged(&session->writer, WRITER_BYE, SLICE(""), "Good bye");
    session_ok(session, SLICE(""), "Logged out");
    session_end(session);
}
