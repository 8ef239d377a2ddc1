/*
 * Work at the end of an event loop's turn, after the handlers of all ready events and before the
 * loop waits again: freeing sessions that ended in their own handler, one write for many replies,
 * one commit for many messages. Also long work in slices, one slice each turn, so that events are
 * handled in between. No allocation. Any process; one struct turn for each loop.
 */
#ifndef COMMON_ROLE_TURN_H
#define COMMON_ROLE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

/* An action. Embedded in the object that it works on; zeroed, with `run` set, it is ready. */
struct deferred {
    void (*run)(struct deferred *deferred);
    struct deferred *prev;
    struct deferred *next;
    struct deferred **list; /* the list that holds it; NULL: not deferred */
};

/* See turn_wait_awake_for. */
struct turn_waking {
    int fd;             /* -1: never */
    unsigned quick;     /* waits in a row that ended soon */
    uint64_t asleep_ns; /* when the loop went to sleep; 0: it is awake */
};

struct turn {
    struct ev_loop *loop;
    struct deferred *at_end;  /* to run at the end of this turn */
    struct deferred *in_next; /* to run in the next turn, before which the loop does not sleep */
    ev_prepare before_wait;
    ev_check after_wait;
    ev_idle no_wait;
    struct turn_waking waking;
};

/* CLOCK_MONOTONIC, for deadlines: setting the system's clock does not move it. */
uint64_t turn_now_ms(void);
uint64_t turn_now_ns(void);

/* The watchers do not keep the loop alive: ev_run returns when nothing else is active. */
void turn_init(struct turn *turn, struct ev_loop *loop);
void turn_clear(struct turn *turn); /* drops deferred actions without running them; may run twice */

/* Runs the action once at the end of this turn, in the order of the calls; a second call before
 * that changes nothing. An action deferred at the end of a turn runs at the same end: one that
 * defers itself each time would never let the turn end, and must use turn_again(). */
void turn_defer(struct turn *turn, struct deferred *deferred);

/* Runs the action once in the next turn, which starts without waiting, after the events that are
 * ready. An action that is already deferred, either way, stays where it is. */
void turn_again(struct turn *turn, struct deferred *deferred);

/* For a process that serves one peer, on that descriptor; -1 ends it. If a peer on this machine
 * answers each reply at once, most of the time between two commands goes into waking this process
 * (30 to 60 us in a virtual machine). So after several quick answers in a row the loop polls for
 * the next one for a moment, yielding the processor to others, before it sleeps. An answer that
 * does not come in that moment ends the polling. */
void turn_wait_awake_for(struct turn *turn, int fd);

/* Cancels a deferred action. Call it before the object that the action is in is freed. */
void turn_cancel(struct deferred *deferred);

static inline bool deferred_waits(const struct deferred *deferred)
{
    return deferred->list != NULL;
}

#endif
