/*
 * See entry.h.
 */
#include "smtpd/queue/intake/entry.h"

#include "smtpd/queue/dispatch/destination.h"
#include "smtpd/queue/intake/submission.h"
#include "smtpd/queue/queue.h"

/* The sender for scheduling: the account, or else the reverse-path. */
static uint64_t sender_of(const struct stored_message *message)
{
    return queued_hash(message->account.len > 0 ? message->account : message->reverse_path);
}

/* Into the submission's arena. */
static bool choose_destination(struct queue *queue, struct submission *submission,
                               struct wanted_recipient *wanted, struct error *error)
{
    struct buffer destination = BUFFER_WITH_LIMIT(DESTINATION_MAX);
    destination_append(&queue->role->config, submission->message.flags, wanted->texts.address,
                       submission->message.reverse_path, &destination);
    bool chosen = !destination.failed;
    if (chosen)
        wanted->destination = arena_copy(&submission->arena, buffer_slice(&destination));
    buffer_clear(&destination);
    return (chosen && wanted->destination.ptr) || error_memory(error);
}

static struct stored_recipient row_of(const struct submission *submission,
                                      const struct wanted_recipient *wanted)
{
    const struct stored_message *message = &submission->message;
    int64_t release = submission->hold_until;
    return (struct stored_recipient){.state = STORED_WAITING,
                                     .by_return = (message->flags & QUEUE_BY_RETURN) != 0,
                                     .forwarded = wanted->texts.forwarded,
                                     .notify = wanted->texts.notify,
                                     .arrival = message->arrival,
                                     .due = release > 0 ? release : message->arrival,
                                     .release = release,
                                     .deliver_by = message->deliver_by,
                                     .sender = sender_of(message),
                                     .account = wanted->texts.account,
                                     .destination = wanted->destination,
                                     .address = wanted->texts.address,
                                     .orcpt = wanted->texts.orcpt};
}

/* A copy of a submitted message is filed for its account at once, whatever becomes of the message.
 * The result is not reported, and the copy is complete: see deliver_protocol.h. */
static bool wants_copy(const struct queue *queue, const struct submission *submission)
{
    return queue->role->config.submission.sent_copy && submission->message.account.len > 0;
}

static struct stored_recipient copy_row_of(const struct submission *submission)
{
    const struct stored_message *message = &submission->message;
    return (struct stored_recipient){.state = STORED_WAITING,
                                     .purpose = STORED_COPY,
                                     .notify = QUEUE_NOTIFY_NEVER,
                                     .arrival = message->arrival,
                                     .due = message->arrival,
                                     .sender = sender_of(message),
                                     .account = message->account,
                                     .address = message->account};
}

static bool enter_copy(struct queue *queue, struct submission *submission, uint32_t number,
                       struct error *error)
{
    struct queued_recipient *recipient = queued_add_recipient(
        &queue->queued, submission->queued, number, TARGET_ACCOUNT, submission->message.account);
    if (!recipient)
        return error_memory(error);
    recipient->notify = QUEUE_NOTIFY_NEVER;
    recipient->purpose = STORED_COPY;
    submission->has_copy = true;
    return true;
}

static bool enter_recipient(struct queue *queue, struct submission *submission,
                            struct wanted_recipient *wanted, uint32_t number, struct error *error)
{
    bool is_local = wanted->texts.account.len > 0;
    if (!is_local && !choose_destination(queue, submission, wanted, error))
        return false;
    struct queued_recipient *recipient = queued_add_recipient(
        &queue->queued, submission->queued, number, is_local ? TARGET_ACCOUNT : TARGET_RELAY,
        is_local ? wanted->texts.account : wanted->destination);
    if (!recipient)
        return error_memory(error);
    recipient->notify = (uint8_t)wanted->texts.notify;
    recipient->forwarder =
        destination_forwarder(&queue->role->config, wanted->texts.forwarded, wanted->texts.orcpt);
    return true;
}

/* In memory before it is on disk: nothing may fail after the commit. */
bool entry_in_memory(struct queue *queue, struct submission *submission, struct error *error)
{
    if (submission->no_room)
        return error_memory(error);
    submission->queued =
        queued_add_message(&queue->queued, submission->id, sender_of(&submission->message));
    if (!submission->queued)
        return error_memory(error);
    const struct stored_recipient first = row_of(submission, submission->wanted);
    deadlines_begin(queue, submission->queued, &first);
    submission->queued->in_spool = submission->file.read_fd >= 0;
    uint32_t number = 0;
    for (struct wanted_recipient *wanted = submission->wanted; wanted; wanted = wanted->hh.next)
        if (!enter_recipient(queue, submission, wanted, number++, error))
            return false;
    return !wants_copy(queue, submission) || enter_copy(queue, submission, number, error);
}

bool entry_put_rows(struct queue *queue, struct submission *submission, struct error *error)
{
    uint32_t number = 0;
    if (!queue_store_put_message(queue->store, submission->id, &submission->message,
                                 submission->cuts, error))
        return false;
    for (struct wanted_recipient *wanted = submission->wanted; wanted; wanted = wanted->hh.next) {
        const struct stored_recipient row = row_of(submission, wanted);
        if (!queue_store_put_recipient(queue->store, submission->id, number++, &row, error))
            return false;
    }
    const struct stored_recipient copy = copy_row_of(submission);
    return !submission->has_copy
           || queue_store_put_recipient(queue->store, submission->id, number, &copy, error);
}
