/*
 * Watches folders for changes by other processes (deliver, maildrop, other programs): by inotify,
 * or if that is not available (128 instances per uid, file systems that report no changes) by
 * checking the directories each second. One per mailbox. It only reports; the folder decides what
 * to do.
 *
 * inotify needs paths: they are relative to the account's directory, the working directory.
 */
#ifndef IMAPD_FOLDER_WATCH_H
#define IMAPD_FOLDER_WATCH_H

#include <ev.h>

#include "common/error.h"
#include "storage/maildir.h"

struct watched;

struct watched_handler {
    /* A file with this name was created or renamed to it; it may be gone again by now. */
    void (*on_name)(struct watched *watched, enum maildir_place place, const char *name);
    /* The file with this name was removed or renamed. */
    void (*on_name_gone)(struct watched *watched, enum maildir_place place, const char *name);
    /* All changes so far have been reported. */
    void (*on_settled)(struct watched *watched);
    /* Something unknown may have changed: the handler must look for itself. */
    void (*on_suspicion)(struct watched *watched);
};

/* One watched folder. Its handlers may remove it from the watch, but not free it. */
struct watched {
    struct watched *prev;
    struct watched *next;
    const struct watched_handler *handler;
    int ids[2];   /* inotify watches by enum maildir_place; -1: not watched by inotify */
    bool told;    /* something was reported since the last on_settled */
    bool present; /* in the watch's list */
};

struct watch {
    struct ev_loop *loop;
    int fd; /* inotify; -1: not available */
    ev_io readable;
    ev_timer each_second; /* runs while a folder is watched without inotify */
    struct watched *folders;
    unsigned without_inotify; /* number of folders not watched by inotify */
};

/* Cannot fail: without inotify it polls. `announced`: the file system reports changes. */
void watch_init(struct watch *watch, struct ev_loop *loop, bool announced);
void watch_clear(struct watch *watch); /* may run twice */

/* `folder` is the directory name. The caller must read the directories after this call to find
 * earlier changes. */
void watch_add(struct watch *watch, struct watched *watched, const struct watched_handler *handler,
               const char *folder);
void watch_remove(struct watch *watch, struct watched *watched); /* may run twice */

/* Whether inotify watches the folder. */
static inline bool watch_is_told(const struct watched *watched)
{
    return watched->present && watched->ids[MAILDIR_NEW] >= 0;
}

/* Reports all changes so far without waiting for the event loop; to be called before a client is
 * told the folder's state. */
void watch_poll(struct watch *watch);

#endif
