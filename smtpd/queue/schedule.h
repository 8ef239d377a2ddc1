/*
 * What is to be tried next: entries wait for their time in one heap, then stand in the line of
 * their destination, and destinations with a line take turns. So neither a slow destination nor one
 * with a thousand entries delays another's. No I/O, nothing scans all; the queue's loop only.
 *
 *   schedule_add ──> waiting ──schedule_advance──> ready ──schedule_take──> taken ──> schedule_add
 *
 * Time is steady (CLOCK_BOOTTIME, milliseconds), never the wall's clock: a clock that is set, back
 * or forth, moves no attempt. What is on disk is wall-clock time; queue.c converts when it loads.
 *
 * Today a destination is an account; for the relay it will be a domain.
 */
#ifndef SMTPD_QUEUE_SCHEDULE_H
#define SMTPD_QUEUE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schedule_destination;

enum schedule_state {
    SCHEDULE_IDLE, /* not in the schedule: never added, removed, or taken */
    SCHEDULE_WAITING,
    SCHEDULE_READY,
};

/* Lives in the object that is to be tried. Zeroed, it is idle. */
struct schedule_entry {
    uint64_t due_ms;
    struct schedule_destination *destination;
    struct schedule_entry *prev, *next; /* the line */
    size_t place;                       /* in the heap */
    enum schedule_state state;
};

/* Lives in the object that stands for the destination, at least as long as its entries. Zeroed, it
 * is ready for use. */
struct schedule_destination {
    struct schedule_entry *line; /* ready, oldest first */
    struct schedule_destination *prev, *next;
    bool blocked; /* its line is not served */
    bool in_ring;
};

struct schedule {
    struct schedule_entry **heap; /* soonest first */
    size_t count;
    size_t capacity;
    struct schedule_destination *ring; /* whose turn is next first; unblocked, with a line */
};

void schedule_clear(struct schedule *schedule); /* may run twice; a zeroed one is fine */

/* Room for so many entries in all, so that schedule_add() cannot fail. False: no memory. */
bool schedule_reserve(struct schedule *schedule, size_t entries);

/* The entry is idle, its destination is set, and room was reserved. */
void schedule_add(struct schedule *schedule, struct schedule_entry *entry, uint64_t due_ms);

/* Whatever its state; idle afterwards. */
void schedule_remove(struct schedule *schedule, struct schedule_entry *entry);

/* What is due gets into the lines. */
void schedule_advance(struct schedule *schedule, uint64_t now_ms);

/* False: nothing waits. */
bool schedule_next_due(const struct schedule *schedule, uint64_t *due_ms);

/* Whose turn it is: schedule_take() would take from its line. NULL: nothing is ready that is not
 * blocked. */
static inline struct schedule_destination *schedule_next(const struct schedule *schedule)
{
    return schedule->ring;
}

/* The oldest entry of the next destination, idle then; the destination goes to the end of the ring.
 * NULL: nothing is ready that is not blocked. */
struct schedule_entry *schedule_take(struct schedule *schedule);

/* While blocked a destination's entries come due, but are not taken. Twice is fine. */
void schedule_block(struct schedule *schedule, struct schedule_destination *destination);
void schedule_unblock(struct schedule *schedule, struct schedule_destination *destination);

/* The wait before the next attempt, after so many (1 and more) that failed: `waits_ms` in order,
 * the last repeats; up to a tenth more or less by `random`, so that what failed together is not
 * tried together. */
uint64_t schedule_wait_ms(const uint64_t *waits_ms, size_t count, uint32_t attempts,
                          uint32_t random);

#endif
