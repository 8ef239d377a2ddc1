/*
 * The order of delivery attempts. Entries wait until they are due, then in the line of their group
 * (the entries of one message for one destination). Groups take turns, so that no mail waits behind
 * a slow destination, a message to thousands, or a sender of thousands of messages. No I/O, no
 * allocation, no scan of all entries; the queue's loop only.
 *
 *   schedule_add ──> waiting ──schedule_advance──> ready ──schedule_take──> idle ──> schedule_add
 *
 * Turns (start-time fair queueing): a group that becomes ready gets a number, and the smallest
 * number of all destinations that are open is served next. `clock` is the largest number served so
 * far. The records of a message get clock + 1, + 2, and so on from where the message begins; each
 * message of a sender begins one after his last; 64 records of one message count as another
 * message. So a new message comes before all but the first records of those that wait already.
 *
 * Time is steady (CLOCK_BOOTTIME, milliseconds), never wall-clock time, so that setting the clock
 * moves no attempt. On disk stands wall-clock time; queue.c converts when it loads.
 */
#ifndef SMTPD_QUEUE_WAITING_SCHEDULE_H
#define SMTPD_QUEUE_WAITING_SCHEDULE_H

#include <stdbool.h>

#include "smtpd/queue/waiting/heap.h"

enum schedule_state {
    SCHEDULE_IDLE, /* not in the schedule: never added, removed, or taken */
    SCHEDULE_WAITING,
    SCHEDULE_READY,
};

/* Destinations are served in two lanes: those that are not known to take mail are kept apart, so
 * that the caller can bound what they hold. */
enum schedule_lane { SCHEDULE_PROVEN, SCHEDULE_UNPROVEN, SCHEDULE_LANES };

/* One schedule. Zeroed it is empty. */
struct schedule {
    struct heap waiting;               /* entries, soonest first */
    struct heap resting;               /* destinations, soonest first */
    struct heap ready[SCHEDULE_LANES]; /* destinations that are open and have groups */
    uint64_t clock;
    uint64_t order;
};

/* The turn of a sender or a message; embedded in its struct, and zeroed at first. */
struct schedule_turn {
    uint64_t last;
};

/* A destination; embedded in the caller's struct for it, and outlives its groups. Ready for use,
 * and open, when zeroed and given its schedule and lane. */
struct schedule_destination {
    struct heap_node node; /* in ready or resting */
    struct schedule *schedule;
    struct heap groups; /* with a line */
    enum schedule_lane lane;
    bool blocked;
    bool resting;
    bool in_ready;
};

/* One message for one destination; embedded in the caller's struct, and outlives its entries. Ready
 * for use when zeroed and given its destination and turns. */
struct schedule_group {
    struct heap_node node; /* in the destination's groups, while it has a line */
    struct schedule_destination *destination;
    struct schedule_turn *sender;
    struct schedule_turn *message;
    struct schedule_entry *line; /* ready, oldest first */
};

/* One recipient to be tried; embedded in the caller's struct. Idle when zeroed and given its group.
 */
struct schedule_entry {
    struct heap_node node; /* its key is when it is due */
    struct schedule_group *group;
    struct schedule_entry *prev, *next; /* the line */
    enum schedule_state state;
};

/* Adds an idle entry. */
void schedule_add(struct schedule_entry *entry, uint64_t due_ms);

/* Removes an entry in any state; it is idle afterwards. */
void schedule_remove(struct schedule_entry *entry);

/* Moves due entries into the lines of their groups, and ends rests that are over. */
void schedule_advance(struct schedule *schedule, uint64_t now_ms);

/* When schedule_advance() will have something to do. False: nothing waits. */
bool schedule_next_due(const struct schedule *schedule, uint64_t *due_ms);

/* The destination whose turn it is, from which schedule_take() would take. NULL: none is open with
 * something ready. */
struct schedule_destination *schedule_next(const struct schedule *schedule,
                                           enum schedule_lane lane);

/* Takes the oldest entry of the group whose turn it is; the entry is idle then, and the group goes
 * to the back. NULL as above. */
struct schedule_entry *schedule_take(struct schedule *schedule, enum schedule_lane lane);

/* A ready entry of the destination; NULL: none. */
struct schedule_entry *schedule_first_of(const struct schedule_destination *destination);

/* While a destination is blocked or rests, its entries come due but are not taken. Twice is fine; a
 * second rest replaces the first. */
void schedule_block(struct schedule_destination *destination);
void schedule_unblock(struct schedule_destination *destination);
void schedule_rest(struct schedule_destination *destination, uint64_t until_ms);
void schedule_wake(struct schedule_destination *destination); /* ends its rest */

void schedule_set_lane(struct schedule_destination *destination, enum schedule_lane lane);

/* To be called before a destination, which has no entries any more, is freed. */
void schedule_forget(struct schedule_destination *destination);

/* The wait before the next attempt when `attempts` (at least 1) have failed: the entries of
 * `waits_ms` in order, the last one from then on; up to a tenth more or less by `random`, so that
 * what failed together is not tried together. */
uint64_t schedule_wait_ms(const uint64_t *waits_ms, size_t count, uint32_t attempts,
                          uint32_t random);

#endif
