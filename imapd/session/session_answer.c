/* The responses of session.h by which handlers end a command. */
#include "imapd/session/session_internal.h"

#include <errno.h>
#include <stdio.h>

#include "common/config/config.h"
#include "common/mime/charset.h"
#include "imapd/mailbox.h"
#include "imapd/shared/forward.h"

enum { KEPT_MEMORY = 4096 /* of a command's, between commands */ };

/* ---- ends of commands ---- */

/* What the client sees as one command is over. */
void session_end_command(struct session *session)
{
    if (session->on_end)
        session->on_end(session);
    session->on_end = NULL;
    session->work = NULL;
    session->step = NULL;
    session->waiting = false;
    session_forget_flush(session);
    session->on_line = NULL;
    session->command = NULL;
    forward_forget(session);
    session->by_uid = false;
    session->stopped_at = 0;
    session->tag = SLICE("");
    if (session->arena.used > KEPT_MEMORY)
        arena_clear(&session->arena);
    else
        arena_reset(&session->arena);
}

/* RFC 3501 7.4.1: EXPUNGE not while FETCH, STORE or SEARCH are answered. */
static enum view_extent extent_of(const struct session *session)
{
    bool keeps = session->command && (session->command->traits & COMMAND_KEEPS_NUMBERS);
    return keeps && !session->by_uid ? VIEW_KEEP_NUMBERS : VIEW_ALL;
}

/* "If the server needs to send another response code, MESSAGELIMIT comes in an untagged NO" (RFC
 * 9738 3.1). */
static void write_answer(struct session *session, enum writer_status status, struct slice code,
                         const char *text)
{
    char limit[64];
    if (session->stopped_at && status == WRITER_OK) {
        snprintf(limit, sizeof(limit), "MESSAGELIMIT %zu %u", session->limit, session->stopped_at);
        if (code.len == 0)
            code = slice_of_string(limit);
        else
            writer_untagged(&session->writer, WRITER_NO, slice_of_string(limit),
                            "That was not all");
    }
    if (session->tag.len)
        writer_tagged(&session->writer, session->tag, status, code, text);
    else
        writer_untagged(&session->writer, status, code, text);
}

static void answer(struct session *session, enum writer_status status, struct slice code,
                   const char *text)
{
    if (session->is_unasked) {
        session_end_unasked(session);
        return;
    }
    if (session->state == SESSION_SELECTED) {
        watch_poll(&session->mailbox->watch);
        session_tell_news(session, extent_of(session));
    }
    bool looks = status == WRITER_OK && session_has_searches_to_look_at(session);
    size_t answered_at = session->writer.text.len;
    write_answer(session, status, code, text);
    session_end_command(session);
    if (looks)
        session_look_at_searches(session, answered_at);
}

void session_ok(struct session *session, struct slice code, const char *text)
{
    answer(session, WRITER_OK, code, text);
}

void session_no(struct session *session, struct slice code, const char *text)
{
    answer(session, WRITER_NO, code, text);
}

void session_bad(struct session *session, const char *text)
{
    answer(session, WRITER_BAD, SLICE(""), text);
}

void session_bad_numbers(struct session *session)
{
    answer(session, WRITER_BAD, SLICE("UIDREQUIRED"), "UIDONLY is enabled: name messages by UID");
}

void session_no_charset(struct session *session)
{
    struct buffer code = BUFFER_WITH_LIMIT(4096);
    buffer_append(&code, SLICE("BADCHARSET ("));
    charset_append_names(&code);
    buffer_append_octet(&code, ')');
    session_no(session, code.failed ? SLICE("BADCHARSET") : buffer_slice(&code),
               "That charset is not known here");
    buffer_clear(&code);
}

void session_over_limit(struct session *session, const char *text)
{
    char code[64];
    snprintf(code, sizeof(code), "MESSAGELIMIT %zu", session->limit);
    session_no(session, slice_of_string(code), text);
}

void session_bad_arguments(struct session *session, const struct imap_parser *arguments)
{
    char text[200];
    if (arguments->exhausted) {
        session_no(session, SLICE("LIMIT"), "The arguments need too much memory");
        return;
    }
    snprintf(text, sizeof(text), "Expected %s at octet %zu",
             arguments->expected ? arguments->expected : "something else",
             (size_t)(arguments->in.at - arguments->begin) + 1);
    session_bad(session, text);
}

bool session_resolve(struct session *session, struct imap_parser *arguments,
                     struct sequence_set *set)
{
    if (view_resolve(&session->view, set, session->by_uid))
        return true;
    if (set->full)
        return imap_parser_exhaust(arguments);
    return imap_parser_fail(arguments, "numbers of messages that there are,");
}

/* RFC 5530 3. */
static struct slice code_of(const struct error *error)
{
    if (error->code == EDQUOT)
        return SLICE("OVERQUOTA");
    switch (error->kind) {
    case ERROR_NOT_FOUND:
        return SLICE("NONEXISTENT");
    case ERROR_EXISTS:
        return SLICE("ALREADYEXISTS");
    case ERROR_PERMANENT:
        return SLICE("CANNOT");
    default:
        return SLICE("UNAVAILABLE");
    }
}

void session_failed(struct session *session, const struct error *error, const char *text)
{
    if (error->kind == ERROR_TEMPORARY)
        LOG(session->mailbox->log, LOG_ERROR, "command_failed", log_hex("session", session->number),
            log_bytes("command", session->command ? session->command->name : SLICE("")),
            log_failure(error));
    session_no(session, code_of(error), text);
}

void *session_alloc(struct session *session, size_t octets)
{
    void *memory = arena_alloc(&session->arena, octets);
    if (!memory)
        session_no(session, SLICE("LIMIT"), "Out of memory, try again later");
    return memory;
}

/* ---- steps ---- */

void session_continue(struct session *session, session_step *step)
{
    session->step = step;
}

void session_wait(struct session *session, session_step *step)
{
    session->step = step;
    session->waiting = true;
}

void session_stream_literal(struct session *session)
{
    if (session->reader.literal.synchronising)
        writer_continue(&session->writer, "Ready for literal data");
    command_stream_literal(&session->reader);
}

void session_keep_to_limit(struct session *session, struct sequence_set *set)
{
    if (!session->is_unasked && session->view.count > session->limit)
        session->stopped_at =
            view_keep_highest(&session->view, set, session->by_uid, session->limit);
}

void session_tell_progress(struct session *session, uint64_t done, uint64_t goal)
{
    struct buffer *text = &session->writer.text;
    if (!session->tells_progress || session->is_unasked)
        return;
    uint64_t now = turn_now_ms();
    if (now < session->progress_ms)
        return;
    session->progress_ms = now + session->mailbox->config->imap.progress_ms;
    buffer_append(text, SLICE("* OK [INPROGRESS (\""));
    buffer_append(text, session->tag); /* has no quoted-specials */
    if (goal)
        buffer_append_format(text, "\" %llu %llu)] Going on\r\n", (unsigned long long)done,
                             (unsigned long long)goal);
    else
        buffer_append(text, SLICE("\" NIL NIL)] Going on\r\n"));
}

void session_expect_line(struct session *session, const char *text, line_handler *on_line)
{
    writer_continue(&session->writer, text);
    session_await_line(session, on_line);
}

void session_await_line(struct session *session, line_handler *on_line)
{
    session->on_line = on_line;
    command_expect_line(&session->reader);
}

void session_answered(struct session *session)
{
    session_end_command(session);
    turn_again(&session->mailbox->turn, &session->in_next_turn);
}
