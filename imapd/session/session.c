/* The sessions of session.h: their states, from birth to end. */
#include "imapd/session/session_internal.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "common/net/deflate_stream.h"
#include "imapd/mailbox.h"
#include "imapd/search/search_context.h"
#include "imapd/session/notify.h"
#include "imapd/session/resume.h"
#include "imapd/shared/forward.h"
#include "imapd/shared/rights.h"
#include "imapd/syntax/capability.h"
#include "imapd/syntax/client_id.h"

enum { SKIPPED_OCTETS = 64 << 20 /* of a refused command, before the connection ends */ };

/* ---- states ---- */

static void enter(struct session *session, enum session_state state)
{
    session->state = state;
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

/* ---- what it is told of ---- */

bool session_has_capability(const struct session *session, struct slice capability)
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
    size_t limit = session->mailbox->config->imap.message_limit; /* 0: none */
    bool is_limited = limit > 0 && session_has_capability(session, SLICE("MESSAGELIMIT"));
    session->limit = is_limited ? limit : SIZE_MAX;
    session->tells_progress = session_has_capability(session, SLICE("INPROGRESS"));
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

/* ---- birth ---- */

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
    session_init_turn(session, arrival->fd);
    session_init_news(session);
    command_reader_init(&session->reader, limits_of(mailbox->config));
    writer_init(&session->writer, &session->stream, SESSION_ANSWER_OCTETS);
    arena_init(&session->arena, SESSION_COMMAND_MEMORY);
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
    session_set_deadline(session);
}

/* Resumes a hibernated session, which cannot go on without its folder. False: malformed record. */
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

/* A client of another account, with its enabled extensions. */
static bool let_visit(struct session *session, const struct session_arrival *arrival,
                      struct error *error)
{
    struct mailbox *mailbox = session->mailbox;
    struct resume_record record;
    if (!resume_parse(arrival->handed, &record) || record.selected || record.idles)
        return error_set(error, ERROR_PEER, "the record of a visitor is malformed");
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

/* ---- death ---- */

void session_end(struct session *session)
{
    if (session->state == SESSION_LOGOUT)
        return;
    session_end_command(session);
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
    session_end_command(session);
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
    buffer_clear(&session->answer_behind);
    free(session->visitor);
    DL_DELETE(mailbox->sessions, session);
    mailbox->session_count--;
    free(session);
    if (mailbox->session_count == 0)
        folder_names_arrange(mailbox);
    if (mailbox->session_count == 0 && mailbox->on_idle)
        mailbox->on_idle(mailbox);
}
