/* The end of a turn of the event loop; see turn.h. Any process. */
#include "common/role/turn.h"

#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <time.h>

#include <utlist.h>

uint64_t turn_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t turn_now_ms(void)
{
    return turn_now_ns() / 1000000;
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

/* ---- waiting awake ---- */

enum {
    QUICK_NS = 200 * 1000, /* a wait that another machine's answer is not likely to end */
    QUICK_WAITS = 8,       /* in a row: then the next one is awake */
    AWAKE_NS = 100 * 1000,
};

static bool comes_soon(int fd, uint64_t until_ns)
{
    struct pollfd waited = {.fd = fd, .events = POLLIN};
    while (poll(&waited, 1, 0) == 0) {
        if (turn_now_ns() >= until_ns)
            return false;
        sched_yield();
    }
    return true;
}

static void begin_to_wait(struct turn_waking *waking)
{
    uint64_t now = turn_now_ns();
    waking->asleep_ns = 0;
    if (waking->quick < QUICK_WAITS)
        waking->asleep_ns = now;
    else if (!comes_soon(waking->fd, now + AWAKE_NS))
        waking->quick = 0;
}

static void end_waiting(struct turn_waking *waking)
{
    if (waking->asleep_ns == 0)
        return;
    waking->quick = turn_now_ns() - waking->asleep_ns < QUICK_NS ? waking->quick + 1 : 0;
}

void turn_wait_awake_for(struct turn *turn, int fd)
{
    turn->waking = (struct turn_waking){.fd = fd};
}

/* ---- the ends of a turn ---- */

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
    else if (turn->waking.fd >= 0)
        begin_to_wait(&turn->waking);
}

/* Runs what waited when the turn began; what is put off meanwhile stands after it. */
static void on_after_wait(struct ev_loop *loop, ev_check *watcher, int events)
{
    (void)loop;
    (void)events;
    struct turn *turn = watcher->data;
    ev_idle_stop(turn->loop, &turn->no_wait);
    end_waiting(&turn->waking);
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
    *turn = (struct turn){.loop = loop, .waking = {.fd = -1}};
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
