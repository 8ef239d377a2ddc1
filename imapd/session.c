/* The sessions of session.h: input to commands, commands to answers. */
#include "imapd/session.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "common/mime/charset.h"
#include "common/net/deflate_stream.h"
#include "imapd/mailbox.h"
#include "imapd/notify.h"
#include "imapd/resume.h"
#include "imapd/search/search_context.h"
#include "imapd/shared/forward.h"
#include "imapd/shared/rights.h"
#include "imapd/syntax/capability.h"
#include "imapd/syntax/client_id.h"

enum {
    INPUT_OCTETS = 65536,
    HIGH_WATER_OCTETS = 262144,
    ANSWER_OCTETS = 64 << 20, /* of one answer in memory; sections of files are lent */
    COMMAND_MEMORY =
        16 << 20,       /* what the arguments of one command may need, unescaped and listed */
    KEPT_MEMORY = 4096, /* of it, between commands */
    SKIPPED_OCTETS = 64 << 20, /* of a refused command, before the connection ends */
    COMMANDS_A_TURN = 50,
    TURN_MS = 5, /* then other sessions have theirs */
    LINGER_MS = 2000,
};

static void enter(struct session *session, enum session_state state)
{
    session->state = state;
}

/* ---- ends of commands ---- */

/* What the client sees as one command is over. */
static void end_command(struct session *session)
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

/* A visitor may have lost the right to read. */
static bool may_hear(const struct session *session)
{
    return !session->visitor || (rights_to_selected(session) & ACL_READ);
}

static bool wants_news(const struct session *session)
{
    if (!may_hear(session))
        return false;
    return !session->notify || notify_manner(session->notify) != NOTIFY_TELLS_NOTHING
           || (session->command && (session->command->traits & COMMAND_REMOVES));
}

/* RFC 5465 5.1: once NOTIFY was said FETCH responses have the UID. */
void session_tell_news(struct session *session, enum view_extent extent)
{
    struct error error;
    bool with_uid = session->by_uid || session->notify;
    if (session->state != SESSION_SELECTED || !wants_news(session))
        return;
    if (extent == VIEW_ALL)
        search_contexts_tell_gone(session);
    if (!view_sync(&session->view, extent, with_uid, &session->writer, &error))
        LOG(session->mailbox->log, LOG_ERROR, "news_wait", log_hex("session", session->number),
            log_failure(&error));
}

/* RFC 3501 7.4.1: EXPUNGE not while FETCH, STORE or SEARCH are answered. */
static enum view_extent extent_of(const struct session *session)
{
    bool keeps = session->command && (session->command->traits & COMMAND_KEEPS_NUMBERS);
    return keeps && !session->by_uid ? VIEW_KEEP_NUMBERS : VIEW_ALL;
}

/* The client hears nothing of a FETCH that it did not ask for but what it told. */
static void end_unasked(struct session *session)
{
    end_command(session);
    session->is_unasked = false;
    session->command = session->interrupted;
    session->on_line = session->interrupted_line;
    session->tag = arena_copy(&session->arena, buffer_slice(&session->interrupted_tag));
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
        end_unasked(session);
        return;
    }
    if (session->state == SESSION_SELECTED) {
        watch_poll(&session->mailbox->watch);
        session_tell_news(session, extent_of(session));
    }
    write_answer(session, status, code, text);
    end_command(session);
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

/* ---- what handlers leave behind ---- */

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

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void session_tell_progress(struct session *session, uint64_t done, uint64_t goal)
{
    struct buffer *text = &session->writer.text;
    if (!session->tells_progress || session->is_unasked)
        return;
    int64_t now = now_ms();
    if (now < session->progress_ms)
        return;
    session->progress_ms = now + (int64_t)session->mailbox->config->imap.progress_ms;
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

void session_select(struct session *session)
{
    search_contexts_clear(session);
    enter(session, SESSION_SELECTED);
    session->data_uid = session->view.last_uid;
}

void session_unselect(struct session *session)
{
    search_contexts_clear(session);
    view_close(&session->view);
    enter(session, SESSION_AUTHENTICATED);
}

void session_answered(struct session *session)
{
    end_command(session);
    turn_again(&session->mailbox->turn, &session->in_next_turn);
}

void session_begin_visit(struct session *session)
{
    enter(session, SESSION_VISITING);
}

void session_end_visit(struct session *session)
{
    enter(session, SESSION_AUTHENTICATED);
}

void session_enable(struct session *session, unsigned manner)
{
    struct view *view = &session->view;
    bool first = (manner & VIEW_TELLS_MODSEQ) && !(view->manner & VIEW_TELLS_MODSEQ);
    view->manner |= manner;
    if (first && session->state == SESSION_SELECTED)
        view_write_highest_modseq(view, &session->writer);
}

void session_set_notify(struct session *session, struct notify *notify)
{
    notify_free(session->notify);
    session->notify = notify;
    session->data_uid = session->view.last_uid;
    session->view.manner &= ~(unsigned)VIEW_HIDES_CHANGES;
    if (!notify_tells_flags(notify))
        session->view.manner |= VIEW_HIDES_CHANGES;
}

void session_has_news(struct session *session)
{
    turn_defer(&session->mailbox->turn, &session->at_turn_end);
}

/* ---- from events to handlers ---- */

static void init_parser(struct session *session, struct imap_parser *parser, struct slice text)
{
    imap_parser_init(parser, text, &session->arena);
    parser->utf8 = session->view.manner & VIEW_UTF8;
    parser->expunged = session->visitor ? NULL : session->mailbox->undo.name;
    parser->shared = session->mailbox->config->imap.shared.text;
    parser->visited = session->visitor ? session->visitor->top : NULL;
}

static bool has(const struct session *session, struct slice capability)
{
    return !(session->without & imap_capability_find(capability));
}

void session_know_client(struct session *session, const struct imap_client_id *client)
{
    const struct mailbox *mailbox = session->mailbox;
    session_leave_out(session, imap_client_without(mailbox->config, client, mailbox->account));
}

void session_leave_out(struct session *session, uint64_t without)
{
    session->without = without;
    if (!session->carried)
        session->without |= imap_capability_find(SLICE("UNAUTHENTICATE"));
    session->limit = has(session, SLICE("MESSAGELIMIT"))
                         ? session->mailbox->config->imap.message_limit
                         : SIZE_MAX;
    session->tells_progress = has(session, SLICE("INPROGRESS"));
}

static bool is_left_out(const struct session *session, const struct command_spec *spec)
{
    return session->without && spec->capability && !has(session, slice_of_string(spec->capability));
}

/* False: the text names no command that may run now, and was answered with BAD. */
static bool find_command(struct session *session, struct imap_parser *parser)
{
    struct slice name;
    if (!imap_parse_space(parser) || !imap_parse_word(parser, &name)) {
        session_bad(session, "Expected a tag, a space and a command");
        return false;
    }
    session->by_uid = slice_equal_nocase(name, SLICE("UID"));
    if (session->by_uid && (!imap_parse_space(parser) || !imap_parse_word(parser, &name))) {
        session_bad(session, "Expected a command behind UID");
        return false;
    }
    const struct command_spec *spec = command_find(name);
    if (!spec || is_left_out(session, spec)
        || (session->by_uid && !(spec->traits & COMMAND_HAS_UID))) {
        session_bad(session, "There is no such command");
        return false;
    }
    if (!(spec->states & session->state)) {
        session_bad(session, spec->states & SESSION_SELECTED ? "No mailbox is selected"
                                                             : "Not when you are logged in");
        return false;
    }
    if ((session->view.manner & VIEW_UID_ONLY) && (spec->traits & COMMAND_HAS_NUMBERS)
        && !session->by_uid) {
        session_bad_numbers(session);
        return false;
    }
    if (session->visitor && !rights_let_run(session, spec))
        return false;
    session->command = spec;
    return true;
}

/* command = tag SP (...) CRLF. False: answered with BAD. */
static bool begin_command(struct session *session, struct imap_parser *parser)
{
    struct slice tag;
    if (!imap_parse_tag(parser, &tag)) {
        session_bad(session, "Expected a tag, a space and a command");
        return false;
    }
    session->tag = arena_copy(&session->arena, tag);
    if (session->tells_progress)
        session->progress_ms = now_ms() + (int64_t)session->mailbox->config->imap.progress_ms;
    return find_command(session, parser);
}

static void on_ready(struct session *session)
{
    struct imap_parser parser;
    struct slice text = command_text(&session->reader);
    init_parser(session, &parser, text);
    if (session->on_line) {
        line_handler *on_line = session->on_line;
        session->on_line = NULL;
        on_line(session, text);
    } else if (session->forwarded) {
        forward_rest(session, text);
    } else if (session->command
               || (begin_command(session, &parser) && !forward_takes(session, &parser))) {
        session->command->handler(session, &parser);
    }
}

/* The tag of a command that never became whole. */
static void take_tag(struct session *session)
{
    struct imap_parser parser;
    struct slice tag;
    init_parser(session, &parser, command_text(&session->reader));
    if (!session->command && imap_parse_tag(&parser, &tag) && imap_parse_space(&parser))
        session->tag = arena_copy(&session->arena, tag);
}

static void on_problem(struct session *session)
{
    const char *text = command_problem_text(session->reader.problem);
    take_tag(session);
    if (session->reader.problem == COMMAND_NO_MEMORY)
        session_no(session, SLICE("UNAVAILABLE"), text);
    else
        session_bad(session, text);
}

static void collect_literal(struct session *session)
{
    if (command_accept_literal(&session->reader)) {
        if (session->reader.literal.synchronising)
            writer_continue(&session->writer, "Ready for literal data");
        return;
    }
    on_problem(session);
    if (!command_refuse_literal(&session->reader))
        session_bye(session, "What follows is too long to be skipped");
}

/* Refused already, or not to be run at all: what is still to come of it is skipped. */
static void skip_rest(struct session *session, bool announced)
{
    bool skipped =
        announced ? command_refuse_literal(&session->reader) : command_skip_rest(&session->reader);
    if (!skipped)
        session_bye(session, "What follows is too long to be skipped");
}

static void on_literal(struct session *session)
{
    struct imap_parser parser;
    init_parser(session, &parser, command_text(&session->reader));
    bool is_streaming = session->command != NULL;
    if (!is_streaming && !begin_command(session, &parser)) {
        skip_rest(session, true);
        return;
    }
    const struct command_spec *spec = session->command;
    bool dealt_with = spec->on_literal
                      && (forward_literal(session, &parser) || spec->on_literal(session, &parser));
    if (dealt_with) {
        if (!session->command)
            skip_rest(session, true);
        return;
    }
    if (!is_streaming)
        end_command(session); /* it begins anew when it is whole */
    collect_literal(session);
}

static void on_octets(struct session *session, struct slice octets)
{
    if (session->forwarded)
        forward_octets(session, octets);
    else
        session->command->on_octets(session, octets);
    if (!session->command)
        skip_rest(session, false);
}

/* False: nothing more is to be read now. */
static bool take_event(struct session *session, enum command_event event, struct slice octets)
{
    switch (event) {
    case COMMAND_MORE:
        return false;
    case COMMAND_READY:
        on_ready(session);
        break;
    case COMMAND_LITERAL:
        on_literal(session);
        break;
    case COMMAND_OCTETS:
        on_octets(session, octets);
        break;
    case COMMAND_BAD:
        on_problem(session);
        break;
    case COMMAND_CLOSE:
        if (session->reader.problem != COMMAND_FINE)
            on_problem(session);
        session_bye(session, "What follows is too long to be skipped");
        break;
    }
    return true;
}

/* ---- the loop ---- */

bool session_has_input(const struct session *session)
{
    return stream_input(&session->stream).len > 0;
}

static bool may_read(const struct session *session)
{
    return !session->step && (session->state & SESSION_OPEN) && !stream_is_over(&session->stream)
           && !stream_output_full(&session->stream) && !forward_is_full(session);
}

static bool may_step(const struct session *session)
{
    return session->step && !session->waiting && !stream_is_over(&session->stream)
           && !stream_output_full(&session->stream);
}

static bool read_event(struct session *session)
{
    struct slice octets = SLICE("");
    struct cursor in = cursor_of(stream_input(&session->stream));
    struct cursor start = in;
    enum command_event event = command_read(&session->reader, &in, &octets);
    stream_consume(&session->stream, cursor_since(&in, &start).len);
    return take_event(session, event, octets);
}

/* A command that nobody asked for: its answer is what it tells, no more. IDLE goes on behind it.
 * False: there is no memory. */
static bool begin_unasked(struct session *session, struct slice name)
{
    buffer_reset(&session->interrupted_tag);
    buffer_append(&session->interrupted_tag, session->tag);
    if (session->interrupted_tag.failed)
        return false;
    session->interrupted = session->command;
    session->interrupted_line = session->on_line;
    session->is_unasked = session->by_uid = true;
    session->command = command_find(name);
    session->on_line = NULL;
    session->tag = SLICE("");
    return true;
}

/* FETCH with those arguments. */
static void fetch_unasked(struct session *session, struct slice arguments)
{
    struct imap_parser parser;
    struct slice text = arena_copy(&session->arena, arguments);
    if (!text.ptr || !begin_unasked(session, SLICE("FETCH")))
        return;
    init_parser(session, &parser, text);
    session->command->handler(session, &parser);
}

/* RFC 5465 5.2: the data of messages that EXISTS has told. */
static bool wants_message_data(struct session *session, struct buffer *text)
{
    struct slice data = session->notify ? notify_message_data(session->notify) : SLICE("");
    uint32_t first = session->data_uid + 1, last = session->view.last_uid;
    if (last < first)
        return false;
    session->data_uid = last;
    if (data.len == 0)
        return false;
    buffer_append_format(text, " %u:%u ", first, last);
    buffer_append(text, data);
    return !text->failed;
}

/* One of these at a time: a FETCH that is owed, or a look at what a change means to contexts. */
static void work_unasked(struct session *session)
{
    struct buffer text = BUFFER_WITH_LIMIT(COMMAND_MEMORY);
    if (session->state == SESSION_SELECTED) {
        if (wants_message_data(session, &text) || search_contexts_take_fetch(session, &text))
            fetch_unasked(session, buffer_slice(&text));
        else if (search_contexts_are_due(session) && begin_unasked(session, SLICE("SEARCH")))
            search_contexts_update(session);
    }
    buffer_clear(&text);
}

/* What the client listens for: while it idles, or, with NOTIFY, between commands. */
static void tell_news_unasked(struct session *session, bool idles)
{
    struct notify *notify = session->notify;
    if (notify)
        notify_tell(notify);
    bool delayed = notify && !idles && notify_manner(notify) == NOTIFY_TELLS_DELAYED;
    session_tell_news(session, delayed ? VIEW_KEEP_NUMBERS : VIEW_ALL);
}

static void tell_unasked(struct session *session)
{
    bool idles = session->on_line != NULL;
    if (!(session->state & SESSION_OPEN) || stream_output_full(&session->stream)
        || stream_is_changing(&session->stream) || (!idles && session->command)
        || !may_hear(session))
        return;
    if (idles || session->notify)
        tell_news_unasked(session, idles);
    work_unasked(session);
}

/* Reads and runs what is there, a turn's worth, and writes the answers out. */
static void go_on(struct session *session)
{
    session->stirred_ms = turn_now_ms();
    int commands = COMMANDS_A_TURN;
    int64_t until = now_ms() + TURN_MS;
    if (may_step(session))
        session->step(session);
    while (commands > 0 && may_read(session) && read_event(session)) {
        commands--;
        if (may_step(session)) {
            session->step(session);
            commands = session->step || now_ms() >= until ? 0 : commands;
        }
    }
    if (stream_is_over(&session->stream))
        return;
    tell_unasked(session);
    writer_flush(&session->writer);
    if (commands == 0 || may_step(session))
        turn_again(&session->mailbox->turn, &session->in_next_turn);
    if (session->state == SESSION_LOGOUT)
        stream_finish(&session->stream, LINGER_MS);
    else if (stream_at_end(&session->stream) && may_read(session) && !session_has_input(session))
        session_bye(session, "Good bye");
}

/* ---- back to imapd-login ---- */

/* The answer ends a COMPRESS, if any: it is the last octet of ours that is compressed (RFC 8437
 * 4.1). No news before it: "no expunge event is generated" (3). */
void session_unauthenticate(struct session *session)
{
    forward_end(session);
    session_unselect(session);
    session_ok(session, SLICE(""), "You are nobody now");
    writer_flush(&session->writer);
    if (deflate_stream_is_active(&session->stream))
        stream_use_plain(&session->stream);
    stream_await_empty(&session->stream);
    enter(session, SESSION_LEAVING);
}

static void log_closed(const struct session *session, const char *reason)
{
    const struct stream *stream = &session->stream;
    LOG(session->mailbox->log, LOG_INFO, "closed", log_hex("session", session->number),
        log_text("reason", reason), log_number("octets_in", (int64_t)stream->octets_in),
        log_number("octets_out", (int64_t)stream->octets_out));
}

/* The answer has left. Nothing that the client has said behind the command was looked at, nor shall
 * it be: it may be somebody else's password. */
static void leave(struct session *session)
{
    struct mailbox *mailbox = session->mailbox;
    struct buffer rest = BUFFER_WITH_LIMIT(RETURNED_INPUT_MAX);
    struct error error;
    int fd = -1;
    log_closed(session, "UNAUTHENTICATE");
    if (!stream_detach(&session->stream, &fd, &rest, &error)
        || !mailbox->give_back(mailbox, &session->pass, buffer_slice(&rest), fd, &error))
        LOG(mailbox->log, LOG_ERROR, "not_given_back", log_hex("session", session->number),
            log_failure(&error));
    if (rest.ptr)
        explicit_bzero(rest.ptr, rest.len);
    buffer_clear(&rest);
    fd_discard(&fd);
    session->ended = true;
    turn_defer(&mailbox->turn, &session->at_turn_end);
}

void session_resume(struct session *session)
{
    session->waiting = false;
    go_on(session);
}

static struct session *session_of(struct stream *stream)
{
    return stream->owner;
}

/* How long a visitor may be silent his own process decides. */
static void set_deadline(struct session *session)
{
    if (session->visitor)
        return;
    session->silent_since_ms = turn_now_ms();
    stream_set_deadline_ms(&session->stream, (unsigned)session->mailbox->config->timeouts.imap_ms);
}

uint32_t session_left_ms(const struct session *session)
{
    uint64_t until = session->silent_since_ms + session->mailbox->config->timeouts.imap_ms;
    uint64_t now = turn_now_ms();
    return until > now ? (uint32_t)(until - now) : 1;
}

static void on_input(struct stream *stream)
{
    struct session *session = session_of(stream);
    set_deadline(session);
    go_on(session);
}

static void on_drained(struct stream *stream)
{
    struct session *session = session_of(stream);
    forward_on_drained(session);
    if (session->state == SESSION_LEAVING)
        leave(session);
    else
        go_on(session);
}

static void on_deadline(struct stream *stream)
{
    session_bye(session_of(stream), "You were silent for too long");
}

static void on_closed(struct stream *stream, const struct error *why)
{
    struct session *session = session_of(stream);
    log_closed(session, why ? why->text : "LOGOUT");
    session->ended = true;
    turn_defer(&session->mailbox->turn, &session->at_turn_end);
}

static const struct stream_handler stream_handler = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

static void on_next_turn(struct deferred *deferred)
{
    struct session *session =
        (void *)((uint8_t *)deferred - offsetof(struct session, in_next_turn));
    if (!session->ended)
        go_on(session);
}

/* The end of a turn in which the session ended, or its folder has news and it idles. */
static void on_turn_end(struct deferred *deferred)
{
    struct session *session = (void *)((uint8_t *)deferred - offsetof(struct session, at_turn_end));
    if (session->ended) {
        session_free(session);
        return;
    }
    if (stream_is_over(&session->stream))
        return;
    session->stirred_ms = turn_now_ms();
    tell_unasked(session);
    writer_flush(&session->writer);
    if (may_step(session))
        turn_again(&session->mailbox->turn, &session->in_next_turn);
}

static void on_news(struct view *view)
{
    struct session *session = (void *)((uint8_t *)view - offsetof(struct session, view));
    if (session->on_line || session->notify)
        session_has_news(session);
}

/* ---- birth and death ---- */

static struct command_limits limits_of(const struct config *config)
{
    return (struct command_limits){.lines = config->limits.imap_line_octets,
                                   .literal = config->limits.imap_literal_octets,
                                   .text = config->limits.imap_command_octets,
                                   .skip = SKIPPED_OCTETS};
}

static void greet(struct session *session, struct slice tag)
{
    struct buffer code = BUFFER_WITH_LIMIT(1000);
    capability_append(session->mailbox->config, session->without, &code);
    writer_tagged(&session->writer, tag, WRITER_OK, buffer_slice(&code), "Logged in");
    buffer_clear(&code);
}

/* Those that said good-bye only wait for the connection's end; visitors take no place of the
 * owner's. */
static size_t count_active(const struct mailbox *mailbox)
{
    const struct session *session;
    size_t active = 0;
    DL_FOREACH (mailbox->sessions, session)
        active += (session->state & SESSION_OPEN) && !session->visitor;
    return active;
}

/* The login was right, but the account has as many sessions as it may have. */
static void turn_away(struct session *session, struct slice tag)
{
    writer_tagged(&session->writer, tag, WRITER_NO, SLICE("LIMIT"),
                  "Too many sessions of this account (limits.account-sessions)");
    LOG(session->mailbox->log, LOG_WARNING, "too_many_sessions",
        log_hex("session", session->number), log_text("account", session->mailbox->account));
    session_bye(session, "Too many sessions");
}

static struct session *make(struct mailbox *mailbox, const struct session_arrival *arrival)
{
    struct stream_limits limits = {.input = INPUT_OCTETS,
                                   .high_water = HIGH_WATER_OCTETS,
                                   .output = ANSWER_OCTETS + HIGH_WATER_OCTETS,
                                   .stalled_ms = (unsigned)mailbox->config->timeouts.write_ms};
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->mailbox = mailbox;
    if (arrival->pass) {
        session->pass = *arrival->pass;
        session->has_pass = true;
        session->number = arrival->pass->client.session;
    }
    if (arrival->visitor.len > 0)
        session->number = arrival->number;
    session->carried = arrival->carried;
    stream_init(&session->stream, &mailbox->turn, arrival->fd, &stream_handler, &limits);
    session->stream.owner = session;
    command_reader_init(&session->reader, limits_of(mailbox->config));
    writer_init(&session->writer, &session->stream, ANSWER_OCTETS);
    arena_init(&session->arena, COMMAND_MEMORY);
    session->view.on_news = on_news;
    session->in_next_turn.run = on_next_turn;
    session->at_turn_end.run = on_turn_end;
    buffer_init(&session->interrupted_tag, mailbox->config->limits.imap_line_octets);
    DL_APPEND(mailbox->sessions, session);
    mailbox->session_count++;
    enter(session, SESSION_AUTHENTICATED);
    return session;
}

/* A login. */
static void begin(struct session *session, struct slice handed)
{
    struct mailbox *mailbox = session->mailbox;
    struct imap_client_id client;
    struct slice tag = imap_client_id_unpack(handed, &client);
    LOG(mailbox->log, LOG_INFO, "opened", log_hex("session", session->number),
        log_text("account", mailbox->account));
    session_know_client(session, &client);
    if (count_active(mailbox) + mailbox->asleep <= mailbox->config->limits.account_sessions)
        greet(session, tag);
    else
        turn_away(session, tag);
    set_deadline(session);
}

/* It was asleep. Without its folder it cannot go on. False: the record is none. */
static bool go_on_after_sleep(struct session *session, const struct session_arrival *arrival,
                              struct error *error)
{
    struct mailbox *mailbox = session->mailbox;
    struct resume_record record;
    if (!resume_parse(arrival->handed, &record))
        return error_set(error, ERROR_PEER, "the record of a session that was asleep is malformed");
    uint64_t allowed_ms = mailbox->config->timeouts.imap_ms;
    uint64_t left_ms = arrival->left_ms < allowed_ms ? arrival->left_ms : allowed_ms;
    session->silent_since_ms = turn_now_ms() - (allowed_ms - left_ms);
    stream_set_deadline_ms(&session->stream, session_left_ms(session));
    LOG(mailbox->log, LOG_INFO, "resumed", log_hex("session", session->number),
        log_text("account", mailbox->account));
    if (resume_restore(&record, session, error)) {
        session_has_news(session);
        return true;
    }
    LOG(mailbox->log, LOG_WARNING, "not_resumed", log_hex("session", session->number),
        log_failure(error));
    session_bye(session, "The selected mailbox cannot be gone on with; log in again");
    return true;
}

static size_t count_visitors(const struct mailbox *mailbox)
{
    const struct session *session;
    size_t count = 0;
    DL_FOREACH (mailbox->sessions, session)
        count += session->visitor != NULL;
    return count;
}

/* A client of another account, and what he has enabled there. */
static bool let_visit(struct session *session, const struct session_arrival *arrival,
                      struct error *error)
{
    struct mailbox *mailbox = session->mailbox;
    struct resume_record record;
    if (!resume_parse(arrival->handed, &record) || record.selected || record.idles)
        return error_set(error, ERROR_PEER, "the record of a visitor is malformed");
    if (count_visitors(mailbox) >= mailbox->config->limits.account_sessions)
        return error_set(error, ERROR_TEMPORARY, "too many visitors (limits.account-sessions)");
    session->visitor = visitor_new(mailbox, arrival->visitor);
    if (!session->visitor)
        return error_set(error, ERROR_TEMPORARY, "nothing is shared here");
    LOG(mailbox->log, LOG_INFO, "visited", log_hex("session", session->number),
        log_text("account", mailbox->account), log_text("visitor", session->visitor->account));
    return resume_restore(&record, session, error);
}

bool session_new(struct mailbox *mailbox, const struct session_arrival *arrival,
                 struct error *error)
{
    struct session *session = make(mailbox, arrival);
    if (!session) {
        int fd = arrival->fd;
        fd_discard(&fd);
        return error_memory(error);
    }
    bool taken = stream_begin_with(&session->stream, arrival->input, error);
    if (taken && arrival->visitor.len > 0)
        taken = let_visit(session, arrival, error);
    else if (taken && arrival->resumed)
        taken = go_on_after_sleep(session, arrival, error);
    else if (taken)
        begin(session, arrival->handed);
    if (!taken) {
        session_free(session);
        return false;
    }
    session->stirred_ms = turn_now_ms();
    writer_flush(&session->writer);
    turn_again(&mailbox->turn, &session->in_next_turn);
    return true;
}

void session_end(struct session *session)
{
    if (session->state == SESSION_LOGOUT)
        return;
    end_command(session);
    forward_end(session);
    session_unselect(session);
    enter(session, SESSION_LOGOUT);
    turn_again(&session->mailbox->turn, &session->in_next_turn); /* finishes the stream */
}

void session_bye(struct session *session, const char *text)
{
    if (session->state == SESSION_LOGOUT)
        return;
    writer_untagged(&session->writer, WRITER_BYE, SLICE(""), text);
    session_end(session);
}

void session_free(struct session *session)
{
    struct mailbox *mailbox = session->mailbox;
    end_command(session);
    forward_end(session);
    notify_free(session->notify);
    search_contexts_clear(session);
    view_close(&session->view);
    turn_cancel(&session->in_next_turn);
    turn_cancel(&session->at_turn_end);
    stream_clear(&session->stream);
    command_reader_clear(&session->reader);
    writer_clear(&session->writer);
    arena_clear(&session->arena);
    buffer_clear(&session->interrupted_tag);
    free(session->visitor);
    DL_DELETE(mailbox->sessions, session);
    mailbox->session_count--;
    free(session);
    if (mailbox->session_count == 0)
        folder_names_arrange(mailbox);
    if (mailbox->session_count == 0 && mailbox->on_idle)
        mailbox->on_idle(mailbox);
}
