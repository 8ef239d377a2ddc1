/* Times of messages; see deadlines.h. */
#include "smtpd/queue/waiting/deadlines.h"

#include <utlist.h>

#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_protocol.h"

enum {
    MESSAGES_PER_TURN = 256,
    GRACE_MS = 60 * 60000,          /* of a message that is old when the queue starts */
    LOOK_AGAIN_MS = 1000,           /* at one that is under way just now */
    RELEASE_MAX_S = 90 * 24 * 3600, /* the longest hold that a sender may request, RFC 4865 */
    DELIVER_BY_MAX_S = 999999999,   /* RFC 2852 4 */
};

static uint64_t shorter(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The rest of an interval that began at `begin`; at most the whole. */
static uint64_t left_ms(uint64_t whole_ms, int64_t begin)
{
    int64_t age_s = queue_wall_now() - begin;
    if (age_s <= 0)
        return whole_ms;
    uint64_t age_ms = (uint64_t)age_s < UINT64_MAX / 1000 ? (uint64_t)age_s * 1000 : UINT64_MAX;
    return age_ms < whole_ms ? whole_ms - age_ms : 0;
}

static uint64_t until_ms(int64_t wall, uint64_t most_s)
{
    int64_t left_s = wall - queue_wall_now();
    return left_s > 0 ? shorter((uint64_t)left_s, most_s) * 1000 : 0;
}

uint64_t deadlines_release_ms(int64_t release)
{
    return queue_now_ms() + until_ms(release, RELEASE_MAX_S);
}

/* What DELIVERBY promises the sender happens at that time, whatever the configuration says. */
static void begin_deliver_by(struct queue *queue, struct queued_message *message,
                             const struct stored_recipient *row)
{
    uint64_t at_ms = queue_now_ms() + until_ms(row->deliver_by, DELIVER_BY_MAX_S);
    message->by_notice = !row->by_return;
    message->by_return = row->by_return;
    if (row->by_return)
        queued_set_times(&queue->queued, message, shorter(at_ms, message->expires_ms),
                         message->warn_ms);
    else
        queued_set_times(&queue->queued, message, message->expires_ms,
                         shorter(at_ms, message->warn_ms));
}

void deadlines_begin(struct queue *queue, struct queued_message *message,
                     const struct stored_recipient *row)
{
    const struct config_queue *config = &queue->role->config.queue;
    int64_t begin = row->release > row->arrival ? row->release : row->arrival;
    uint64_t from_ms = deadlines_release_ms(row->release), warn_ms = QUEUED_NEVER;
    uint64_t left = left_ms(config->lifetime_ms, begin);
    uint64_t grace = shorter(config->lifetime_ms, GRACE_MS);
    if (config->delay_warning_ms < config->lifetime_ms)
        warn_ms = from_ms + left_ms(config->delay_warning_ms, begin);
    queued_set_times(&queue->queued, message, from_ms + (left > grace ? left : grace), warn_ms);
    if (row->deliver_by > 0)
        begin_deliver_by(queue, message, row);
}

static uint64_t later_ms(int64_t begin_ms, uint64_t wait_ms)
{
    int64_t at_ms = begin_ms + (int64_t)wait_ms;
    return at_ms > 0 ? (uint64_t)at_ms : 0;
}

/* Promises made to senders are kept. */
static void renew(struct queue *queue, struct queued_message *message,
                  const struct config_queue *before)
{
    const struct config_queue *config = &queue->role->config.queue;
    int64_t begin_ms = (int64_t)message->expires_ms - (int64_t)before->lifetime_ms;
    uint64_t warn_ms = QUEUED_NEVER;
    if (config->delay_warning_ms < config->lifetime_ms)
        warn_ms = later_ms(begin_ms, config->delay_warning_ms);
    if (!message->by_return)
        queued_set_times(&queue->queued, message, later_ms(begin_ms, config->lifetime_ms),
                         message->by_notice ? message->warn_ms : warn_ms);
}

void deadlines_reload(struct queue *queue, const struct config_queue *before)
{
    const struct config_queue *config = &queue->role->config.queue;
    struct queued_message *message, *next;
    if (config->lifetime_ms == before->lifetime_ms
        && config->delay_warning_ms == before->delay_warning_ms)
        return;
    HASH_ITER (hh, queue->queued.messages, message, next)
        if (message->is_armed)
            renew(queue, message, before);
}

/* RFC 3461 4.1: warned unless NOTIFY names something else; RFC 2852 4.2: unless it is NEVER. */
static bool wants_warning(const struct queued_recipient *recipient)
{
    unsigned notify = recipient->notify;
    bool wanted = queued_message_of(recipient)->by_notice ? notify != QUEUE_NOTIFY_NEVER
                                                          : (notify & QUEUE_NOTIFY_DELAY) != 0;
    return !recipient->warned && recipient->purpose == STORED_MAIL
           && recipient->stage != QUEUED_HELD && (notify == 0 || wanted);
}

static struct slice last_words(const struct queued_recipient *recipient)
{
    const struct queue_target *target = queued_target_of(recipient);
    return slice_of_string(target->kind == TARGET_RELAY ? target->relay.text : NULL);
}

/* False: some of them are under way, and may not need it. */
static bool warn(struct queue *queue, struct queued_message *message)
{
    bool all = true;
    struct queued_recipient *recipient;
    DL_FOREACH2 (message->recipients, recipient, next_of_message) {
        if (!wants_warning(recipient))
            continue;
        if (recipient->stage == QUEUED_SCHEDULED)
            settle_add(queue, recipient, OUTCOME_WARNED, last_words(recipient));
        else
            all = false;
    }
    return all;
}

static void end_time(struct queue *queue, struct queued_recipient *recipient, uint64_t now_ms)
{
    if (recipient->stage != QUEUED_SCHEDULED)
        return;
    if (recipient->entry.state == SCHEDULE_READY
        && queued_target_of(recipient)->destination.resting) {
        settle_add(queue, recipient, OUTCOME_EXPIRED, last_words(recipient));
    } else if (recipient->entry.state == SCHEDULE_WAITING) {
        schedule_remove(&recipient->entry);
        schedule_add(&recipient->entry, now_ms); /* the last time */
    }
}

static void look_at(struct queue *queue, struct queued_message *message, uint64_t now_ms)
{
    if (now_ms >= message->warn_ms)
        message->warn_ms = warn(queue, message) ? QUEUED_NEVER : now_ms + LOOK_AGAIN_MS;
    if (now_ms < message->expires_ms) {
        queued_set_deadline(&queue->queued, message,
                            shorter(message->warn_ms, message->expires_ms));
        return;
    }
    struct queued_recipient *recipient;
    DL_FOREACH2 (message->recipients, recipient, next_of_message)
        end_time(queue, recipient, now_ms);
    queued_set_deadline(&queue->queued, message, now_ms + LOOK_AGAIN_MS);
}

static struct queued_message *first_due(const struct queue *queue, uint64_t now_ms)
{
    struct heap_node *first = queue->queued.deadlines.first;
    return first && first->key <= now_ms ? (struct queued_message *)first : NULL;
}

bool deadlines_run(struct queue *queue)
{
    uint64_t now_ms = queue_now_ms();
    struct queued_message *message;
    for (int i = 0; i < MESSAGES_PER_TURN && (message = first_due(queue, now_ms)); i++)
        look_at(queue, message, now_ms);
    return first_due(queue, now_ms) != NULL;
}
