/*
 * Writes outcomes to the store; see settle.h.
 *
 * A transaction has a bounded number of messages with all their outcomes (`batch`). What it adds in
 * memory (reports, accounts that an address was resolved to) is added before the commit, so that
 * nothing can fail after it; on failure these are removed and the batch waits again.
 */
#include "smtpd/queue/outcome/settle.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/auth/recipient_targets.h"
#include "common/size.h"
#include "smtpd/queue/dispatch/destination.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/session/orcpt.h"

enum {
    MESSAGES_PER_COMMIT = 512,
    REPORTS_PER_COMMIT = 64,
    TEXTS_PER_COMMIT = 1 << 20, /* octets; with the last message's beyond that */
};

void settle_init(struct queue *queue)
{
    queue->settle = (struct settle){0};
    buffer_init(&queue->settle.record, STORED_RECIPIENT_MAX);
    arena_init(&queue->settle.texts, SIZE_MAX);
}

void settle_add(struct queue *queue, struct queued_recipient *recipient,
                enum queued_outcome outcome, struct slice text)
{
    queued_enter(&queue->queued, recipient, QUEUED_SETTLING);
    recipient->outcome = outcome;
    queued_set_text(&recipient->text, text);
    settle_again(queue, recipient);
}

void settle_again(struct queue *queue, struct queued_recipient *recipient)
{
    struct queued_message *message = queued_message_of(recipient);
    if (!message->settling)
        DL_APPEND(queue->settle.messages, message);
    DL_APPEND(message->settling, recipient);
    queue_wake(queue);
}

void settle_wish(struct queue *queue, struct queued_recipient *recipient, struct slice reply)
{
    enum queued_outcome wish = recipient->wish;
    struct buffer text = BUFFER_WITH_LIMIT(OUTCOME_TEXT_MAX);
    if (wish == OUTCOME_NONE)
        return;
    recipient->wish = OUTCOME_NONE;
    if (wish == OUTCOME_FAILED)
        outcome_text_give_up(SLICE("5.0.0 given up by the administrator"), reply, &text);
    settle_add(queue, recipient, wish, buffer_slice(&text));
    buffer_clear(&text);
}

static struct slice text_of(const struct queued_recipient *recipient)
{
    return slice_of_string(recipient->text);
}

/* The log event of an outcome. NULL: deliver or relay has logged it, or nothing has happened. */
static const char *event_of(const struct queued_recipient *recipient)
{
    static const char *const events[] = {
        [OUTCOME_DEFERRED] = "deferred",       [OUTCOME_FAILED] = "failed",
        [OUTCOME_WARNED] = "delayed",          [OUTCOME_HELD] = "held",
        [OUTCOME_QUARANTINED] = "quarantined", [OUTCOME_RELEASED] = "released",
        [OUTCOME_REMOVED] = "removed",
    };
    return recipient->outcome < ARRAY_LENGTH(events) ? events[recipient->outcome] : NULL;
}

static const char *copy_of(const struct queued_recipient *recipient)
{
    return recipient->purpose == STORED_COPY ? "the sender's own copy" : "";
}

static int64_t seconds_to_next(const struct queued_recipient *recipient)
{
    return recipient->outcome == OUTCOME_DEFERRED
               ? (int64_t)(recipient->entry.node.key - queue_now_ms()) / 1000
               : 0;
}

static void log_outcome(struct queue *queue, const char *event,
                        const struct queued_recipient *recipient)
{
    const struct queue_target *target = queued_target_of(recipient);
    bool is_relay = target->kind == TARGET_RELAY;
    struct slice name = queue_target_name(target);
    char id[QUEUE_ID_SIZE];
    LOG(&queue->role->log, LOG_INFO, event,
        log_id("queue_id", queue_id_format(queued_message_of(recipient)->id, id)),
        log_bytes("to", slice_of_string(recipient->address)),
        log_bytes(is_relay ? "destination" : "account", is_relay ? destination_name(name) : name),
        log_number("recipient", recipient->number), log_text("copy", copy_of(recipient)),
        log_bytes("reply", text_of(recipient)), log_number("attempts", recipient->attempts),
        log_number("next_s", seconds_to_next(recipient)));
}

static void log_unreadable(struct queue *queue, uint64_t id, const struct error *error)
{
    char text[QUEUE_ID_SIZE];
    LOG(&queue->role->log, LOG_ERROR, "unreadable", log_id("queue_id", queue_id_format(id, text)),
        log_failure(error));
}

bool settle_is_unreadable(struct queue *queue, uint64_t id, const struct error *error)
{
    bool is_unreadable = error->kind == ERROR_NOT_FOUND || error->kind == ERROR_EXISTS;
    if (is_unreadable)
        log_unreadable(queue, id, error);
    return is_unreadable;
}

static bool read_row(struct queue *queue, const struct queued_recipient *recipient,
                     struct stored_recipient *row, bool *readable, struct error *error)
{
    uint64_t id = queued_message_of(recipient)->id;
    *readable = queue_store_get_recipient(queue->store, id, recipient->number,
                                          &queue->settle.record, row, error);
    return *readable || settle_is_unreadable(queue, id, error);
}

static bool put_row_back(struct queue *queue, const struct queued_recipient *recipient,
                         const struct stored_recipient *row, struct error *error)
{
    return queue_store_put_recipient(queue->store, queued_message_of(recipient)->id,
                                     recipient->number, row, error);
}

static bool drop_row(struct queue *queue, const struct queued_recipient *recipient,
                     struct error *error)
{
    return queue_store_drop_recipient(queue->store, queued_message_of(recipient)->id,
                                      recipient->number, error)
           || error->kind == ERROR_NOT_FOUND;
}

/* ---- one outcome ---- */

static bool is_over(const struct queued_recipient *recipient)
{
    switch (recipient->outcome) {
    case OUTCOME_DELIVERED:
    case OUTCOME_RELAYED:
    case OUTCOME_RELAYED_TOLD:
    case OUTCOME_RELAYED_NOTED:
    case OUTCOME_FAILED:
    case OUTCOME_REMOVED:
        return true;
    default:
        return false;
    }
}

static uint64_t next_wait_ms(const struct queue *queue, const struct queued_recipient *recipient)
{
    const struct config_durations *waits = &queue->role->config.queue.retry;
    return schedule_wait_ms(waits->items_ms, waits->count, recipient->attempts + 1, arc4random());
}

/* The administrator takes precedence: a removed or held recipient is not returned for its age. */
static bool has_expired(const struct queued_recipient *recipient)
{
    return recipient->outcome == OUTCOME_EXPIRED
           || (recipient->outcome == OUTCOME_DEFERRED && recipient->wish == OUTCOME_NONE
               && queue_now_ms() >= queued_message_of(recipient)->expires_ms);
}

/* A recipient deferred past its deadline is returned. It has been tried once more, whatever the
 * clock says. */
static void expire(struct queued_recipient *recipient)
{
    struct buffer text = BUFFER_WITH_LIMIT(OUTCOME_TEXT_MAX);
    outcome_text_give_up(SLICE("5.4.7 given up after trying for too long"), text_of(recipient),
                         &text);
    recipient->outcome = OUTCOME_FAILED;
    queued_set_text(&recipient->text, buffer_slice(&text));
    buffer_clear(&text);
}

static bool put_deferred(struct queue *queue, struct queued_recipient *recipient,
                         struct stored_recipient *row, struct error *error)
{
    uint64_t wait_ms = next_wait_ms(queue, recipient);
    recipient->entry.node.key = queue_now_ms() + wait_ms;
    row->attempts = recipient->attempts + 1;
    row->due = queue_wall_now() + (int64_t)(wait_ms / 1000);
    row->reply = text_of(recipient);
    return put_row_back(queue, recipient, row, error);
}

static bool put_warned(struct queue *queue, const struct queued_recipient *recipient,
                       struct stored_recipient *row, struct error *error)
{
    row->warned = true;
    return put_row_back(queue, recipient, row, error);
}

static bool put_held(struct queue *queue, const struct queued_recipient *recipient,
                     struct stored_recipient *row, struct error *error)
{
    row->state = STORED_HELD;
    if (recipient->text)
        row->reply = text_of(recipient);
    return put_row_back(queue, recipient, row, error);
}

static bool put_released(struct queue *queue, const struct queued_recipient *recipient,
                         struct stored_recipient *row, struct error *error)
{
    row->state = STORED_WAITING;
    row->due = queue_wall_now();
    return put_row_back(queue, recipient, row, error);
}

/* ---- who is behind an address ---- */

/* Texts of a row that replaces another. */
struct redirection {
    struct buffer orcpt;
    struct buffer destination;
};

/* Where the mail goes instead: to an account, or elsewhere as the session would have it
 * (queue_protocol.h). Only reports and what an older queue left have to be resolved, and what had a
 * route that is no more: a route for its sender that there still is, relay finds by itself. */
static void redirect(struct queue *queue, struct stored_recipient *row,
                     const struct recipient_target *target, struct redirection *made)
{
    if (target->kind == AUTH_TARGET_ACCOUNT) {
        row->account = target->name;
        return;
    }
    if (row->orcpt.len == 0 && !slice_equal(row->address, target->name)) {
        buffer_reset(&made->orcpt);
        orcpt_append(row->address, &made->orcpt);
        row->orcpt = buffer_slice(&made->orcpt);
    }
    row->address = target->name;
    buffer_reset(&made->destination);
    destination_append(&queue->role->config, destination_flags(row->destination), row->address,
                       slice_of(NULL, 0), &made->destination);
    row->destination = buffer_slice(&made->destination);
}

static bool put_target(struct queue *queue, const struct queued_recipient *recipient,
                       const struct stored_recipient *row, struct error *error)
{
    struct queued_message *message = queued_message_of(recipient);
    bool is_local = row->account.len > 0;
    struct queued_recipient *added = queued_add_recipient(
        &queue->queued, message, message->next_number, is_local ? TARGET_ACCOUNT : TARGET_RELAY,
        is_local ? row->account : row->destination);
    if (!added)
        return error_memory(error);
    added->notify = recipient->notify;
    added->purpose = recipient->purpose;
    added->warned = recipient->warned;
    added->attempts = recipient->attempts;
    added->forwarder = recipient->forwarder;
    added->wish = recipient->wish;
    return put_row_back(queue, added, row, error);
}

static bool put_redirected(struct queue *queue, const struct queued_recipient *recipient,
                           const struct stored_recipient *row,
                           const struct recipient_target *target, struct error *error)
{
    struct redirection made = {.orcpt = BUFFER_WITH_LIMIT(QUEUE_ADDRESS_MAX),
                               .destination = BUFFER_WITH_LIMIT(DESTINATION_MAX)};
    struct stored_recipient redirected = *row;
    redirect(queue, &redirected, target, &made);
    bool put = made.orcpt.failed || made.destination.failed
                   ? error_memory(error)
                   : put_target(queue, recipient, &redirected, error);
    buffer_clear(&made.orcpt);
    buffer_clear(&made.destination);
    return put;
}

/* Replaces an address by its targets, each with its own number; without targets the address itself
 * is the target, elsewhere. */
static bool put_resolved(struct queue *queue, const struct queued_recipient *recipient,
                         const struct stored_recipient *row, struct error *error)
{
    struct slice rest = recipient->resolved;
    struct recipient_target target = {.kind = AUTH_TARGET_ADDRESS, .name = row->address};
    bool put = rest.len > 0 || put_redirected(queue, recipient, row, &target, error);
    while (put && recipient_target_take(&rest, &target))
        put = put_redirected(queue, recipient, row, &target, error);
    return put && drop_row(queue, recipient, error);
}

/* ---- all outcomes ---- */

static bool put_row(struct queue *queue, struct queued_recipient *recipient,
                    struct stored_recipient *row, struct error *error)
{
    switch (recipient->outcome) {
    case OUTCOME_DEFERRED:
        return put_deferred(queue, recipient, row, error);
    case OUTCOME_WARNED:
        return put_warned(queue, recipient, row, error);
    case OUTCOME_HELD:
    case OUTCOME_QUARANTINED:
        return put_held(queue, recipient, row, error);
    case OUTCOME_RELEASED:
        return put_released(queue, recipient, row, error);
    case OUTCOME_RESOLVED:
        return put_resolved(queue, recipient, row, error);
    default:
        return drop_row(queue, recipient, error);
    }
}

static bool put_outcome(struct queue *queue, struct queued_recipient *recipient,
                        struct error *error)
{
    struct stored_recipient row = {0};
    bool readable = true;
    enum report_to to = report_wanted(recipient);
    bool needs_row = to != REPORT_TO_NOBODY || !is_over(recipient) || event_of(recipient);
    recipient->address = NULL;
    if (needs_row && !read_row(queue, recipient, &row, &readable, error))
        return false;
    if (readable && event_of(recipient))
        recipient->address = arena_copy_string(&queue->settle.texts, row.address);
    if (!readable && !is_over(recipient))
        recipient->outcome = OUTCOME_HELD; /* in memory; on disk it is as it is */
    if (!readable)
        return !is_over(recipient) || drop_row(queue, recipient, error);
    if (to != REPORT_TO_NOBODY && !report_add(queue, to, recipient, &row, error))
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

static bool put_outcomes(struct queue *queue, struct queued_message *message, struct error *error)
{
    struct queued_recipient *recipient;
    DL_FOREACH (message->settling, recipient)
        if (!put_outcome(queue, recipient, error))
            return false;
    if (!report_send(queue, message->id, error))
        return false;
    return count_over(message) < message->recipient_count
           || queue_store_drop_message(queue->store, message->id, error)
           || error->kind == ERROR_NOT_FOUND;
}

/* Concludes what needs no store. False: nothing can be written yet. */
static bool conclude(struct queue *queue, struct queued_message *message)
{
    struct queued_recipient *recipient;
    DL_FOREACH (message->settling, recipient)
        if (has_expired(recipient))
            expire(recipient);
    report_body_keep_back(queue, message);
    return message->settling != NULL;
}

static bool put_message(struct queue *queue, struct queued_message *message, struct error *error)
{
    if (put_outcomes(queue, message, error))
        return true;
    report_forget_drafts(&queue->reports);
    return false;
}

/* ---- after the commit ---- */

static void schedule_again(struct queue *queue, struct queued_recipient *recipient)
{
    recipient->outcome = OUTCOME_NONE;
    queued_set_text(&recipient->text, slice_of(NULL, 0)); /* the store has it */
    queued_schedule(&queue->queued, recipient, recipient->entry.node.key);
}

static void defer(struct queue *queue, struct queued_recipient *recipient)
{
    char *reply = recipient->text;
    recipient->text = NULL;
    schedule_again(queue, recipient);
    settle_wish(queue, recipient, slice_of_string(reply));
    free(reply);
}

static void hold(struct queue *queue, struct queued_recipient *recipient)
{
    recipient->outcome = OUTCOME_NONE;
    queued_set_text(&recipient->text, slice_of(NULL, 0));
    queued_enter(&queue->queued, recipient, QUEUED_HELD);
}

static void apply(struct queue *queue, struct queued_recipient *recipient)
{
    const char *event = event_of(recipient);
    recipient->attempts += recipient->outcome == OUTCOME_DEFERRED;
    if (event)
        log_outcome(queue, event, recipient);
    switch (recipient->outcome) {
    case OUTCOME_DEFERRED:
        defer(queue, recipient);
        return;
    case OUTCOME_WARNED:
        recipient->warned = true;
        schedule_again(queue, recipient);
        return;
    case OUTCOME_HELD:
    case OUTCOME_QUARANTINED:
        hold(queue, recipient);
        return;
    case OUTCOME_RELEASED:
        recipient->entry.node.key = queue_now_ms();
        recipient->deaths = 0;
        schedule_again(queue, recipient);
        return;
    default:
        queued_drop_recipient(&queue->queued, recipient);
    }
}

static void schedule_new(struct queue *queue, struct queued_message *message)
{
    struct queued_recipient *recipient, *next;
    DL_FOREACH_SAFE2 (message->recipients, recipient, next, next_of_message)
        if (recipient->stage == QUEUED_NEW) {
            queued_schedule(&queue->queued, recipient, queue_now_ms());
            settle_wish(queue, recipient, slice_of(NULL, 0));
        }
}

static void apply_message(struct queue *queue, struct queued_message *message)
{
    uint64_t id = message->id;
    bool ends = count_over(message) == message->recipient_count, in_spool = message->in_spool;
    struct queued_recipient *settling = message->settling;
    message->settling = NULL;
    report_body_settled(queue, id);
    schedule_new(queue, message);
    while (settling) { /* settling the last may free the message */
        struct queued_recipient *recipient = settling;
        DL_DELETE(settling, recipient);
        apply(queue, recipient);
    }
    if (ends && in_spool)
        spool_remove(&queue->spool, id);
}

/* ---- the transaction ---- */

static void undo_message(struct queue *queue, struct queued_message *message)
{
    report_body_undone(queue, message->id);
    struct queued_recipient *recipient, *next;
    DL_FOREACH_SAFE2 (message->recipients, recipient, next, next_of_message)
        if (recipient->stage == QUEUED_NEW)
            queued_drop_recipient(&queue->queued, recipient);
}

static void undo(struct queue *queue)
{
    struct settle *settle = &queue->settle;
    reports_undo(queue);
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
    arena_reset(&settle->texts);
    while (settle->messages && messages < MESSAGES_PER_COMMIT
           && queue->reports.count < REPORTS_PER_COMMIT && settle->texts.used < TEXTS_PER_COMMIT) {
        struct queued_message *message = settle->messages;
        DL_DELETE(settle->messages, message);
        if (!conclude(queue, message))
            continue;
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
    reports_schedule(queue);
}

void settle_run(struct queue *queue)
{
    struct settle *settle = &queue->settle;
    struct error error = {0};
    while (settle->messages && !settle->waiting) {
        /* Each batch may use up what was refilled before it: thousands fail in one turn. */
        if (queue_refill_own_ids(queue, &error) && write_batch(queue, &error)) {
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
