/*
 * What is done at the end of an event loop's turn, after the handlers of all events that were ready
 * and before the loop waits again: freeing sessions that ended in their own handler, one write for
 * many replies, one commit for many messages. Also work in slices, a slice a turn, so that others
 * get their turn between. No allocation. Any process, one struct turn a loop.
 */
#ifndef COMMON_ROLE_TURN_H
#define COMMON_ROLE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

/* Lives in the object it is for. Zeroed and given its `run`, it is ready. */
struct deferred {
    void (*run)(struct deferred *deferred);
    struct deferred *prev;
    struct deferred *next;
    struct deferred **list; /* the list it waits in; NULL: it does not wait */
};

/* See turn_wait_awake_for. */
struct turn_waking {
    int fd;             /* -1: never */
    unsigned quick;     /* waits in a row that ended soon */
    uint64_t asleep_ns; /* since when the loop sleeps; 0: it does not */
};

struct turn {
    struct ev_loop *loop;
    struct deferred *at_end;  /* for the end of this turn */
    struct deferred *in_next; /* for the next one; the loop does not sleep before it */
    ev_prepare before_wait;
    ev_check after_wait;
    ev_idle no_wait;
    struct turn_waking waking;
};

/* Milliseconds of CLOCK_MONOTONIC: for deadlines, which no change of the clock may move. */
uint64_t turn_now_ms(void);
uint64_t turn_now_ns(void);

/* The watchers do not keep the loop alive: ev_run returns when nothing else is active. */
void turn_init(struct turn *turn, struct ev_loop *loop);
void turn_clear(struct turn *turn); /* forgets what waits, without running it; may run twice */

/* Runs it once at the end of this turn, in the order of the calls; a second call before that
 * changes nothing. What is deferred while the end of the turn runs is run in the same end: an
 * action that always defers itself again would never let the turn end; it wants turn_again. */
void turn_defer(struct turn *turn, struct deferred *deferred);

/* Runs it once in the next turn, which comes without waiting; events that are ready have theirs in
 * between. An action that already waits, for either, stays where it is. */
void turn_again(struct turn *turn, struct deferred *deferred);

/* For a process that serves one peer, on that descriptor: -1 ends it. Where a peer on this machine
 * answers each reply at once, most of the time between two commands is what the kernel takes to
 * wake us (in a virtual machine 30 to 60 us); so after some such answers in a row the loop looks
 * out for the next one for a moment, others of the processor first, before it sleeps. One that does
 * not come in that moment ends it. */
void turn_wait_awake_for(struct turn *turn, int fd);

/* It will not run. Before the object it lives in is freed. */
void turn_cancel(struct deferred *deferred);

static inline bool deferred_waits(const struct deferred *deferred)
{
    return deferred->list != NULL;
}

#endif
