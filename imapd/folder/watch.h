/*
 * Changes in folders that other processes make (deliver, maildrop, other programs): by inotify, or
 * where there is none (128 instances a uid, file systems that announce nothing) by a look at the
 * directories each second. One a mailbox; it reports, folders decide.
 *
 * inotify wants paths: the process stands in the account's directory.
 */
#ifndef IMAPD_FOLDER_WATCH_H
#define IMAPD_FOLDER_WATCH_H

#include <ev.h>

#include "common/error.h"
#include "storage/maildir.h"

struct watched;

struct watched_handler {
    /* A file of that name came, or was renamed to it, a while ago: it may have gone since. */
    void (*on_name)(struct watched *watched, enum maildir_place place, const char *name);
    /* A file of that name went, or was renamed. */
    void (*on_name_gone)(struct watched *watched, enum maildir_place place, const char *name);
    /* All that has happened so far has been reported. */
    void (*on_settled)(struct watched *watched);
    /* Something may have changed, nobody knows what: look yourself. */
    void (*on_suspicion)(struct watched *watched);
};

/* One folder. It may be removed in its own handlers, but not freed. */
struct watched {
    struct watched *prev;
    struct watched *next;
    const struct watched_handler *handler;
    int ids[2];   /* of enum maildir_place; -1: inotify does not tell of it */
    bool told;    /* something was reported since the last on_settled */
    bool present; /* in the watch's list */
};

struct watch {
    struct ev_loop *loop;
    int fd; /* inotify; -1: there is none */
    ev_io readable;
    ev_timer each_second; /* runs while a folder is watched without inotify */
    struct watched *folders;
    unsigned without_inotify; /* folders of which inotify does not tell */
};

/* Cannot fail: without inotify it does without. `announced`: the file system tells of changes. */
void watch_init(struct watch *watch, struct ev_loop *loop, bool announced);
void watch_clear(struct watch *watch); /* may run twice */

/* `folder` is the name on disk. What happened before is the caller's to find, after this call. */
void watch_add(struct watch *watch, struct watched *watched, const struct watched_handler *handler,
               const char *folder);
void watch_remove(struct watch *watch, struct watched *watched); /* may run twice */

/* inotify tells of it. */
static inline bool watch_is_told(const struct watched *watched)
{
    return watched->present && watched->ids[MAILDIR_NEW] >= 0;
}

/* Reports what has happened so far without waiting for the loop, before a client is told what there
 * is. */
void watch_poll(struct watch *watch);

#endif
