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
    if (visit->session && visit->hears)
        visit->hears(visit, ANSWER_LOST, SLICE(""));
}

static bool may_hear(const struct visit *visit)
{
    return visit->session && visit->is_open && visit->is_listening && !visit->is_held
           && !stream_output_full(&visit->session->stream);
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
            lose(visit);
            return;
        }
        if (part == ANSWER_END)
            visit->is_listening = false;
        stream_consume(&visit->stream, taken);
        visit->hears(visit, part, slice_range(input, 0, taken));
        writer_flush(&session->writer);
    }
    if (visit->session && stream_at_end(&visit->stream) && may_hear(visit))
        lose(visit);
}

static void on_input(struct stream *stream)
{
    struct visit *visit = visit_of(stream);
    if (visit->session)
        visit_go_on(visit);
    if (visit->session && !visit->is_listening && stream_at_end(stream))
        lose(visit);
}

static void on_drained(struct stream *stream)
{
    const struct visit *visit = visit_of(stream);
    if (visit->session)
        session_resume(visit->session);
}

static void on_closed(struct stream *stream, const struct error *why)
{
    (void)why;
    lose(visit_of(stream));
}

static const struct stream_handler handler = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

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

/* ---- commands ---- */

bool visit_begin_command(struct visit *visit, struct slice tag, visit_hears *hears)
{
    visit->hears = hears;
    return answer_init(&visit->answer, tag);
}

void visit_say(struct visit *visit, struct slice octets)
{
    if (visit->is_open)
        stream_write(&visit->stream, octets);
    else
        buffer_append(&visit->unsaid, octets);
}

void visit_listen(struct visit *visit)
{
    visit->is_listening = true;
}

bool visit_is_full(const struct visit *visit)
{
    return visit->is_open ? stream_output_full(&visit->stream) : visit->request != 0;
}
