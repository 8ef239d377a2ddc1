/* UNAUTHENTICATE (RFC 8437): logs the client out and returns its connection to imapd-login. Only if
 * that relays the connection: imapd/syntax/capability.h. */
#include "common/net/deflate_stream.h"
#include "imapd/commands/commands.h"

/* 4.1: what follows the command is not compressed any more. That can be told from what is only
 * after a flush, with nothing sent ahead. */
static bool is_between_layers(const struct session *session)
{
    return !deflate_stream_is_active(&session->stream)
           || (deflate_stream_is_at_rest(&session->stream) && !session_has_input(session));
}

void command_unauthenticate(struct session *session, struct imap_parser *arguments)
{
    if (!imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else if (is_between_layers(session))
        session_unauthenticate(session);
    else /* 3: NO is not allowed */
        session_bye(session, "With COMPRESS wait for the answer to UNAUTHENTICATE");
}
