/* The visits of visit.h. */
#include "imapd/shared/visit.h"

#include <stddef.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "common/role/handoff.h"
#include "imapd/mailbox.h"
#include "imapd/session/resume.h"
#include "imapd/session/session.h"

enum {
    INPUT_OCTETS = 65536,
    HIGH_WATER_OCTETS = 262144,
    UNSAID_OCTETS = 65 << 20, /* a command, whatever the limits are */
    SELECTED_OCTETS = 4096,
};

static struct visit *visit_of(struct stream *stream)
{
    return stream->owner;
}

static void free_visit(struct deferred *deferred)
{
    struct visit *visit = (void *)((uint8_t *)deferred - offsetof(struct visit, at_turn_end));
    stream_clear(&visit->stream);
    buffer_clear(&visit->unsaid);
    buffer_clear(&visit->selected);
    buffer_clear(&visit->unasked);
    free(visit);
}

void visit_end(struct visit *visit)
{
    if (!visit || !visit->session)
        return;
    struct mailbox *mailbox = visit->session->mailbox;
    DL_DELETE(mailbox->visits, visit);
    visit->session = NULL;
    visit->at_turn_end.run = free_visit;
    turn_defer(&mailbox->turn, &visit->at_turn_end);
}

/* ---- hearing ---- */

static void lose(struct visit *visit)
{
    visit_hears *hears = visit->hears_next ? visit->hears_next : visit->hears;
    if (visit->session && hears)
        hears(visit, ANSWER_LOST, SLICE(""));
}

static void lose_for(struct visit *visit, const char *reason)
{
    if (visit->session)
        LOG(visit->session->mailbox->log, LOG_WARNING, "visit_lost",
            log_hex("session", visit->session->number), log_text("owner", visit->owner),
            log_text("reason", reason));
    lose(visit);
}

static bool may_hear(const struct visit *visit)
{
    return visit->session && visit->is_open && visit->is_listening && !visit->is_held
           && !stream_output_full(&visit->session->stream);
}

/* The timeout begins with the last octet, and again when the client takes output. */
static void begin_silence(struct visit *visit)
{
    if (visit->is_bounded && visit->is_open && visit->session)
        stream_set_deadline_ms(
            &visit->stream,
            visit->is_listening ? (unsigned)visit->session->mailbox->config->timeouts.write_ms : 0);
}

/* The handler may end the visit, and the session. */
void visit_go_on(struct visit *visit)
{
    struct session *session = visit->session;
    size_t taken;
    while (may_hear(visit)) {
        struct slice input = stream_input(&visit->stream);
        enum answer_part part = answer_next(&visit->answer, input, &taken);
        if (part == ANSWER_MORE)
            break;
        if (part == ANSWER_LOST) {
            lose_for(visit, "what it says is no answer");
            return;
        }
        if (part == ANSWER_END)
            visit->is_listening = false;
        stream_consume(&visit->stream, taken);
        visit->hears(visit, part, slice_range(input, 0, taken));
        if (visit->hears_next && answer_is_between_lines(&visit->answer)) {
            visit->hears = visit->hears_next;
            visit->hears_next = NULL;
        }
        writer_flush(&session->writer);
    }
    if (visit->session && stream_at_end(&visit->stream) && may_hear(visit))
        lose_for(visit, "it has ended the connection");
}

static void on_input(struct stream *stream)
{
    struct visit *visit = visit_of(stream);
    if (visit->session)
        visit_go_on(visit);
    begin_silence(visit);
    if (visit->session && !visit->is_listening && stream_at_end(stream))
        lose_for(visit, "it has ended the connection");
}

static void on_drained(struct stream *stream)
{
    struct visit *visit = visit_of(stream);
    begin_silence(visit);
    if (visit->session)
        session_resume(visit->session);
}

static void on_closed(struct stream *stream, const struct error *why)
{
    lose_for(visit_of(stream), why ? why->text : "it has ended the connection");
}

/* Output not accepted yet has its own timeout, `stalled_ms`. */
static void on_deadline(struct stream *stream)
{
    struct visit *visit = visit_of(stream);
    if (visit->is_bounded && (!may_hear(visit) || !stream_output_empty(stream)))
        begin_silence(visit);
    else
        lose_for(visit, "it did not answer in time");
}

static const struct stream_handler handler = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

/* A visit that ends during this loop stays in memory, without a session. */
void visits_on_drained(struct session *session)
{
    for (struct visit *visit = session->mailbox->visits; visit; visit = visit->next)
        if (visit->session == session) {
            visit_go_on(visit);
            begin_silence(visit);
        }
}

void visits_break_off(struct mailbox *mailbox, const char *reason)
{
    for (struct visit *visit = mailbox->visits; visit; visit = visit->next)
        if (visit->session && visit->session->state != SESSION_LOGOUT)
            lose_for(visit, reason);
}

/* ---- beginning ---- */

struct visit *visit_begin(struct session *session, struct slice owner)
{
    struct mailbox *mailbox = session->mailbox;
    struct visit *visit = calloc(1, sizeof(*visit));
    struct master_visits record = {
        .header = {.type = MASTER_VISITS, .request = ++mailbox->last_request},
        .session = session->number};
    if (!visit || owner.len == 0 || owner.len > MASTER_ACCOUNT_MAX || !mailbox->tell_master
        || !mailbox->tell_master(mailbox, &record.header, sizeof(record), owner)) {
        free(visit);
        return NULL;
    }
    visit->session = session;
    visit->request = record.header.request;
    memcpy(visit->owner, owner.ptr, owner.len);
    buffer_init(&visit->unsaid, UNSAID_OCTETS);
    buffer_init(&visit->selected, SELECTED_OCTETS);
    buffer_init(&visit->unasked, UNSAID_OCTETS);
    DL_APPEND(mailbox->visits, visit);
    return visit;
}

static bool hand_over(const struct session *session, int fd, struct error *error)
{
    struct buffer record = BUFFER_WITH_LIMIT(SLEEP_RECORD_MAX);
    bool sent = resume_format_manner(session, &record) || error_memory(error);
    struct handoff_parcel parcel = {
        .tag = buffer_slice(&record), .client_fd = -1, .resumed = true, .left_ms = 1};
    sent = sent && handoff_send(fd, &parcel, error);
    buffer_clear(&record);
    return sent;
}

static void open_stream(struct visit *visit, int fd)
{
    struct mailbox *mailbox = visit->session->mailbox;
    struct stream_limits limits = {.input = INPUT_OCTETS,
                                   .high_water = HIGH_WATER_OCTETS,
                                   .output = UNSAID_OCTETS + HIGH_WATER_OCTETS,
                                   .stalled_ms = (unsigned)mailbox->config->timeouts.write_ms};
    stream_init(&visit->stream, &mailbox->turn, fd, &handler, &limits);
    visit->stream.owner = visit;
    visit->is_open = true;
    visit_set_deadline(visit, visit->deadline_ms);
    begin_silence(visit);
    stream_write(&visit->stream, buffer_slice(&visit->unsaid));
    buffer_clear(&visit->unsaid);
    session_resume(visit->session);
}

void visit_on_answer(struct mailbox *mailbox, uint64_t request, int fd,
                     enum account_outcome outcome)
{
    struct visit *visit;
    struct error error = {.kind = ERROR_NONE};
    DL_SEARCH_SCALAR(mailbox->visits, visit, request, request);
    if (!visit) {
        fd_discard(&fd);
        return;
    }
    visit->request = 0;
    visit->is_unknown = outcome == ACCOUNT_UNKNOWN;
    bool usable = fd >= 0 && !visit->unsaid.failed && fd_set_nonblocking(fd, &error)
                  && hand_over(visit->session, fd, &error);
    if (usable) {
        open_stream(visit, fd);
        return;
    }
    if (error.kind != ERROR_NONE)
        LOG(mailbox->log, LOG_ERROR, "not_visited", log_hex("session", visit->session->number),
            log_failure(&error));
    fd_discard(&fd);
    lose(visit);
}

void visit_set_deadline(struct visit *visit, unsigned milliseconds)
{
    visit->deadline_ms = milliseconds;
    if (visit->is_open)
        stream_set_deadline_ms(&visit->stream, milliseconds);
}

void visit_bound_silence(struct visit *visit, bool is_bounded)
{
    visit->is_bounded = is_bounded;
    if (!is_bounded)
        visit_set_deadline(visit, 0);
    begin_silence(visit);
}

/* ---- commands ---- */

bool visit_begin_command(struct visit *visit, struct slice tag, visit_hears *hears)
{
    if (visit->is_listening && !answer_is_between_lines(&visit->answer)) {
        visit->hears_next = hears;
        return answer_retag(&visit->answer, tag);
    }
    visit->hears = hears;
    return answer_init(&visit->answer, tag);
}

void visit_say(struct visit *visit, struct slice octets)
{
    if (visit->is_open)
        stream_write(&visit->stream, octets);
    else
        buffer_append(&visit->unsaid, octets);
    begin_silence(visit);
}

/* Literals need not be waited for (RFC 7888): "{5}" becomes "{5+}", except one at the end whose
 * octets the client has not sent yet. */
void visit_say_text(struct visit *visit, struct slice text, bool waits_at_end)
{
    struct slice line_end = SLICE("\r\n");
    size_t end;
    while ((end = slice_find(text, line_end)) < text.len) {
        struct slice line = slice_range(text, 0, end);
        uint64_t octets = 0;
        size_t brace = line.len;
        while (brace > 0 && line.ptr[brace - 1] != '{')
            brace--;
        for (size_t i = brace; i < line.len && line.ptr[i] >= '0' && line.ptr[i] <= '9'; i++)
            octets = octets * 10 + (line.ptr[i] - '0');
        bool hurries = !slice_ends_with(line, SLICE("+}"))
                       && !(waits_at_end && end + line_end.len == text.len);
        visit_say(visit, slice_range(line, 0, hurries && line.len > 0 ? line.len - 1 : line.len));
        if (hurries)
            visit_say(visit, SLICE("+}"));
        visit_say(visit, line_end);
        text = slice_from(text, end + line_end.len);
        visit_say(visit, slice_range(text, 0, octets < text.len ? (size_t)octets : text.len));
        text = slice_from(text, octets < text.len ? (size_t)octets : text.len);
    }
    visit_say(visit, text);
}

void visit_listen(struct visit *visit)
{
    visit->is_listening = true;
    begin_silence(visit);
}

bool visit_is_full(const struct visit *visit)
{
    return visit->is_open ? stream_output_full(&visit->stream) : visit->request != 0;
}
