/* A session in the event loop: when it reads, works and writes, and when its connection ends. */
#include "imapd/session/session_internal.h"

#include <stddef.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "imapd/mailbox.h"
#include "imapd/shared/forward.h"
#include "imapd/shared/visit.h"

enum {
    INPUT_OCTETS = 65536,
    HIGH_WATER_OCTETS = 262144,
    COMMANDS_A_TURN = 50,
    TURN_MS = 5, /* then other sessions have theirs */
    LINGER_MS = 2000,
};

/* ---- a turn ---- */

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

bool session_turn_is_over(const struct session *session)
{
    return turn_now_ms() >= session->turn_ends_ms;
}

/* Reads and runs what is there, a turn's worth, and writes the answers out. */
static void go_on(struct session *session)
{
    session->stirred_ms = turn_now_ms();
    int commands = COMMANDS_A_TURN;
    session->turn_ends_ms = session->stirred_ms + TURN_MS;
    if (may_step(session))
        session->step(session);
    while (commands > 0 && may_read(session) && session_read_event(session)) {
        commands--;
        if (may_step(session)) {
            session->step(session);
            commands = session->step || session_turn_is_over(session) ? 0 : commands;
        }
    }
    if (stream_is_over(&session->stream))
        return;
    session_tell_unasked(session);
    writer_flush(&session->writer);
    if (commands == 0 || may_step(session))
        turn_again(&session->mailbox->turn, &session->in_next_turn);
    if (session->state == SESSION_LOGOUT)
        stream_finish(&session->stream, LINGER_MS);
    else if (stream_at_end(&session->stream) && may_read(session) && !session_has_input(session))
        session_bye(session, "Good bye");
}

void session_resume(struct session *session)
{
    session->waiting = false;
    go_on(session);
}

static void log_closed(const struct session *session, const char *reason)
{
    const struct stream *stream = &session->stream;
    LOG(session->mailbox->log, LOG_INFO, "closed", log_hex("session", session->number),
        log_text("reason", reason), log_number("octets_in", (int64_t)stream->octets_in),
        log_number("octets_out", (int64_t)stream->octets_out));
}

/* Runs after UNAUTHENTICATE was answered. Input after that command was not and must not be read: it
 * may be another user's password. */
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

/* ---- the connection ---- */

static struct session *session_of(struct stream *stream)
{
    return stream->owner;
}

/* A visitor's timeout is decided by its own process. */
void session_set_deadline(struct session *session)
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
    session_set_deadline(session);
    go_on(session);
}

static void on_drained(struct stream *stream)
{
    struct session *session = session_of(stream);
    visits_on_drained(session);
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

/* Runs at the end of a turn in which the session ended, or its folder changed while it idles. */
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
    session_tell_unasked(session);
    writer_flush(&session->writer);
    if (may_step(session))
        turn_again(&session->mailbox->turn, &session->in_next_turn);
}

void session_init_turn(struct session *session, int fd)
{
    struct mailbox *mailbox = session->mailbox;
    struct stream_limits limits = {.input = INPUT_OCTETS,
                                   .high_water = HIGH_WATER_OCTETS,
                                   .output = SESSION_ANSWER_OCTETS + HIGH_WATER_OCTETS,
                                   .stalled_ms = (unsigned)mailbox->config->timeouts.write_ms};
    stream_init(&session->stream, &mailbox->turn, fd, &stream_handler, &limits);
    session->stream.owner = session;
    session->in_next_turn.run = on_next_turn;
    session->at_turn_end.run = on_turn_end;
}
