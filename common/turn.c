/* The end of a turn of the event loop; see turn.h. Any process. */
#include "common/turn.h"

#include <stddef.h>
#include <time.h>

#include <utlist.h>

uint64_t turn_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void wait_in(struct deferred **list, struct deferred *deferred)
{
    if (deferred_waits(deferred))
        return;
    deferred->list = list;
    DL_APPEND(*list, deferred);
}

static void run_first(struct deferred **list)
{
    struct deferred *deferred = *list;
    turn_cancel(deferred);
    deferred->run(deferred);
}

/* libev calls prepare watchers when no event is pending, just before it polls. */
static void on_before_wait(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    struct turn *turn = watcher->data;
    while (turn->at_end)
        run_first(&turn->at_end);
    if (turn->in_next)
        ev_idle_start(turn->loop, &turn->no_wait);
}

/* Runs what waited when the turn began; what is put off meanwhile stands behind it. */
static void on_after_wait(struct ev_loop *loop, ev_check *watcher, int events)
{
    (void)loop;
    (void)events;
    struct turn *turn = watcher->data;
    ev_idle_stop(turn->loop, &turn->no_wait);
    struct deferred *due = turn->in_next;
    turn->in_next = NULL;
    struct deferred *each;
    DL_FOREACH (due, each)
        each->list = &due;
    while (due)
        run_first(&due);
}

/* An active idle watcher is what keeps libev from waiting; the work is done after the poll, since
 * idle handlers starve as long as there are events. */
static void on_idle(struct ev_loop *loop, ev_idle *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
}

void turn_init(struct turn *turn, struct ev_loop *loop)
{
    *turn = (struct turn){.loop = loop};
    ev_prepare_init(&turn->before_wait, on_before_wait);
    ev_check_init(&turn->after_wait, on_after_wait);
    ev_idle_init(&turn->no_wait, on_idle);
    turn->before_wait.data = turn->after_wait.data = turn;
    /* The end of the turn comes after every other prepare handler. */
    ev_set_priority(&turn->before_wait, EV_MINPRI);
    ev_prepare_start(loop, &turn->before_wait);
    ev_check_start(loop, &turn->after_wait);
    ev_unref(loop);
    ev_unref(loop);
}

void turn_clear(struct turn *turn)
{
    if (!turn->loop)
        return;
    while (turn->at_end)
        turn_cancel(turn->at_end);
    while (turn->in_next)
        turn_cancel(turn->in_next);
    ev_ref(turn->loop);
    ev_ref(turn->loop);
    ev_prepare_stop(turn->loop, &turn->before_wait);
    ev_check_stop(turn->loop, &turn->after_wait);
    ev_idle_stop(turn->loop, &turn->no_wait);
    turn->loop = NULL;
}

void turn_defer(struct turn *turn, struct deferred *deferred)
{
    wait_in(&turn->at_end, deferred);
}

void turn_again(struct turn *turn, struct deferred *deferred)
{
    wait_in(&turn->in_next, deferred);
}

void turn_cancel(struct deferred *deferred)
{
    if (!deferred_waits(deferred))
        return;
    DL_DELETE(*deferred->list, deferred);
    deferred->list = NULL;
}
