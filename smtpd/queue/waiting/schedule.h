/*
 * What is to be tried next. Entries wait for their time, then stand in the line of their group (the
 * entries of one message for one destination). Groups take turns, so that nobody waits behind
 * another's bulk: a slow destination, a message to thousands, or a sender of thousands of messages.
 * No I/O, no allocation, nothing scans all; the queue's loop only.
 *
 *   schedule_add ──> waiting ──schedule_advance──> ready ──schedule_take──> idle ──> schedule_add
 *
 * Turns (start-time fair queueing): a group that becomes ready gets a number, and the smallest
 * number of all destinations that are open is served next. `clock` is the largest number served so
 * far. The records of a message get clock + 1, + 2, and so on from where the message begins; each
 * message of a sender begins one after his last; 64 records of one message count as another
 * message. So whoever comes anew stands before all but the first records of whatever waits already.
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

/* The place of a sender or a message in the turns; lives there. Zeroed is fine. */
struct schedule_turn {
    uint64_t last;
};

/* Lives in the object that stands for the destination, and outlives its groups. Ready for use, and
 * open, when zeroed and given its schedule and lane. */
struct schedule_destination {
    struct heap_node node; /* in ready or resting */
    struct schedule *schedule;
    struct heap groups; /* with a line */
    enum schedule_lane lane;
    bool blocked;
    bool resting;
    bool in_ready;
};

/* Lives in the object for one message and destination, and outlives its entries. Ready for use when
 * zeroed and given its destination and turns. */
struct schedule_group {
    struct heap_node node; /* in the destination's groups, while it has a line */
    struct schedule_destination *destination;
    struct schedule_turn *sender;
    struct schedule_turn *message;
    struct schedule_entry *line; /* ready, oldest first */
};

/* Lives in the object that is to be tried. Idle when zeroed and given its group. */
struct schedule_entry {
    struct heap_node node; /* its key is when it is due */
    struct schedule_group *group;
    struct schedule_entry *prev, *next; /* the line */
    enum schedule_state state;
};

/* The entry is idle. */
void schedule_add(struct schedule_entry *entry, uint64_t due_ms);

/* Whatever its state; idle afterwards. */
void schedule_remove(struct schedule_entry *entry);

/* Moves what is due into the lines, and opens destinations that have rested. */
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

/* An entry of the destination, ready; NULL: none. */
struct schedule_entry *schedule_first_of(const struct schedule_destination *destination);

/* While a destination is blocked or rests, its entries come due but are not taken. Twice is fine; a
 * second rest replaces the first. */
void schedule_block(struct schedule_destination *destination);
void schedule_unblock(struct schedule_destination *destination);
void schedule_rest(struct schedule_destination *destination, uint64_t until_ms);
void schedule_wake(struct schedule_destination *destination); /* ends its rest */

void schedule_set_lane(struct schedule_destination *destination, enum schedule_lane lane);

/* Before a destination without entries is freed. */
void schedule_forget(struct schedule_destination *destination);

/* The wait before the next attempt when `attempts` (at least 1) have failed: the entries of
 * `waits_ms` in order, the last one from then on; up to a tenth more or less by `random`, so that
 * what failed together is not tried together. */
uint64_t schedule_wait_ms(const uint64_t *waits_ms, size_t count, uint32_t attempts,
                          uint32_t random);

#endif
