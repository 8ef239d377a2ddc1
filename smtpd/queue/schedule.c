/* A binary heap by time and a ring of lines; see schedule.h. */
#include "smtpd/queue/schedule.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/size.h"

/* ---- the heap ---- */

static void set_place(struct schedule *schedule, size_t place, struct schedule_entry *entry)
{
    schedule->heap[place] = entry;
    entry->place = place;
}

static void sift_up(struct schedule *schedule, struct schedule_entry *entry, size_t place)
{
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (schedule->heap[parent]->due_ms <= entry->due_ms)
            break;
        set_place(schedule, place, schedule->heap[parent]);
        place = parent;
    }
    set_place(schedule, place, entry);
}

static void sift_down(struct schedule *schedule, struct schedule_entry *entry, size_t place)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= schedule->count)
            break;
        if (child + 1 < schedule->count
            && schedule->heap[child + 1]->due_ms < schedule->heap[child]->due_ms)
            child++;
        if (entry->due_ms <= schedule->heap[child]->due_ms)
            break;
        set_place(schedule, place, schedule->heap[child]);
        place = child;
    }
    set_place(schedule, place, entry);
}

static void remove_from_heap(struct schedule *schedule, struct schedule_entry *entry)
{
    size_t place = entry->place;
    struct schedule_entry *last = schedule->heap[--schedule->count];
    if (last == entry)
        return;
    if (place > 0 && last->due_ms < schedule->heap[(place - 1) / 2]->due_ms)
        sift_up(schedule, last, place);
    else
        sift_down(schedule, last, place);
}

void schedule_clear(struct schedule *schedule)
{
    free(schedule->heap);
    *schedule = (struct schedule){0};
}

bool schedule_reserve(struct schedule *schedule, size_t entries)
{
    if (entries <= schedule->capacity)
        return true;
    size_t capacity = schedule->capacity ? schedule->capacity : 64, octets;
    while (capacity < entries)
        if (!size_mul(capacity, 2, &capacity))
            return false;
    if (!size_mul(capacity, sizeof(void *), &octets))
        return false;
    struct schedule_entry **grown = realloc(schedule->heap, octets);
    if (!grown)
        return false;
    schedule->heap = grown;
    schedule->capacity = capacity;
    return true;
}

/* ---- the ring ---- */

static void enter_ring(struct schedule *schedule, struct schedule_destination *destination)
{
    if (destination->in_ring || destination->blocked || !destination->line)
        return;
    DL_APPEND(schedule->ring, destination);
    destination->in_ring = true;
}

static void leave_ring(struct schedule *schedule, struct schedule_destination *destination)
{
    if (!destination->in_ring)
        return;
    DL_DELETE(schedule->ring, destination);
    destination->in_ring = false;
}

static void leave_line(struct schedule *schedule, struct schedule_entry *entry)
{
    struct schedule_destination *destination = entry->destination;
    DL_DELETE(destination->line, entry);
    if (!destination->line)
        leave_ring(schedule, destination);
}

/* ---- entries ---- */

void schedule_add(struct schedule *schedule, struct schedule_entry *entry, uint64_t due_ms)
{
    assert(entry->state == SCHEDULE_IDLE && entry->destination);
    assert(schedule->count < schedule->capacity);
    entry->due_ms = due_ms;
    entry->state = SCHEDULE_WAITING;
    sift_up(schedule, entry, schedule->count++);
}

void schedule_remove(struct schedule *schedule, struct schedule_entry *entry)
{
    if (entry->state == SCHEDULE_WAITING)
        remove_from_heap(schedule, entry);
    else if (entry->state == SCHEDULE_READY)
        leave_line(schedule, entry);
    entry->state = SCHEDULE_IDLE;
}

void schedule_advance(struct schedule *schedule, uint64_t now_ms)
{
    while (schedule->count > 0 && schedule->heap[0]->due_ms <= now_ms) {
        struct schedule_entry *entry = schedule->heap[0];
        remove_from_heap(schedule, entry);
        entry->state = SCHEDULE_READY;
        DL_APPEND(entry->destination->line, entry);
        enter_ring(schedule, entry->destination);
    }
}

bool schedule_next_due(const struct schedule *schedule, uint64_t *due_ms)
{
    if (schedule->count == 0)
        return false;
    *due_ms = schedule->heap[0]->due_ms;
    return true;
}

struct schedule_entry *schedule_take(struct schedule *schedule)
{
    struct schedule_destination *destination = schedule->ring;
    if (!destination)
        return NULL;
    struct schedule_entry *entry = destination->line;
    leave_ring(schedule, destination);
    DL_DELETE(destination->line, entry);
    entry->state = SCHEDULE_IDLE;
    enter_ring(schedule, destination);
    return entry;
}

void schedule_block(struct schedule *schedule, struct schedule_destination *destination)
{
    destination->blocked = true;
    leave_ring(schedule, destination);
}

void schedule_unblock(struct schedule *schedule, struct schedule_destination *destination)
{
    destination->blocked = false;
    enter_ring(schedule, destination);
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
