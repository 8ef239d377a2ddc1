/* NAMESPACE (RFC 2342): one personal namespace, "/" between levels, and that of other accounts
 * where these can share mailboxes. */
#include "common/config/config.h"
#include "common/mime/structure.h"
#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"
#include "imapd/syntax/mailbox_name.h"

static void append_others(struct session *session, const char *shared)
{
    struct buffer *text = &session->writer.text;
    struct buffer prefix = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    mailbox_name_format(slice_of_string(shared), session_name_form(session), &prefix);
    buffer_append_octet(&prefix, '/');
    buffer_append(text, SLICE("(("));
    structure_append_quoted(text, buffer_slice(&prefix));
    buffer_append(text, SLICE(" \"/\"))"));
    buffer_clear(&prefix);
}

void command_namespace(struct session *session, struct imap_parser *arguments)
{
    const char *shared = session->mailbox->config->imap.shared.text;
    if (!imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    buffer_append(&session->writer.text, SLICE("* NAMESPACE ((\"\" \"/\")) "));
    if (shared)
        append_others(session, shared);
    else
        buffer_append(&session->writer.text, SLICE("NIL"));
    buffer_append(&session->writer.text, SLICE(" NIL\r\n"));
    session_ok(session, SLICE(""), "Those are the namespaces");
}
