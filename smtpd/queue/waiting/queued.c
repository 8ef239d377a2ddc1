/* The queue's memory; see queued.h. */
#include "smtpd/queue/waiting/queued.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "smtpd/queue/outcome/outcome_text.h"

/* ---- targets ---- */

struct queue_target *queued_find_target(const struct queued *queued, enum target_kind kind,
                                        struct slice name)
{
    struct queue_target *target;
    const void *key = name.len > 0 ? (const void *)name.ptr : ""; /* not even for 0 octets NULL */
    HASH_FIND(hh, queued->targets[kind], key, name.len, target);
    return target;
}

/* FNV-1a, 64 bits. */
uint64_t queued_hash(struct slice name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ name.ptr[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void begin_target(struct queued *queued, struct queue_target *target)
{
    bool outward = target->kind == TARGET_RELAY;
    target->destination.schedule = &queued->schedules[outward ? QUEUED_OUTWARD : QUEUED_LOCAL];
    target->destination.lane = outward ? SCHEDULE_UNPROVEN : SCHEDULE_PROVEN;
    if (outward)
        target->relay.hash = queued_hash(queue_target_name(target));
}

static struct queue_target *make_target(struct queued *queued, enum target_kind kind,
                                        struct slice name)
{
    struct queue_target *target = queued_find_target(queued, kind, name);
    if (target || name.len > UINT16_MAX)
        return target;
    target = calloc(1, sizeof(*target) + name.len);
    if (!target)
        return NULL;
    target->kind = kind;
    target->name_octets = (uint16_t)name.len;
    if (name.len > 0)
        memcpy(target->name, name.ptr, name.len);
    HASH_ADD(hh, queued->targets[kind], name, name.len, target);
    if (hash_table_holds(&target->hh)) {
        begin_target(queued, target);
        return target;
    }
    free(target);
    return NULL;
}

/* Must be out of the table already. */
static void free_target(struct queue_target *target)
{
    schedule_forget(&target->destination);
    if (target->kind == TARGET_RELAY)
        free(target->relay.text);
    free(target);
}

static bool is_needed(const struct queue_target *target)
{
    if (target->groups > 0 || target->list)
        return true;
    if (target->kind == TARGET_ACCOUNT)
        return target->deliver.state == TARGET_ASKED;
    return target->kind == TARGET_RELAY
           && (target->relay.under_way > 0 || target->destination.resting);
}

static void sweep_kind(struct queued *queued, enum target_kind kind)
{
    struct queue_target *unneeded = NULL, *target, *next;
    HASH_ITER (hh, queued->targets[kind], target, next) {
        if (is_needed(target))
            continue;
        HASH_DEL(queued->targets[kind], target);
        DL_APPEND(unneeded, target);
    }
    DL_FOREACH_SAFE (unneeded, target, next)
        free_target(target);
}

void queued_sweep_targets(struct queued *queued)
{
    for (enum target_kind kind = 0; kind < TARGET_KINDS; kind++)
        sweep_kind(queued, kind);
}

/* ---- groups ---- */

/* The recipients of a message come together, so that its group is the newest of the target. */
static struct queued_group *make_group(struct queued_message *message, struct queue_target *target)
{
    struct queued_group *group = target->newest;
    if (group && group->message == message)
        return group;
    group = calloc(1, sizeof(*group));
    if (!group)
        return NULL;
    size_t which = target->kind == TARGET_RELAY ? QUEUED_OUTWARD : QUEUED_LOCAL;
    group->turns.destination = &target->destination;
    group->turns.message = &message->turns[which];
    group->turns.sender = &message->sender->turns[which];
    group->message = message;
    group->target = target;
    target->newest = group;
    target->groups++;
    return group;
}

static void leave_group(struct queued_group *group)
{
    if (--group->recipients > 0)
        return;
    if (group->target->newest == group)
        group->target->newest = NULL;
    group->target->groups--;
    free(group);
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
        [QUEUED_HELD] = 1U << QUEUED_SCHEDULED | 1U << QUEUED_SETTLING,
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
    struct queued_message *message = queued_message_of(recipient);
    enum queued_stage before = recipient->stage;
    assert(is_step(before, stage));
    recipient->stage = stage;
    if (before == QUEUED_HELD)
        count_held(queued, message, false);
    if (stage == QUEUED_HELD)
        count_held(queued, message, true);
    if (before == QUEUED_SCHEDULED)
        schedule_remove(&recipient->entry);
}

void queued_schedule(struct queued *queued, struct queued_recipient *recipient, uint64_t due_ms)
{
    queued_enter(queued, recipient, QUEUED_SCHEDULED);
    schedule_add(&recipient->entry, due_ms);
}

void queued_set_text(char **kept, struct slice text)
{
    text = slice_range(text, 0, OUTCOME_TEXT_MAX);
    free(*kept);
    *kept = text.len > 0 ? strndup((const char *)text.ptr, text.len) : NULL;
}

struct queued_recipient *queued_add_recipient(struct queued *queued, struct queued_message *message,
                                              uint32_t number, enum target_kind kind,
                                              struct slice name)
{
    struct queue_target *target = make_target(queued, kind, name);
    struct queued_recipient *recipient = target ? calloc(1, sizeof(*recipient)) : NULL;
    struct queued_group *group = recipient ? make_group(message, target) : NULL;
    if (!group) {
        free(recipient);
        return NULL; /* a target without recipients is swept some time */
    }
    recipient->group = group;
    recipient->entry.group = &group->turns;
    recipient->number = number;
    DL_APPEND2(message->recipients, recipient, prev_of_message, next_of_message);
    message->recipient_count++;
    if (number >= message->next_number)
        message->next_number = number + 1;
    group->recipients++;
    queued->recipient_count++;
    return recipient;
}

static void free_recipient(struct queued *queued, struct queued_recipient *recipient)
{
    if (recipient->stage == QUEUED_SCHEDULED)
        schedule_remove(&recipient->entry);
    if (recipient->stage == QUEUED_HELD)
        count_held(queued, queued_message_of(recipient), false);
    leave_group(recipient->group);
    queued->recipient_count--;
    free(recipient->text);
    free((void *)(uintptr_t)recipient->resolved.ptr);
    free(recipient);
}

void queued_drop_recipient(struct queued *queued, struct queued_recipient *recipient)
{
    struct queued_message *message = queued_message_of(recipient);
    DL_DELETE2(message->recipients, recipient, prev_of_message, next_of_message);
    free_recipient(queued, recipient);
    if (--message->recipient_count == 0)
        queued_drop_message(queued, message);
}

/* ---- senders ---- */

static struct queued_sender *make_sender(struct queued *queued, uint64_t key)
{
    struct queued_sender *sender;
    HASH_FIND(hh, queued->senders, &key, sizeof(key), sender);
    if (sender)
        return sender;
    sender = calloc(1, sizeof(*sender));
    if (!sender)
        return NULL;
    sender->key = key;
    HASH_ADD(hh, queued->senders, key, sizeof(sender->key), sender);
    if (hash_table_holds(&sender->hh))
        return sender;
    free(sender);
    return NULL;
}

static void leave_sender(struct queued *queued, struct queued_sender *sender)
{
    if (sender->messages > 0)
        return;
    HASH_DEL(queued->senders, sender);
    free(sender);
}

/* ---- messages ---- */

struct queued_message *queued_find_message(const struct queued *queued, uint64_t id)
{
    struct queued_message *message;
    HASH_FIND(hh, queued->messages, &id, sizeof(id), message);
    return message;
}

struct queued_message *queued_add_message(struct queued *queued, uint64_t id, uint64_t sender_key)
{
    struct queued_sender *sender = make_sender(queued, sender_key);
    struct queued_message *message = sender ? calloc(1, sizeof(*message)) : NULL;
    if (!message)
        goto failed;
    message->id = id;
    message->sender = sender;
    message->expires_ms = message->warn_ms = QUEUED_NEVER;
    HASH_ADD(hh, queued->messages, id, sizeof(message->id), message);
    if (!hash_table_holds(&message->hh))
        goto failed;
    sender->messages++;
    queued->message_count++;
    return message;
failed:
    free(message);
    if (sender)
        leave_sender(queued, sender);
    return NULL;
}

static void disarm(struct queued *queued, struct queued_message *message)
{
    if (message->is_armed)
        heap_remove(&queued->deadlines, &message->deadline);
    message->is_armed = false;
}

void queued_set_deadline(struct queued *queued, struct queued_message *message, uint64_t at_ms)
{
    disarm(queued, message);
    if (at_ms == QUEUED_NEVER)
        return;
    message->deadline.key = at_ms;
    message->deadline.order = message->id;
    message->is_armed = true;
    heap_add(&queued->deadlines, &message->deadline);
}

void queued_set_times(struct queued *queued, struct queued_message *message, uint64_t expires_ms,
                      uint64_t warn_ms)
{
    message->expires_ms = expires_ms;
    message->warn_ms = warn_ms;
    queued_set_deadline(queued, message, warn_ms < expires_ms ? warn_ms : expires_ms);
}

/* Must be out of the table already. */
static void free_message(struct queued *queued, struct queued_message *message)
{
    struct queued_recipient *recipient = message->recipients, *next;
    for (; recipient; recipient = next) {
        next = recipient->next_of_message;
        free_recipient(queued, recipient);
    }
    disarm(queued, message);
    queued->message_count--;
    message->sender->messages--;
    leave_sender(queued, message->sender);
    free(message);
}

void queued_drop_message(struct queued *queued, struct queued_message *message)
{
    HASH_DEL(queued->messages, message);
    free_message(queued, message);
}

static void clear_messages(struct queued *queued)
{
    struct queued_message *message = queued->messages, *next;
    HASH_CLEAR(hh, queued->messages);
    for (; message; message = next) {
        next = message->hh.next;
        free_message(queued, message);
    }
}

static void clear_targets(struct queued *queued, enum target_kind kind)
{
    struct queue_target *target = queued->targets[kind], *next;
    HASH_CLEAR(hh, queued->targets[kind]);
    for (; target; target = next) {
        next = target->hh.next;
        free_target(target);
    }
}

void queued_clear(struct queued *queued)
{
    clear_messages(queued);
    for (enum target_kind kind = 0; kind < TARGET_KINDS; kind++)
        clear_targets(queued, kind);
    *queued = (struct queued){0};
}
