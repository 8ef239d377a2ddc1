/*
 * Outcomes into the store; see settle.h.
 *
 * A transaction takes a bounded number of messages with all their outcomes (`batch`). Whatever it
 * adds in memory (reports, accounts behind an address) is there before the commit, so that nothing
 * can fail after it; on failure that is taken back and the batch waits again.
 */
#include "smtpd/queue/settle.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/arena.h"
#include "common/auth/recipient_targets.h"
#include "common/fd.h"
#include "smtpd/orcpt.h"
#include "smtpd/queue/bounce.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"

enum {
    MESSAGES_PER_COMMIT = 512,
    REPORTS_PER_COMMIT = 64,
    RECIPIENTS_PER_REPORT = 200,

    /* A report is a short body: so much for its frame, for what it says of recipients, and the rest
     * for what is sent back. Past the second it is sent, and another begun. */
    REPORT_OCTETS_MAX = FILTER_INLINE_MAX,
    FRAME_OCTETS = 4096,
    DRAFT_OCTETS = 28672,
    FIELD_OCTETS = 300, /* names of fields and dates, for each recipient */
    ARENA_OCTETS = 256 << 10,
    HEADER_OCTETS_MAX = 24576, /* of the original's header section */
};

/* What is to be told the sender of one message. */
struct report_draft {
    struct arena arena; /* texts of the items */
    struct bounce_recipient items[RECIPIENTS_PER_REPORT];
    size_t count;
    size_t octets; /* that the items take in the report, at most */
};

void settle_init(struct queue *queue)
{
    queue->settle = (struct settle){0};
    buffer_init(&queue->settle.record, STORED_RECIPIENT_MAX);
    buffer_init(&queue->settle.original, STORED_MESSAGE_MAX);
    buffer_init(&queue->settle.report, REPORT_OCTETS_MAX);
}

void settle_add(struct queue *queue, struct queued_recipient *recipient,
                enum queued_outcome outcome, struct slice text)
{
    struct queued_message *message = recipient->message;
    queued_enter(&queue->queued, recipient, QUEUED_SETTLING);
    recipient->outcome = outcome;
    queued_set_text(recipient, text);
    if (!message->settling)
        DL_APPEND(queue->settle.messages, message);
    DL_APPEND(message->settling, recipient);
    queue_wake(queue);
}

static struct slice text_of(const struct queued_recipient *recipient)
{
    return slice_of_string(recipient->text);
}

static void log_outcome(struct queue *queue, const char *event,
                        const struct queued_recipient *recipient, int64_t next_s)
{
    char id[QUEUE_ID_SIZE];
    LOG(&queue->role->log, LOG_INFO, event,
        log_id("queue_id", queue_id_format(recipient->message->id, id)),
        log_bytes("account", queue_target_account(recipient->target)),
        log_number("recipient", recipient->number), log_bytes("reply", text_of(recipient)),
        log_number("attempts", recipient->attempts), log_number("next_s", next_s));
}

/* ---- what a sender asked to be told, RFC 3461 4.1 ---- */

static bool wants_report(const struct queued_recipient *recipient)
{
    unsigned notify = recipient->notify;
    if (recipient->outcome == OUTCOME_DELIVERED)
        return (notify & QUEUE_NOTIFY_SUCCESS) != 0;
    if (recipient->outcome == OUTCOME_FAILED)
        return notify == 0 || (notify & QUEUE_NOTIFY_FAILURE) != 0;
    return false;
}

static bool draft_recipient(struct report_draft *draft, const struct queued_recipient *recipient,
                            const struct stored_recipient *row)
{
    struct bounce_recipient *item = &draft->items[draft->count];
    bool delivered = recipient->outcome == OUTCOME_DELIVERED;
    item->action = delivered ? BOUNCE_DELIVERED : BOUNCE_FAILED;
    item->address = arena_copy(&draft->arena, row->address);
    item->orcpt = arena_copy(&draft->arena, row->orcpt);
    item->text = arena_copy(&draft->arena, text_of(recipient));
    if (!item->address.ptr || !item->orcpt.ptr || !item->text.ptr)
        return false;
    draft->count++;
    draft->octets += 2 * item->address.len + item->orcpt.len + 2 * item->text.len + FIELD_OCTETS;
    return true;
}

/* Whatever comes next: an address, an ORCPT and a text of the greatest lengths fit no more. */
static bool is_full(const struct report_draft *draft)
{
    return draft->count == RECIPIENTS_PER_REPORT
           || draft->octets + 3 * QUEUE_ADDRESS_MAX + 2 * QUEUED_TEXT_MAX + FIELD_OCTETS
                  > DRAFT_OCTETS;
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
    uint8_t *read; /* of a long body; NULL: none */
};

static void add_piece(struct original *original, struct slice piece)
{
    if (piece.len > 0)
        original->pieces[original->count++] = piece;
}

/* The body less the cuts. */
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

/* To at most so many octets, at the end of a line. */
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

/* The beginning of a long body: its header section is there, or a part of it that is long enough.
 */
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

/* RET=FULL is obeyed for messages that fit into a report (RFC 3461 4.3 lets us send back the header
 * section alone); everything else, and what was delivered, comes as its header section. */
static void collect_original(struct queue *queue, uint64_t id, const struct stored_message *message,
                             const struct report_draft *draft, struct original *original)
{
    bool in_spool = (message->flags & QUEUE_IN_SPOOL) != 0;
    struct slice body = in_spool ? read_beginning(queue, id, message, original) : message->body;
    size_t room = REPORT_OCTETS_MAX - FRAME_OCTETS - draft->octets;
    original->whole = any_failed(draft) && !in_spool && (message->flags & QUEUE_RET_FULL) != 0
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

static void random_boundary(char text[BOUNCE_BOUNDARY_MAX])
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

/* Into settle->report. False: no memory, or longer than a report may be. */
static bool write_report(struct queue *queue, uint64_t report_id, uint64_t id,
                         const struct stored_message *message, const struct report_draft *draft)
{
    char id_text[QUEUE_ID_SIZE], report_text[QUEUE_ID_SIZE], boundary[BOUNCE_BOUNDARY_MAX];
    struct original original = {.count = 0};
    random_boundary(boundary);
    collect_original(queue, id, message, draft, &original);
    const struct bounce bounce = {.hostname = slice_of_string(queue->role->config.hostname),
                                  .id = queue_id_format(report_id, report_text),
                                  .original_id = queue_id_format(id, id_text),
                                  .boundary = boundary,
                                  .sender = message->reverse_path,
                                  .envid = message->envid,
                                  .arrival = message->arrival,
                                  .now = queue_wall_now(),
                                  .utf8 = (message->flags & QUEUE_UTF8) != 0,
                                  .recipients = draft->items,
                                  .recipient_count = draft->count,
                                  .original = original.pieces,
                                  .original_count = original.count,
                                  .whole = original.whole};
    buffer_reset(&queue->settle.report);
    bounce_format(&bounce, &queue->settle.report);
    free(original.read);
    return !queue->settle.report.failed;
}

static bool put_report(struct queue *queue, uint64_t report_id,
                       const struct stored_message *original, struct error *error)
{
    struct slice body = buffer_slice(&queue->settle.report);
    int64_t now = queue_wall_now();
    const struct stored_message message = {.arrival = now,
                                           .session = original->session,
                                           .flags = QUEUE_8BITMIME | (original->flags & QUEUE_UTF8),
                                           .body_octets = body.len,
                                           .body = body};
    const struct stored_recipient recipient = {.state = STORED_WAITING,
                                               .notify = QUEUE_NOTIFY_NEVER,
                                               .arrival = now,
                                               .due = now,
                                               .address = original->reverse_path};
    return queue_store_put_message(queue->store, report_id, &message, NULL, error)
           && queue_store_put_recipient(queue->store, report_id, 0, &recipient, error);
}

static bool enter_report(struct queue *queue, uint64_t report_id, struct error *error)
{
    struct queued *queued = &queue->queued;
    uint64_t expires_ms = queue_now_ms() + queue->role->config.queue.lifetime_ms;
    struct queued_message *report = queued_add_message(queued, report_id, expires_ms);
    if (!report)
        return error_memory(error);
    DL_APPEND(queue->settle.reports, report);
    queue->settle.report_count++;
    struct queued_recipient *recipient = queued_add_recipient(queued, report, 0, slice_of(NULL, 0));
    if (!recipient)
        return error_memory(error);
    recipient->notify = QUEUE_NOTIFY_NEVER;
    return true;
}

static void log_unreadable(struct queue *queue, uint64_t id, const struct error *error)
{
    char text[QUEUE_ID_SIZE];
    LOG(&queue->role->log, LOG_ERROR, "unreadable", log_id("queue_id", queue_id_format(id, text)),
        log_failure(error));
}

static void log_report(struct queue *queue, uint64_t report_id, uint64_t id, struct slice to)
{
    char id_text[QUEUE_ID_SIZE], report_text[QUEUE_ID_SIZE];
    LOG(&queue->role->log, LOG_INFO, "report", log_id("queue_id", queue_id_format(id, id_text)),
        log_id("report", queue_id_format(report_id, report_text)), log_bytes("to", to));
}

/* A record that is missing or damaged: what depends on it is left out, since nothing will ever mend
 * it and the outcomes of all others would wait for it. */
static bool is_unreadable(const struct error *error)
{
    return error->kind == ERROR_NOT_FOUND || error->kind == ERROR_EXISTS;
}

static bool read_row(struct queue *queue, const struct queued_recipient *recipient,
                     struct stored_recipient *row, bool *readable, struct error *error)
{
    *readable = queue_store_get_recipient(queue->store, recipient->message->id, recipient->number,
                                          &queue->settle.record, row, error);
    if (!*readable && is_unreadable(error))
        log_unreadable(queue, recipient->message->id, error);
    return *readable || is_unreadable(error);
}

static bool drop_row(struct queue *queue, const struct queued_recipient *recipient,
                     struct error *error)
{
    return queue_store_drop_recipient(queue->store, recipient->message->id, recipient->number,
                                      error)
           || error->kind == ERROR_NOT_FOUND;
}

static bool send_report(struct queue *queue, uint64_t id, const struct stored_message *message,
                        const struct report_draft *draft, struct error *error)
{
    uint64_t report_id;
    if (!queue_take_own_id(queue, &report_id))
        return error_set(error, ERROR_TEMPORARY, "no id for a report");
    if (!write_report(queue, report_id, id, message, draft))
        return error_memory(error);
    if (!put_report(queue, report_id, message, error) || !enter_report(queue, report_id, error))
        return false;
    log_report(queue, report_id, id, message->reverse_path);
    return true;
}

/* The draft is empty afterwards. Nobody is told of a message whose reverse-path is null. */
static bool send_draft(struct queue *queue, uint64_t id, struct report_draft *draft,
                       struct error *error)
{
    struct stored_message message = {0};
    if (draft->count == 0)
        return true;
    if (!queue_store_get_message(queue->store, id, &queue->settle.original, &message, error)) {
        if (!is_unreadable(error))
            return false;
        log_unreadable(queue, id, error);
    }
    if (message.reverse_path.len > 0 && !send_report(queue, id, &message, draft, error))
        return false;
    draft->count = draft->octets = 0;
    arena_reset(&draft->arena);
    return true;
}

/* ---- one outcome ---- */

static bool is_over(const struct queued_recipient *recipient)
{
    return recipient->outcome == OUTCOME_DELIVERED || recipient->outcome == OUTCOME_FAILED;
}

static uint64_t next_wait_ms(const struct queue *queue, const struct queued_recipient *recipient)
{
    const struct config_durations *waits = &queue->role->config.queue.retry;
    return schedule_wait_ms(waits->items_ms, waits->count, recipient->attempts + 1, arc4random());
}

/* What is deferred after its time is returned. It was tried once more, whatever the clock says. */
static void expire(struct queued_recipient *recipient)
{
    struct buffer text = BUFFER_WITH_LIMIT(1024);
    buffer_append(&text, SLICE("5.4.7 given up after many attempts; the last answer was: "));
    buffer_append(&text, text_of(recipient));
    recipient->outcome = OUTCOME_FAILED;
    queued_set_text(recipient, buffer_slice(&text));
    buffer_clear(&text);
}

static bool put_deferred(struct queue *queue, struct queued_recipient *recipient,
                         struct stored_recipient *row, struct error *error)
{
    uint64_t wait_ms = next_wait_ms(queue, recipient);
    recipient->entry.due_ms = queue_now_ms() + wait_ms;
    row->attempts = recipient->attempts + 1;
    row->due = queue_wall_now() + (int64_t)(wait_ms / 1000);
    row->reply = text_of(recipient);
    return queue_store_put_recipient(queue->store, recipient->message->id, recipient->number, row,
                                     error);
}

static bool put_held(struct queue *queue, const struct queued_recipient *recipient,
                     struct stored_recipient *row, struct error *error)
{
    row->state = STORED_HELD;
    row->reply = text_of(recipient);
    return queue_store_put_recipient(queue->store, recipient->message->id, recipient->number, row,
                                     error);
}

/* Where the mail goes instead: to an account, or elsewhere as the session would have it
 * (queue_protocol.h). The ORCPT is made in `orcpt`. */
static void redirect(struct stored_recipient *row, const struct recipient_target *target,
                     struct buffer *orcpt)
{
    if (target->kind == AUTH_TARGET_ACCOUNT) {
        row->account = target->name;
        return;
    }
    if (row->orcpt.len == 0) {
        buffer_reset(orcpt);
        orcpt_append(row->address, orcpt);
        row->orcpt = buffer_slice(orcpt);
    }
    row->account = SLICE("");
    row->address = target->name;
}

static bool put_target(struct queue *queue, const struct queued_recipient *recipient,
                       const struct stored_recipient *row, struct error *error)
{
    struct queued_message *message = recipient->message;
    struct queued_recipient *added =
        queued_add_recipient(&queue->queued, message, message->next_number, row->account);
    if (!added)
        return error_memory(error);
    added->notify = recipient->notify;
    return queue_store_put_recipient(queue->store, message->id, added->number, row, error);
}

/* The targets behind an address take its place, each with its own number. */
static bool put_resolved(struct queue *queue, const struct queued_recipient *recipient,
                         const struct stored_recipient *row, struct error *error)
{
    struct buffer orcpt = BUFFER_WITH_LIMIT(QUEUE_ADDRESS_MAX);
    struct slice rest = recipient->targets;
    struct recipient_target target;
    bool put = true;
    while (put && recipient_target_take(&rest, &target)) {
        struct stored_recipient redirected = *row;
        redirect(&redirected, &target, &orcpt);
        put = orcpt.failed ? error_memory(error) : put_target(queue, recipient, &redirected, error);
    }
    buffer_clear(&orcpt);
    return put && drop_row(queue, recipient, error);
}

static bool put_row(struct queue *queue, struct queued_recipient *recipient,
                    struct stored_recipient *row, struct error *error)
{
    switch (recipient->outcome) {
    case OUTCOME_DEFERRED:
        return put_deferred(queue, recipient, row, error);
    case OUTCOME_HELD:
        return put_held(queue, recipient, row, error);
    case OUTCOME_RESOLVED:
        return put_resolved(queue, recipient, row, error);
    default:
        return drop_row(queue, recipient, error);
    }
}

static bool put_outcome(struct queue *queue, struct queued_recipient *recipient,
                        struct report_draft *draft, struct error *error)
{
    struct stored_recipient row = {0};
    bool readable = true;
    if (recipient->outcome == OUTCOME_DEFERRED && queue_now_ms() >= recipient->message->expires_ms)
        expire(recipient);
    bool tell = wants_report(recipient);
    if ((tell || !is_over(recipient)) && !read_row(queue, recipient, &row, &readable, error))
        return false;
    if (!readable && !is_over(recipient))
        recipient->outcome = OUTCOME_HELD; /* in memory; on disk it is as it is */
    if (!readable)
        return !is_over(recipient) || drop_row(queue, recipient, error);
    if (tell && !draft_recipient(draft, recipient, &row))
        return error_memory(error);
    if (is_full(draft) && !send_draft(queue, recipient->message->id, draft, error))
        return false;
    return put_row(queue, recipient, &row, error);
}

/* ---- one message ---- */

static uint32_t count_over(const struct queued_message *message)
{
    uint32_t over = 0;
    const struct queued_recipient *recipient;
    DL_FOREACH (message->settling, recipient)
        over += is_over(recipient);
    return over;
}

static bool put_outcomes(struct queue *queue, struct queued_message *message,
                         struct report_draft *draft, struct error *error)
{
    struct queued_recipient *recipient;
    DL_FOREACH (message->settling, recipient)
        if (!put_outcome(queue, recipient, draft, error))
            return false;
    if (!send_draft(queue, message->id, draft, error))
        return false;
    return count_over(message) < message->recipient_count
           || queue_store_drop_message(queue->store, message->id, error)
           || error->kind == ERROR_NOT_FOUND;
}

/* The draft is kept for the next message; what a failure left in it is not. */
static bool put_message(struct queue *queue, struct queued_message *message, struct error *error)
{
    struct settle *settle = &queue->settle;
    if (!settle->draft) {
        settle->draft = calloc(1, sizeof(*settle->draft));
        if (!settle->draft)
            return error_memory(error);
        arena_init(&settle->draft->arena, ARENA_OCTETS);
    }
    bool put = put_outcomes(queue, message, settle->draft, error);
    settle->draft->count = settle->draft->octets = 0;
    arena_reset(&settle->draft->arena);
    return put;
}

/* ---- after the commit ---- */

static void apply(struct queue *queue, struct queued_recipient *recipient)
{
    struct queued *queued = &queue->queued;
    switch (recipient->outcome) {
    case OUTCOME_DEFERRED:
        recipient->attempts++;
        log_outcome(queue, "deferred", recipient,
                    (int64_t)(recipient->entry.due_ms - queue_now_ms()) / 1000);
        recipient->outcome = OUTCOME_NONE;
        queued_schedule(queued, recipient, recipient->entry.due_ms);
        break;
    case OUTCOME_HELD:
        log_outcome(queue, "held", recipient, 0);
        recipient->outcome = OUTCOME_NONE;
        queued_enter(queued, recipient, QUEUED_HELD);
        break;
    case OUTCOME_FAILED:
        log_outcome(queue, "failed", recipient, 0);
        queued_drop_recipient(queued, recipient);
        break;
    default:
        queued_drop_recipient(queued, recipient);
    }
}

static void schedule_new(struct queue *queue, struct queued_message *message)
{
    struct queued_recipient *recipient, *next;
    DL_FOREACH_SAFE2(message->recipients, recipient, next, next_of_message)
    if (recipient->stage == QUEUED_NEW)
        queued_schedule(&queue->queued, recipient, queue_now_ms());
}

static void apply_message(struct queue *queue, struct queued_message *message)
{
    struct error error;
    uint64_t id = message->id;
    bool ends = count_over(message) == message->recipient_count, in_spool = message->in_spool;
    struct queued_recipient *settling = message->settling;
    message->settling = NULL;
    schedule_new(queue, message);
    while (settling) { /* the last of them may free the message */
        struct queued_recipient *recipient = settling;
        DL_DELETE(settling, recipient);
        apply(queue, recipient);
    }
    if (ends && in_spool && !spool_remove(&queue->spool, id, &error))
        LOG(&queue->role->log, LOG_WARNING, "spool_not_removed", log_failure(&error));
}

/* ---- the transaction ---- */

static void undo_message(struct queue *queue, struct queued_message *message)
{
    struct queued_recipient *recipient, *next;
    DL_FOREACH_SAFE2(message->recipients, recipient, next, next_of_message)
    if (recipient->stage == QUEUED_NEW)
        queued_drop_recipient(&queue->queued, recipient);
}

static void undo(struct queue *queue)
{
    struct settle *settle = &queue->settle;
    while (settle->reports) {
        struct queued_message *report = settle->reports;
        DL_DELETE(settle->reports, report);
        queued_drop_message(&queue->queued, report);
    }
    settle->report_count = 0;
    struct queued_message *message;
    DL_FOREACH (settle->batch, message)
        undo_message(queue, message);
    DL_CONCAT(settle->batch, settle->messages);
    settle->messages = settle->batch;
    settle->batch = NULL;
}

static bool write_batch(struct queue *queue, struct error *error)
{
    struct settle *settle = &queue->settle;
    size_t messages = 0;
    if (!queue_store_begin(queue->store, error))
        return false;
    while (settle->messages && messages < MESSAGES_PER_COMMIT
           && settle->report_count < REPORTS_PER_COMMIT) {
        struct queued_message *message = settle->messages;
        DL_DELETE(settle->messages, message);
        DL_APPEND(settle->batch, message);
        if (!put_message(queue, message, error)) {
            queue_store_abort(queue->store);
            return false;
        }
        messages++;
    }
    return queue_store_commit(queue->store, error);
}

static void apply_batch(struct queue *queue)
{
    struct settle *settle = &queue->settle;
    while (settle->batch) {
        struct queued_message *message = settle->batch;
        DL_DELETE(settle->batch, message);
        apply_message(queue, message);
    }
    while (settle->reports) {
        struct queued_message *report = settle->reports;
        DL_DELETE(settle->reports, report);
        schedule_new(queue, report);
    }
    settle->report_count = 0;
}

void settle_run(struct queue *queue)
{
    struct settle *settle = &queue->settle;
    struct error error = {0};
    while (settle->messages && !settle->waiting) {
        if (write_batch(queue, &error)) {
            apply_batch(queue);
            continue;
        }
        undo(queue);
        settle->waiting = true;
        LOG(&queue->role->log, LOG_ERROR, "not_settled", log_failure(&error));
        queue_check_store(queue, &error);
    }
}

void settle_tick(struct queue *queue)
{
    queue->settle.waiting = false;
    if (queue->settle.messages)
        queue_wake(queue);
}
