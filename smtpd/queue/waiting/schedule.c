/* Three levels of heaps and the numbers that order them; see schedule.h. */
#include "smtpd/queue/waiting/schedule.h"

#include <assert.h>

#include <utlist.h>

enum { RECORDS_LIKE_A_MESSAGE = 64 };

/* ---- whose turn ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The number of the message's next record. A message without one ahead of the clock starts again,
 * after the last that its sender started. */
static uint64_t next_turn(const struct schedule *schedule, struct schedule_group *group)
{
    struct schedule_turn *sender = group->sender, *message = group->message;
    if (message->last <= schedule->clock) {
        message->last = later(schedule->clock, sender->last);
        sender->last = message->last + 1;
    }
    if (++message->last % RECORDS_LIKE_A_MESSAGE == 0)
        sender->last++;
    return message->last;
}

/* ---- destinations ---- */

/* Puts the destination into its heap, under the number of its first group. */
static void place(struct schedule_destination *destination)
{
    struct heap *ready = &destination->schedule->ready[destination->lane];
    const struct heap_node *first = destination->groups.first;
    bool belongs = first && !destination->blocked && !destination->resting;
    bool in_place = destination->in_ready && first && destination->node.key == first->key
                    && destination->node.order == first->order;
    if (belongs && in_place)
        return;
    if (destination->in_ready)
        heap_remove(ready, &destination->node);
    destination->in_ready = belongs;
    if (!belongs)
        return;
    destination->node.key = first->key;
    destination->node.order = first->order;
    heap_add(ready, &destination->node);
}

void schedule_block(struct schedule_destination *destination)
{
    destination->blocked = true;
    place(destination);
}

void schedule_unblock(struct schedule_destination *destination)
{
    destination->blocked = false;
    place(destination);
}

void schedule_wake(struct schedule_destination *destination)
{
    if (!destination->resting)
        return;
    heap_remove(&destination->schedule->resting, &destination->node);
    destination->resting = false;
    place(destination);
}

void schedule_rest(struct schedule_destination *destination, uint64_t until_ms)
{
    schedule_wake(destination);
    destination->resting = true;
    place(destination); /* out of ready: the node is free */
    destination->node.key = until_ms;
    heap_add(&destination->schedule->resting, &destination->node);
}

void schedule_set_lane(struct schedule_destination *destination, enum schedule_lane lane)
{
    if (destination->lane == lane)
        return;
    if (destination->in_ready)
        heap_remove(&destination->schedule->ready[destination->lane], &destination->node);
    destination->in_ready = false;
    destination->lane = lane;
    place(destination);
}

void schedule_forget(struct schedule_destination *destination)
{
    assert(!destination->groups.first);
    schedule_wake(destination);
}

/* ---- groups ---- */

static void enter_groups(struct schedule_group *group)
{
    struct schedule_destination *destination = group->destination;
    struct schedule *schedule = destination->schedule;
    group->node.key = next_turn(schedule, group);
    group->node.order = schedule->order++;
    heap_add(&destination->groups, &group->node);
    place(destination);
}

static void leave_groups(struct schedule_group *group)
{
    heap_remove(&group->destination->groups, &group->node);
    place(group->destination);
}

/* ---- entries ---- */

void schedule_add(struct schedule_entry *entry, uint64_t due_ms)
{
    assert(entry->state == SCHEDULE_IDLE);
    entry->node.key = due_ms;
    entry->state = SCHEDULE_WAITING;
    struct schedule *schedule = entry->group->destination->schedule;
    entry->node.order = schedule->order++;
    heap_add(&schedule->waiting, &entry->node);
}

static void leave_line(struct schedule_entry *entry)
{
    struct schedule_group *group = entry->group;
    DL_DELETE(group->line, entry);
    if (!group->line)
        leave_groups(group);
}

void schedule_remove(struct schedule_entry *entry)
{
    if (entry->state == SCHEDULE_WAITING)
        heap_remove(&entry->group->destination->schedule->waiting, &entry->node);
    else if (entry->state == SCHEDULE_READY)
        leave_line(entry);
    entry->state = SCHEDULE_IDLE;
}

static void make_ready(struct schedule_entry *entry)
{
    struct schedule_group *group = entry->group;
    bool first = !group->line;
    entry->state = SCHEDULE_READY;
    DL_APPEND(group->line, entry);
    if (first)
        enter_groups(group);
}

void schedule_advance(struct schedule *schedule, uint64_t now_ms)
{
    while (schedule->resting.first && schedule->resting.first->key <= now_ms)
        schedule_wake((struct schedule_destination *)schedule->resting.first);
    while (schedule->waiting.first && schedule->waiting.first->key <= now_ms) {
        struct schedule_entry *entry = (struct schedule_entry *)schedule->waiting.first;
        heap_remove(&schedule->waiting, &entry->node);
        make_ready(entry);
    }
}

bool schedule_next_due(const struct schedule *schedule, uint64_t *due_ms)
{
    const struct heap_node *waiting = schedule->waiting.first, *resting = schedule->resting.first;
    if (!waiting && !resting)
        return false;
    *due_ms = !waiting || (resting && resting->key < waiting->key) ? resting->key : waiting->key;
    return true;
}

struct schedule_destination *schedule_next(const struct schedule *schedule, enum schedule_lane lane)
{
    return (struct schedule_destination *)schedule->ready[lane].first;
}

struct schedule_entry *schedule_first_of(const struct schedule_destination *destination)
{
    const struct schedule_group *group = (const struct schedule_group *)destination->groups.first;
    return group ? group->line : NULL;
}

struct schedule_entry *schedule_take(struct schedule *schedule, enum schedule_lane lane)
{
    struct schedule_destination *destination = schedule_next(schedule, lane);
    if (!destination)
        return NULL;
    struct schedule_group *group = (struct schedule_group *)destination->groups.first;
    struct schedule_entry *entry = group->line;
    schedule->clock = later(schedule->clock, group->node.key);
    schedule_remove(entry);
    if (group->line) {
        leave_groups(group);
        enter_groups(group);
    }
    return entry;
}

/* ---- waits ---- */

uint64_t schedule_wait_ms(const uint64_t *waits_ms, size_t count, uint32_t attempts,
                          uint32_t random)
{
    assert(count > 0 && attempts > 0);
    uint64_t wait_ms = waits_ms[attempts <= count ? attempts - 1 : count - 1];
    uint64_t tenth = wait_ms / 10;
    return wait_ms - tenth + random % (2 * tenth + 1);
}
