/* The queue's memory; see queued.h. */
#include "smtpd/queue/queued.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

/* ---- targets ---- */

struct queue_target *queued_find_target(const struct queued *queued, struct slice account)
{
    struct queue_target *target;
    HASH_FIND(hh, queued->targets, account.ptr, account.len, target);
    return target;
}

static struct queue_target *make_target(struct queued *queued, struct slice account)
{
    struct queue_target *target = queued_find_target(queued, account);
    if (target || account.len > UINT16_MAX)
        return target;
    target = calloc(1, sizeof(*target) + account.len);
    if (!target)
        return NULL;
    target->account_octets = (uint16_t)account.len;
    if (account.len > 0)
        memcpy(target->account, account.ptr, account.len);
    HASH_ADD(hh, queued->targets, account, account.len, target);
    if (hash_table_holds(&target->hh))
        return target;
    free(target);
    return NULL;
}

static void free_target(struct queued *queued, struct queue_target *target)
{
    schedule_block(&queued->schedule, &target->destination); /* leaves the ring */
    HASH_DEL(queued->targets, target);
    free(target);
}

void queued_sweep_targets(struct queued *queued)
{
    struct queue_target *target, *next;
    HASH_ITER (hh, queued->targets, target, next) {
        if (target->recipients == 0 && target->state != TARGET_ASKED && !target->list)
            free_target(queued, target);
    }
}

/* ---- recipients ---- */

static bool is_step(enum queued_stage from, enum queued_stage to)
{
    static const unsigned allowed[] = {
        [QUEUED_NEW] = 1U << QUEUED_SCHEDULED | 1U << QUEUED_HELD,
        [QUEUED_SCHEDULED] = 1U << QUEUED_UNDER_WAY | 1U << QUEUED_SETTLING,
        [QUEUED_UNDER_WAY] =
            1U << QUEUED_SCHEDULED | 1U << QUEUED_UNFLUSHED | 1U << QUEUED_SETTLING,
        [QUEUED_UNFLUSHED] = 1U << QUEUED_SCHEDULED | 1U << QUEUED_SETTLING,
        [QUEUED_SETTLING] = 1U << QUEUED_SCHEDULED | 1U << QUEUED_HELD,
        [QUEUED_HELD] = 1U << QUEUED_SCHEDULED,
    };
    return (allowed[from] & 1U << to) != 0;
}

static void count_held(struct queued *queued, struct queued_message *message, bool more)
{
    if (more && message->held++ == 0)
        queued->held_count++;
    if (!more && --message->held == 0)
        queued->held_count--;
}

void queued_enter(struct queued *queued, struct queued_recipient *recipient,
                  enum queued_stage stage)
{
    struct queued_message *message = recipient->message;
    enum queued_stage before = recipient->stage;
    assert(is_step(before, stage));
    recipient->stage = stage;
    if (before == QUEUED_HELD)
        count_held(queued, message, false);
    if (stage == QUEUED_HELD)
        count_held(queued, message, true);
    if (before == QUEUED_SCHEDULED)
        schedule_remove(&queued->schedule, &recipient->entry);
}

void queued_schedule(struct queued *queued, struct queued_recipient *recipient, uint64_t due_ms)
{
    queued_enter(queued, recipient, QUEUED_SCHEDULED);
    schedule_add(&queued->schedule, &recipient->entry, due_ms);
}

void queued_set_text(struct queued_recipient *recipient, struct slice text)
{
    text = slice_range(text, 0, QUEUED_TEXT_MAX);
    free(recipient->text);
    recipient->text = text.len > 0 ? strndup((const char *)text.ptr, text.len) : NULL;
}

struct queued_recipient *queued_add_recipient(struct queued *queued, struct queued_message *message,
                                              uint32_t number, struct slice account)
{
    if (!schedule_reserve(&queued->schedule, queued->recipient_count + 1))
        return NULL;
    struct queue_target *target = make_target(queued, account);
    struct queued_recipient *recipient = target ? calloc(1, sizeof(*recipient)) : NULL;
    if (!recipient)
        return NULL; /* a target without recipients is swept some time */
    recipient->message = message;
    recipient->target = target;
    recipient->entry.destination = &target->destination;
    recipient->number = number;
    DL_APPEND2(message->recipients, recipient, prev_of_message, next_of_message);
    message->recipient_count++;
    if (number >= message->next_number)
        message->next_number = number + 1;
    target->recipients++;
    queued->recipient_count++;
    return recipient;
}

static void free_recipient(struct queued *queued, struct queued_recipient *recipient)
{
    if (recipient->stage == QUEUED_SCHEDULED)
        schedule_remove(&queued->schedule, &recipient->entry);
    if (recipient->stage == QUEUED_HELD)
        count_held(queued, recipient->message, false);
    recipient->target->recipients--;
    queued->recipient_count--;
    free(recipient->text);
    free((void *)(uintptr_t)recipient->targets.ptr);
    free(recipient);
}

void queued_drop_recipient(struct queued *queued, struct queued_recipient *recipient)
{
    struct queued_message *message = recipient->message;
    DL_DELETE2(message->recipients, recipient, prev_of_message, next_of_message);
    free_recipient(queued, recipient);
    if (--message->recipient_count == 0)
        queued_drop_message(queued, message);
}

/* ---- messages ---- */

struct queued_message *queued_find_message(const struct queued *queued, uint64_t id)
{
    struct queued_message *message;
    HASH_FIND(hh, queued->messages, &id, sizeof(id), message);
    return message;
}

struct queued_message *queued_add_message(struct queued *queued, uint64_t id, uint64_t expires_ms)
{
    struct queued_message *message = calloc(1, sizeof(*message));
    if (!message)
        return NULL;
    message->id = id;
    message->expires_ms = expires_ms;
    HASH_ADD(hh, queued->messages, id, sizeof(message->id), message);
    if (!hash_table_holds(&message->hh)) {
        free(message);
        return NULL;
    }
    queued->message_count++;
    return message;
}

void queued_drop_message(struct queued *queued, struct queued_message *message)
{
    struct queued_recipient *recipient = message->recipients, *next;
    for (; recipient; recipient = next) {
        next = recipient->next_of_message;
        free_recipient(queued, recipient);
    }
    HASH_DEL(queued->messages, message);
    queued->message_count--;
    free(message);
}

void queued_clear(struct queued *queued)
{
    struct queued_message *message, *next_message;
    HASH_ITER (hh, queued->messages, message, next_message) {
        queued_drop_message(queued, message);
    }
    struct queue_target *target, *next_target;
    HASH_ITER (hh, queued->targets, target, next_target) {
        free_target(queued, target);
    }
    schedule_clear(&queued->schedule);
    *queued = (struct queued){0};
}
