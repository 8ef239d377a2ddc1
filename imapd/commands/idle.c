/* IDLE (RFC 2177): changes are reported at once, by session_news.c, until the client sends DONE. */
#include "imapd/commands/commands.h"

static void on_done(struct session *session, struct slice line)
{
    if (slice_equal_nocase(line, SLICE("DONE")))
        session_ok(session, SLICE(""), "Idled");
    else
        session_bad(session, "Expected DONE");
}

void command_idle_again(struct session *session, struct slice tag)
{
    session->command = command_find(SLICE("IDLE"));
    session->tag = arena_copy(&session->arena, tag);
    if (session->tag.ptr)
        session_await_line(session, on_done);
    else
        session_bye(session, "Out of memory; log in again");
}

void command_idle(struct session *session, struct imap_parser *arguments)
{
    if (!imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    session_expect_line(session, "idling", on_done);
}
