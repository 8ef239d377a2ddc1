/* Code shared by both ways out of the queue; see dispatch.h. */
#include "smtpd/queue/dispatch/dispatch.h"

#include "common/disk/fd.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"

enum {
    RECORDS_PER_TURN = 64, /* then others get their turn */
    LOST_ONCE_MS = 200,
    LOST_TWICE_MS = 5000,
    NO_TRY_MS = 1000,
    TEXTS_MAX = 256 << 10, /* texts of the recipients of one record; a longer record is not sent */
};

/* ---- content ---- */

bool dispatch_open(struct queue *queue, uint64_t id, struct dispatch_content *content,
                   struct error *error)
{
    struct stored_message *message = &content->message;
    content->body_fd = -1;
    if (!queue_store_get_message(queue->store, id, &queue->dispatch.message, message, error))
        return false;
    for (size_t i = 0; i < message->cut_count; i++)
        content->cuts[i] = stored_cut(message, i);
    if (!(message->flags & QUEUE_IN_SPOOL))
        return true;
    content->body_fd = spool_open_body(&queue->spool, id, message->body_octets, error);
    return content->body_fd >= 0;
}

void dispatch_close(struct dispatch_content *content)
{
    fd_discard(&content->body_fd);
}

/* ---- attempts without an outcome ---- */

void dispatch_undone(struct queue *queue, struct queued_recipient *recipient)
{
    queued_schedule(&queue->queued, recipient, queue_now_ms() + NO_TRY_MS);
    settle_wish(queue, recipient, slice_of(NULL, 0));
}

void dispatch_lost(struct queue *queue, struct queued_recipient *recipient, bool first)
{
    uint64_t wait_ms = first ? LOST_ONCE_MS : LOST_TWICE_MS;
    queued_schedule(&queue->queued, recipient, queue_now_ms() + wait_ms);
    settle_wish(queue, recipient, slice_of(NULL, 0));
}

void dispatch_not_sent(struct queue *queue, struct queued_recipient *recipient,
                       const struct error *error)
{
    queue_check_store(queue, error);
    if (error->kind == ERROR_TEMPORARY) {
        dispatch_undone(queue, recipient);
        return;
    }
    char id[QUEUE_ID_SIZE];
    LOG(&queue->role->log, LOG_ERROR, "unreadable",
        log_id("queue_id", queue_id_format(queued_message_of(recipient)->id, id)),
        log_failure(error));
    settle_add(queue, recipient, OUTCOME_HELD, SLICE("4.3.0 the message cannot be read"));
}

/* ---- turns ---- */

bool dispatch_run(struct queue *queue)
{
    uint64_t now_ms = queue_now_ms();
    for (size_t i = 0; i < QUEUED_SCHEDULES; i++)
        schedule_advance(&queue->queued.schedules[i], now_ms);
    bool more_here = dispatch_deliver_run(queue, RECORDS_PER_TURN);
    bool more_elsewhere = dispatch_relay_run(queue, RECORDS_PER_TURN);
    return more_here || more_elsewhere;
}

void dispatch_tick(struct queue *queue)
{
    dispatch_deliver_tick(queue);
    dispatch_relay_tick(queue);
}

void dispatch_init(struct queue *queue)
{
    queue->dispatch = (struct dispatch){0};
    buffer_init(&queue->dispatch.message, STORED_MESSAGE_MAX);
    buffer_init(&queue->dispatch.recipient, STORED_RECIPIENT_MAX);
    buffer_init(&queue->dispatch.texts, TEXTS_MAX);
    buffer_init(&queue->dispatch.reverse_path, QUEUE_ADDRESS_MAX);
}

bool dispatch_is_busy(const struct queue *queue)
{
    return dispatch_deliver_is_busy(queue) || dispatch_relay_is_busy(queue);
}
