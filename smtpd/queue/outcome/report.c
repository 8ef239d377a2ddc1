/* Reports of outcomes; see report.h. */
#include "smtpd/queue/outcome/report.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/arena.h"
#include "common/disk/fd.h"
#include "smtpd/queue/outcome/bounce.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"

enum {
    RECIPIENTS_PER_REPORT = 200,

    /* A report is a short body: so much for its frame, for what it says of recipients, and the rest
     * for what is sent back. Past the second it is sent, and another begun. */
    REPORT_OCTETS_MAX = FILTER_INLINE_MAX,
    FRAME_OCTETS = 4096,
    LONG_DRAFT_OCTETS = FILTER_PREFIX_MAX - FRAME_OCTETS, /* before a body in a file */
    DRAFT_OCTETS = 28672,
    FIELD_OCTETS = 500, /* names of fields and dates, for each recipient */
    ARENA_OCTETS = 256 << 10,
    HEADER_OCTETS_MAX = 24576, /* of the original's header section */
};

/* The items to report about one message. */
struct report_draft {
    struct arena arena; /* texts of the items */
    struct bounce_recipient items[RECIPIENTS_PER_REPORT];
    size_t count;
    size_t octets; /* upper bound of the items' size in the report */
    enum bounce_kind kind;
};

void reports_init(struct reports *reports)
{
    *reports = (struct reports){0};
    buffer_init(&reports->original, STORED_MESSAGE_MAX);
    buffer_init(&reports->text, REPORT_OCTETS_MAX);
}

/* ---- who is told what ---- */

/* RFC 3461 4.1: failures and delays are reported unless NOTIFY names something else, success only
 * if it names that. After relaying to a server that supports DSN, reporting is left to that server
 * (5.2.2). */
static enum report_to wanted_of_mail(const struct queued_recipient *recipient)
{
    unsigned notify = recipient->notify, wanted = 0;
    switch (recipient->outcome) {
    case OUTCOME_DELIVERED:
    case OUTCOME_RELAYED:
        wanted = notify & QUEUE_NOTIFY_SUCCESS;
        break;
    case OUTCOME_FAILED:
        wanted = notify == 0 || (notify & QUEUE_NOTIFY_FAILURE);
        break;
    case OUTCOME_RELAYED_NOTED: /* dispatch_relay.c looked at it */
    case OUTCOME_WARNED:        /* deadlines.c did */
        wanted = true;
        break;
    default:
        break;
    }
    return wanted ? REPORT_TO_SENDER : REPORT_TO_NOBODY;
}

enum report_to report_wanted(const struct queued_recipient *recipient)
{
    if (recipient->outcome == OUTCOME_QUARANTINED && recipient->purpose != STORED_NOTICE)
        return REPORT_TO_POSTMASTER;
    if (recipient->purpose == STORED_MAIL)
        return wanted_of_mail(recipient);
    bool is_double = recipient->purpose == STORED_REPORT && recipient->outcome == OUTCOME_FAILED;
    return is_double ? REPORT_TO_POSTMASTER : REPORT_TO_NOBODY;
}

/* ---- drafts ---- */

static struct report_draft *draft_for(struct reports *reports, enum report_to to)
{
    struct report_draft *draft = reports->drafts[to];
    if (draft)
        return draft;
    draft = reports->drafts[to] = calloc(1, sizeof(*draft));
    if (draft)
        arena_init(&draft->arena, ARENA_OCTETS);
    return draft;
}

static void empty_draft(struct report_draft *draft)
{
    draft->count = draft->octets = 0;
    arena_reset(&draft->arena);
}

void report_forget_drafts(struct reports *reports)
{
    for (enum report_to to = 0; to < REPORT_DRAFTS; to++)
        if (reports->drafts[to])
            empty_draft(reports->drafts[to]);
}

static enum bounce_action action_of(const struct queued_recipient *recipient)
{
    switch (recipient->outcome) {
    case OUTCOME_DELIVERED:
        return BOUNCE_DELIVERED;
    case OUTCOME_RELAYED:
    case OUTCOME_RELAYED_NOTED:
        return BOUNCE_RELAYED;
    case OUTCOME_WARNED:
    case OUTCOME_QUARANTINED:
        return BOUNCE_DELAYED;
    default:
        return BOUNCE_FAILED;
    }
}

/* A waiting recipient uses its last answer, which is on disk, or its destination's. */
static struct slice text_of(const struct queued_recipient *recipient,
                            const struct stored_recipient *row)
{
    struct slice text = slice_of_string(recipient->text);
    return recipient->outcome == OUTCOME_WARNED && text.len == 0 ? row->reply : text;
}

/* The recipient's own last attempt, or that of the failing destination it waits for. */
static int64_t last_attempt_of(const struct queued_recipient *recipient)
{
    const struct queue_target *target = queued_target_of(recipient);
    int64_t of_target = target->kind == TARGET_RELAY ? target->relay.tried : 0;
    return recipient->tried > of_target ? recipient->tried : of_target;
}

static int64_t retry_until(const struct queued_recipient *recipient)
{
    uint64_t expires_ms = queued_message_of(recipient)->expires_ms, now_ms = queue_now_ms();
    if (expires_ms == QUEUED_NEVER)
        return 0;
    return queue_wall_now() + (int64_t)(expires_ms > now_ms ? (expires_ms - now_ms) / 1000 : 0);
}

static bool draft_recipient(struct report_draft *draft, const struct queued_recipient *recipient,
                            const struct stored_recipient *row)
{
    struct bounce_recipient *item = &draft->items[draft->count];
    struct slice text = arena_copy(&draft->arena, text_of(recipient, row));
    *item = (struct bounce_recipient){.action = action_of(recipient),
                                      .address = arena_copy(&draft->arena, row->address),
                                      .orcpt = arena_copy(&draft->arena, row->orcpt),
                                      .text = outcome_text_parse(text),
                                      .last_attempt = last_attempt_of(recipient),
                                      .retry_until = retry_until(recipient)};
    if (!item->address.ptr || !item->orcpt.ptr || !text.ptr)
        return false;
    draft->kind = recipient->outcome == OUTCOME_QUARANTINED ? BOUNCE_QUARANTINE
                  : recipient->purpose == STORED_REPORT     ? BOUNCE_DOUBLE
                                                            : BOUNCE_TO_SENDER;
    draft->count++;
    draft->octets += 2 * item->address.len + item->orcpt.len + 3 * text.len + FIELD_OCTETS;
    return true;
}

/* Full if an item with address, ORCPT and text of maximum length would not fit. */
static bool is_full(const struct report_draft *draft, bool is_long)
{
    size_t most = is_long ? LONG_DRAFT_OCTETS : DRAFT_OCTETS;
    return draft->count == RECIPIENTS_PER_REPORT
           || draft->octets + 3 * QUEUE_ADDRESS_MAX + 3 * OUTCOME_TEXT_MAX + FIELD_OCTETS > most;
}

static bool any_failed(const struct report_draft *draft)
{
    for (size_t i = 0; i < draft->count; i++)
        if (draft->items[i].action == BOUNCE_FAILED)
            return true;
    return false;
}

/* ---- the original, as far as it is sent back ---- */

enum { PIECES_MAX = FILTER_CUTS_MAX + 2 };

struct original {
    struct slice pieces[PIECES_MAX];
    size_t count;
    bool whole;
    uint8_t *read; /* the part read of a long body; NULL: none */
};

static void add_piece(struct original *original, struct slice piece)
{
    if (piece.len > 0)
        original->pieces[original->count++] = piece;
}

/* Adds the body without the cuts. */
static void add_body(struct original *original, const struct stored_message *message,
                     struct slice body)
{
    size_t at = 0;
    for (size_t i = 0; i < message->cut_count; i++) {
        struct filter_cut cut = stored_cut(message, i);
        add_piece(original, slice_range(body, at, cut.offset));
        at = (size_t)cut.offset + cut.octets;
    }
    add_piece(original, slice_from(body, at));
}

/* Shortens the original to at most `most` octets, at the end of a line. */
static void cut_down(struct original *original, size_t most)
{
    size_t octets = 0;
    for (size_t i = 0; i < original->count; i++) {
        struct slice *piece = &original->pieces[i];
        if (octets + piece->len <= most) {
            octets += piece->len;
            continue;
        }
        size_t keep = most - octets;
        while (keep > 0 && piece->ptr[keep - 1] != '\n')
            keep--;
        piece->len = keep;
        original->count = i + 1;
        return;
    }
}

/* The beginning of a long body: enough for its header section, or for a long part of that. */
static struct slice read_beginning(struct queue *queue, uint64_t id,
                                   const struct stored_message *message, struct original *original)
{
    size_t size = message->body_octets < HEADER_OCTETS_MAX ? (size_t)message->body_octets
                                                           : (size_t)HEADER_OCTETS_MAX;
    size_t got = 0;
    int fd = spool_open_body(&queue->spool, id, message->body_octets, NULL);
    original->read = fd >= 0 ? malloc(size) : NULL;
    if (original->read && !fd_pread_full(fd, original->read, size, 0, &got, NULL))
        got = 0;
    fd_discard(&fd);
    return slice_of(original->read, got);
}

/* RFC 8689 5: with REQUIRETLS RET=FULL does not count. */
bool report_may_have_all(const struct stored_message *message)
{
    return (message->flags & (QUEUE_RET_FULL | QUEUE_REQUIRETLS)) == QUEUE_RET_FULL;
}

/* RET=FULL is obeyed for messages that fit into a report (RFC 3461 4.3 lets us send back the header
 * section alone); everything else, and what was delivered, comes as its header section. */
static void collect_original(struct queue *queue, uint64_t id, const struct stored_message *message,
                             const struct report_draft *draft, struct original *original)
{
    bool in_spool = (message->flags & QUEUE_IN_SPOOL) != 0;
    struct slice body = in_spool ? read_beginning(queue, id, message, original) : message->body;
    size_t room = REPORT_OCTETS_MAX - FRAME_OCTETS - draft->octets;
    original->whole = any_failed(draft) && !in_spool && report_may_have_all(message)
                      && body.len + message->prefix.len <= room;
    add_piece(original, message->prefix);
    if (original->whole) {
        add_body(original, message, body);
        return;
    }
    add_body(original, message, slice_range(body, 0, bounce_header_octets(body)));
    cut_down(original, room < HEADER_OCTETS_MAX ? room : HEADER_OCTETS_MAX);
}

/* ---- reports ---- */

void report_random_boundary(char text[BOUNCE_BOUNDARY_MAX])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t octets[24];
    arc4random_buf(octets, sizeof(octets));
    for (size_t i = 0; i < sizeof(octets); i++) {
        text[2 * i] = digits[octets[i] >> 4];
        text[2 * i + 1] = digits[octets[i] & 15];
    }
    text[2 * sizeof(octets)] = '\0';
}

/* The caller collects the original. */
static struct bounce describe(const struct queue *queue, const struct stored_message *message,
                              const struct report_draft *draft, struct slice to)
{
    return (struct bounce){.kind = draft->kind,
                           .hostname = slice_of_string(queue->role->config.hostname),
                           .to = to,
                           .envid = message->envid,
                           .arrival = message->arrival,
                           .now = queue_wall_now(),
                           .utf8 = (message->flags & QUEUE_UTF8) != 0,
                           .recipients = draft->items,
                           .recipient_count = draft->count};
}

/* A report, as far as it is one record. */
struct report {
    uint64_t id;
    enum stored_purpose purpose;
    struct slice to;
    struct report_body *body; /* NULL: all of it is in reports.text; else that is its prefix */
};

/* Into reports->text. False: no memory, or longer than it may be. */
static bool write_report(struct queue *queue, const struct report *report, uint64_t id,
                         const struct stored_message *message, const struct report_draft *draft)
{
    char id_text[QUEUE_ID_SIZE], report_text[QUEUE_ID_SIZE], boundary[BOUNCE_BOUNDARY_MAX];
    struct original original = {.count = 0};
    struct buffer *text = &queue->reports.text;
    struct bounce bounce = describe(queue, message, draft, report->to);
    bounce.id = queue_id_format(report->id, report_text);
    bounce.original_id = queue_id_format(id, id_text);
    buffer_reset(text);
    if (report->body) {
        bounce.boundary = report->body->boundary;
        bounce.whole = true;
        bounce_append_begin(&bounce, text);
        return !text->failed;
    }
    report_random_boundary(boundary);
    bounce.boundary = boundary;
    collect_original(queue, id, message, draft, &original);
    bounce.original = original.pieces;
    bounce.original_count = original.count;
    bounce.whole = original.whole;
    bounce_format(&bounce, text);
    free(original.read);
    return !text->failed;
}

static bool put_report(struct queue *queue, const struct report *report,
                       const struct stored_message *original, struct error *error)
{
    const uint32_t kept =
        QUEUE_UTF8 | QUEUE_REQUIRETLS; /* RFC 8689 5: the report requires TLS like the original */
    struct slice text = buffer_slice(&queue->reports.text), none = slice_of(NULL, 0);
    int64_t now = queue_wall_now();
    const struct report_body *body = report->body;
    const struct stored_message message = {.arrival = now,
                                           .session = original->session,
                                           .flags = QUEUE_8BITMIME | (original->flags & kept)
                                                    | (body ? QUEUE_IN_SPOOL : 0U),
                                           .prefix = body ? text : none,
                                           .body_octets = body ? body->octets : text.len,
                                           .body = body ? none : text};
    const struct stored_recipient recipient = {.state = STORED_WAITING,
                                               .purpose = report->purpose,
                                               .notify = QUEUE_NOTIFY_NEVER,
                                               .arrival = now,
                                               .due = now,
                                               .address = report->to};
    return queue_store_put_message(queue->store, report->id, &message, NULL, error)
           && queue_store_put_recipient(queue->store, report->id, 0, &recipient, error);
}

static bool enter_report(struct queue *queue, const struct report *made, struct error *error)
{
    struct queued *queued = &queue->queued;
    struct queued_message *report = queued_add_message(queued, made->id, 0);
    if (!report)
        return error_memory(error);
    report->in_spool = made->body != NULL;
    const struct stored_recipient row = {.arrival = queue_wall_now()};
    deadlines_begin(queue, report, &row);
    DL_APPEND(queue->reports.made, report);
    queue->reports.count++;
    struct queued_recipient *recipient =
        queued_add_recipient(queued, report, 0, TARGET_ADDRESS, slice_of(NULL, 0));
    if (!recipient)
        return error_memory(error);
    recipient->notify = QUEUE_NOTIFY_NEVER;
    recipient->purpose = (uint8_t)made->purpose;
    return true;
}

/* A report in the open transaction, to be logged. */
struct report_told {
    struct report_told *next;
    uint64_t report_id, id;
    struct slice to;
};

/* Logged after the commit. Without memory it is not logged. */
static void remember_report(struct queue *queue, const struct report *report, uint64_t id)
{
    struct arena *arena = &queue->settle.texts;
    struct report_told *told = arena_alloc(arena, sizeof(*told));
    if (!told)
        return;
    *told = (struct report_told){
        .report_id = report->id, .id = id, .to = arena_copy(arena, report->to)};
    LL_APPEND(queue->reports.told, told);
}

static void log_report(struct queue *queue, const struct report_told *told)
{
    char id[QUEUE_ID_SIZE], report_id[QUEUE_ID_SIZE];
    LOG(&queue->role->log, LOG_INFO, "report", log_id("queue_id", queue_id_format(told->id, id)),
        log_id("report", queue_id_format(told->report_id, report_id)), log_bytes("to", told->to));
}

/* A copy of the message has the report's id already; the first report of the message gets it. */
static bool begin_report(struct queue *queue, struct report *report, uint64_t id,
                         struct error *error)
{
    if (report->purpose == STORED_REPORT)
        report->body = report_body_ready(queue, id);
    if (report->body)
        report->id = report->body->report_id;
    else if (!queue_take_own_id(queue, &report->id))
        return error_set(error, ERROR_TEMPORARY, "no id for a report");
    return true;
}

static bool make_report(struct queue *queue, struct report *report, uint64_t id,
                        const struct stored_message *message, const struct report_draft *draft,
                        struct error *error)
{
    if (!begin_report(queue, report, id, error))
        return false;
    if (!write_report(queue, report, id, message, draft))
        return error_memory(error);
    if (!put_report(queue, report, message, error) || !enter_report(queue, report, error))
        return false;
    if (report->body)
        report->body->state = REPORT_BODY_USED;
    remember_report(queue, report, id);
    return true;
}

/* A message with a null reverse-path gets no report. */
static bool send_report(struct queue *queue, uint64_t id, const struct stored_message *message,
                        const struct report_draft *draft, struct error *error)
{
    if (draft->kind == BOUNCE_TO_SENDER) {
        struct report report = {.purpose = STORED_REPORT, .to = message->reverse_path};
        return report.to.len == 0 || make_report(queue, &report, id, message, draft, error);
    }
    struct buffer postmaster = BUFFER_WITH_LIMIT(QUEUE_ADDRESS_MAX);
    buffer_append(&postmaster, SLICE("postmaster@"));
    buffer_append_string(&postmaster, queue->role->config.domains[0].name);
    struct report report = {.purpose = STORED_NOTICE, .to = buffer_slice(&postmaster)};
    bool sent = postmaster.failed ? error_memory(error)
                                  : make_report(queue, &report, id, message, draft, error);
    buffer_clear(&postmaster);
    return sent;
}

/* The draft is empty afterwards. A message that cannot be read gets no report. */
static bool send_draft(struct queue *queue, uint64_t id, struct report_draft *draft,
                       struct error *error)
{
    struct stored_message message = {0};
    if (draft->count == 0)
        return true;
    if (queue_store_get_message(queue->store, id, &queue->reports.original, &message, error)) {
        if (!send_report(queue, id, &message, draft, error))
            return false;
    } else if (!settle_is_unreadable(queue, id, error)) {
        return false;
    }
    empty_draft(draft);
    return true;
}

bool report_add(struct queue *queue, enum report_to to, const struct queued_recipient *recipient,
                const struct stored_recipient *row, struct error *error)
{
    uint64_t id = queued_message_of(recipient)->id;
    bool is_long = to == REPORT_TO_SENDER && report_body_ready(queue, id);
    struct report_draft *draft = draft_for(&queue->reports, to);
    if (!draft || !draft_recipient(draft, recipient, row))
        return error_memory(error);
    return !is_full(draft, is_long) || send_draft(queue, id, draft, error);
}

bool report_send(struct queue *queue, uint64_t id, struct error *error)
{
    for (enum report_to to = 0; to < REPORT_DRAFTS; to++)
        if (queue->reports.drafts[to] && !send_draft(queue, id, queue->reports.drafts[to], error))
            return false;
    return true;
}

/* ---- after the transaction ---- */

void reports_schedule(struct queue *queue)
{
    struct reports *reports = &queue->reports;
    while (reports->made) {
        struct queued_message *report = reports->made;
        DL_DELETE(reports->made, report);
        queued_schedule(&queue->queued, report->recipients, queue_now_ms());
    }
    const struct report_told *told;
    LL_FOREACH (reports->told, told)
        log_report(queue, told);
    reports->told = NULL;
    reports->count = 0;
}

void reports_undo(struct queue *queue)
{
    struct reports *reports = &queue->reports;
    while (reports->made) {
        struct queued_message *report = reports->made;
        DL_DELETE(reports->made, report);
        queued_drop_message(&queue->queued, report);
    }
    reports->told = NULL;
    reports->count = 0;
}
