/*
 * Implements the event structs of libunbound with libev watchers; see unbound_loop.h. As in its own
 * event loop, a timer fires once, and a watch of a descriptor ends with its first event unless it
 * is persistent. A callback may free its event: nothing is touched after it.
 */
#include "common/dns/unbound_loop.h"

#include <stdlib.h>
#include <sys/time.h>

#include <unbound-event.h>
#include <unbound.h>

typedef void event_callback(int fd, short bits, void *owner);

struct unbound_loop {
    struct ub_event_base base; /* first */
    struct ev_loop *loop;
    struct ub_ctx *context;
};

struct loop_event {
    struct ub_event event; /* first */
    struct ev_loop *loop;
    event_callback *callback;
    void *owner;
    int fd;
    short bits; /* UB_EV_ */
    ev_io io;
    ev_timer timer;
};

static struct loop_event *of(struct ub_event *event)
{
    return (struct loop_event *)event;
}

static void stop(struct loop_event *event)
{
    ev_io_stop(event->loop, &event->io);
    ev_timer_stop(event->loop, &event->timer);
}

static void on_io(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct loop_event *event = watcher->data;
    short bits =
        (short)(((events & EV_READ) ? UB_EV_READ : 0) | ((events & EV_WRITE) ? UB_EV_WRITE : 0));
    if (!(event->bits & UB_EV_PERSIST))
        stop(event);
    event->callback(event->fd, bits, event->owner);
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct loop_event *event = watcher->data;
    event->callback(event->fd, UB_EV_TIMEOUT, event->owner);
}

static void start_timer(struct loop_event *event, const struct timeval *wait)
{
    ev_timer_stop(event->loop, &event->timer);
    ev_timer_set(&event->timer, (double)wait->tv_sec + (double)wait->tv_usec / 1e6, 0.0);
    ev_timer_start(event->loop, &event->timer);
}

static void add_bits(struct ub_event *ub, short bits)
{
    of(ub)->bits |= bits;
}

static void del_bits(struct ub_event *ub, short bits)
{
    of(ub)->bits = (short)(of(ub)->bits & ~bits);
}

static void set_fd(struct ub_event *ub, int fd)
{
    of(ub)->fd = fd;
}

static void free_event(struct ub_event *ub)
{
    stop(of(ub));
    free(ub);
}

static int add(struct ub_event *ub, struct timeval *wait)
{
    struct loop_event *event = of(ub);
    int events =
        ((event->bits & UB_EV_READ) ? EV_READ : 0) | ((event->bits & UB_EV_WRITE) ? EV_WRITE : 0);
    stop(event);
    if (events != 0 && event->fd >= 0) {
        ev_io_set(&event->io, event->fd, events);
        ev_io_start(event->loop, &event->io);
    }
    if ((event->bits & UB_EV_TIMEOUT) && wait)
        start_timer(event, wait);
    return 0;
}

static int del(struct ub_event *ub)
{
    stop(of(ub));
    return 0;
}

static int add_timer(struct ub_event *ub, struct ub_event_base *base, event_callback *callback,
                     void *owner, struct timeval *wait)
{
    (void)base;
    struct loop_event *event = of(ub);
    event->callback = callback;
    event->owner = owner;
    start_timer(event, wait);
    return 0;
}

static int del_timer(struct ub_event *ub)
{
    ev_timer_stop(of(ub)->loop, &of(ub)->timer);
    return 0;
}

static struct ub_event_vmt event_calls = {
    .add_bits = add_bits,
    .del_bits = del_bits,
    .set_fd = set_fd,
    .free = free_event,
    .add = add,
    .del = del,
    .add_timer = add_timer,
    .del_timer = del_timer,
};

static struct ub_event *new_event(struct ub_event_base *base, int fd, short bits,
                                  event_callback *callback, void *owner)
{
    struct loop_event *event = calloc(1, sizeof(*event));
    if (!event)
        return NULL;
    event->event = (struct ub_event){.magic = UB_EVENT_MAGIC, .vmt = &event_calls};
    event->loop = ((struct unbound_loop *)base)->loop;
    event->callback = callback;
    event->owner = owner;
    event->fd = fd;
    event->bits = bits;
    ev_init(&event->io, on_io);
    ev_init(&event->timer, on_timer);
    event->io.data = event->timer.data = event;
    return &event->event;
}

struct unbound_loop *unbound_loop_new(struct ev_loop *loop)
{
    static struct ub_event_base_vmt base_calls = {.new_event = new_event};
    struct unbound_loop *made = calloc(1, sizeof(*made));
    if (!made)
        return NULL;
    made->base = (struct ub_event_base){.magic = UB_EVENT_MAGIC, .vmt = &base_calls};
    made->loop = loop;
    made->context = ub_ctx_create_ub_event(&made->base);
    if (made->context)
        return made;
    free(made);
    return NULL;
}

void unbound_loop_free(struct unbound_loop *loop)
{
    if (!loop)
        return;
    ub_ctx_delete(loop->context);
    free(loop);
}

struct ub_ctx *unbound_loop_context(struct unbound_loop *loop)
{
    return loop->context;
}
