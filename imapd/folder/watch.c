/* inotify, and polling in its place; see watch.h. */
#include "imapd/folder/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "storage/maildir_name.h"

enum {
    COMING = IN_CREATE | IN_MOVED_TO,
    GOING = IN_DELETE | IN_MOVED_FROM,
    EVENTS_OCTETS = 16384,
};

static struct watched *find_watched(const struct watch *watch, int id, enum maildir_place *place)
{
    struct watched *each;
    DL_FOREACH (watch->folders, each) {
        for (int i = 0; i < 2; i++) {
            if (each->ids[i] == id) {
                *place = (enum maildir_place)i;
                return each;
            }
        }
    }
    return NULL;
}

static void suspect_all(struct watch *watch)
{
    struct watched *each, *next;
    DL_FOREACH_SAFE (watch->folders, each, next)
        each->handler->on_suspicion(each);
}

static void suspect_untold(struct watch *watch)
{
    struct watched *each, *next;
    DL_FOREACH_SAFE (watch->folders, each, next) {
        if (each->ids[MAILDIR_NEW] < 0)
            each->handler->on_suspicion(each);
    }
}

static void report(struct watch *watch, const struct inotify_event *event)
{
    enum maildir_place place;
    if (event->mask & IN_Q_OVERFLOW) {
        suspect_all(watch);
        return;
    }
    struct watched *watched = find_watched(watch, event->wd, &place);
    if (!watched || event->len == 0)
        return;
    watched->told = true;
    if (event->mask & COMING)
        watched->handler->on_name(watched, place, event->name);
    else if (event->mask & GOING)
        watched->handler->on_name_gone(watched, place, event->name);
}

static void report_settled(struct watch *watch)
{
    struct watched *each, *next;
    DL_FOREACH_SAFE (watch->folders, each, next) {
        if (!each->told)
            continue;
        each->told = false;
        each->handler->on_settled(each);
    }
}

static bool read_events(struct watch *watch)
{
    alignas(struct inotify_event) uint8_t events[EVENTS_OCTETS];
    ssize_t octets = read(watch->fd, events, sizeof(events));
    if (octets < 0)
        return errno == EINTR;
    for (size_t at = 0; at < (size_t)octets;) {
        const struct inotify_event *event = (const void *)(events + at);
        report(watch, event);
        at += sizeof(*event) + event->len;
    }
    return octets > 0;
}

/* Many events are read in parts; a rename may be split across two, so only the last one settles. */
static void take_events(struct watch *watch)
{
    enum { MOST_READS = 64 };
    for (int i = 0; i < MOST_READS; i++) {
        if (read_events(watch))
            continue;
        report_settled(watch);
        return;
    }
}

void watch_poll(struct watch *watch)
{
    if (watch->fd >= 0)
        take_events(watch);
    if (watch->without_inotify > 0)
        suspect_untold(watch);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    take_events(watcher->data);
}

static void on_second(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    suspect_untold(watcher->data);
}

void watch_init(struct watch *watch, struct ev_loop *loop, bool announced)
{
    *watch = (struct watch){.loop = loop, .fd = -1};
    if (announced)
        watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    ev_io_init(&watch->readable, on_readable, watch->fd, EV_READ);
    ev_timer_init(&watch->each_second, on_second, 1.0, 1.0);
    watch->readable.data = watch->each_second.data = watch;
    if (watch->fd >= 0)
        ev_io_start(loop, &watch->readable);
}

void watch_clear(struct watch *watch)
{
    if (!watch->loop)
        return;
    while (watch->folders)
        watch_remove(watch, watch->folders);
    ev_io_stop(watch->loop, &watch->readable);
    ev_timer_stop(watch->loop, &watch->each_second);
    fd_discard(&watch->fd);
    watch->loop = NULL;
}

static int watch_directory(const struct watch *watch, const char *folder, const char *place)
{
    char path[MAILDIR_NAME_SIZE + sizeof("/new")];
    snprintf(path, sizeof(path), "%s/%s", folder, place);
    return inotify_add_watch(watch->fd, path, COMING | GOING | IN_ONLYDIR | IN_DONT_FOLLOW);
}

/* Both directories or none. */
static void watch_by_inotify(const struct watch *watch, struct watched *watched, const char *folder)
{
    if (watch->fd < 0)
        return;
    watched->ids[MAILDIR_NEW] = watch_directory(watch, folder, "new");
    watched->ids[MAILDIR_CUR] = watch_directory(watch, folder, "cur");
    if (watched->ids[MAILDIR_NEW] >= 0 && watched->ids[MAILDIR_CUR] >= 0)
        return;
    for (int i = 0; i < 2; i++) {
        if (watched->ids[i] >= 0)
            inotify_rm_watch(watch->fd, watched->ids[i]);
        watched->ids[i] = -1;
    }
}

void watch_add(struct watch *watch, struct watched *watched, const struct watched_handler *handler,
               const char *folder)
{
    *watched = (struct watched){.handler = handler, .ids = {-1, -1}, .present = true};
    watch_by_inotify(watch, watched, folder);
    DL_APPEND(watch->folders, watched);
    if (watched->ids[MAILDIR_NEW] < 0 && watch->without_inotify++ == 0)
        ev_timer_again(watch->loop, &watch->each_second);
}

void watch_remove(struct watch *watch, struct watched *watched)
{
    if (!watched->present)
        return;
    watched->present = false;
    DL_DELETE(watch->folders, watched);
    for (int i = 0; i < 2; i++) {
        if (watched->ids[i] >= 0)
            inotify_rm_watch(watch->fd, watched->ids[i]);
    }
    if (watched->ids[MAILDIR_NEW] < 0 && --watch->without_inotify == 0)
        ev_timer_stop(watch->loop, &watch->each_second);
}
