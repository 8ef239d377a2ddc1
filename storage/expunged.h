/*
 * Keeps expunged messages for a while, for users who expunged too much. They are in a directory of
 * the account whose name does not begin with a dot, so that no Maildir++ program takes it for a
 * folder. Its contents look like an account, so the calls that open folders work in it:
 *
 *     staffetta-expunged/cur/    messages of all folders
 *     staffetta-expunged/.A.B/   a deleted folder, whole and with its record
 *
 * A message gets there by the rename that takes it out of its folder, under a new name
 *
 *     <when>.<unique, with its EMAILID>.<host>,S=<octets>,W=<octets>:2,<flags but \Deleted>
 *
 * without a UID: the process that opens the directory gives it one. `when` is the time of the
 * expunge, and so the SAVEDATE. A delivered message keeps its queue id, so that an incomplete file
 * is recognised until the message is certain to be on disk (delivered_check_whole()). It leaves a
 * tombstone like a removed message, since a repeated delivery does not look for it here.
 *
 * mailbox and maildrop. Blocking file I/O; the sweep works in slices.
 */
#ifndef STORAGE_EXPUNGED_H
#define STORAGE_EXPUNGED_H

#include "storage/folders.h"
#include "storage/maildir_store.h"
#include "storage/quota.h"

#define EXPUNGED_DIRECTORY "staffetta-expunged"

/* Whether this is the directory or a folder in it, where messages are removed for good. */
bool expunged_holds(const char *directory);

/* The path for a deleted folder with this directory name: "staffetta-expunged/.A". False: too long.
 */
bool expunged_path(const char *directory, char path[MAILDIR_NAME_SIZE]);

/* ---- keeping ---- */

struct expunged {
    struct maildir box; /* opened, and created if need be, for the first message */
    struct maildir_uniques uniques;
};

#define EXPUNGED_CLOSED                                                                            \
    (struct expunged)                                                                              \
    {                                                                                              \
        .box = MAILDIR_CLOSED                                                                      \
    }

bool expunged_open(struct expunged *expunged, const struct maildir *inbox, struct error *error);
void expunged_close(struct expunged *expunged); /* may run twice */

struct expunged_message {
    const struct maildir *box; /* the folder it is in */
    enum maildir_place place;
    const char *name;
    uint32_t letters; /* its keywords, by the record of EXPUNGED_DIRECTORY */
    struct slice host;
    int64_t now;
};

/* Instead of maildir_remove_one_of(), with the same errors. On a full disk the message is removed
 * for good, since a user who expunges then wants room. */
bool expunged_keep(struct expunged *expunged, const struct maildir *inbox,
                   const struct expunged_message *message, struct tombstone_batch *batch,
                   struct error *error);

/* To be called with maildir_flush_removed(). */
bool expunged_flush(const struct expunged *expunged, struct error *error);

/* Instead of folders_delete(), with the same errors. An empty folder is not kept. If a folder of
 * the same name is kept already, this one gets a number after its name. */
bool expunged_keep_folder(struct expunged *expunged, const struct maildir *inbox,
                          const char *directory, int64_t now, struct error *error);

/* Restores a deleted folder, and all whose names are below it; errors as from folders_rename().
 * `path` is from expunged_path(). */
bool expunged_restore_folder(const struct maildir *inbox, const char *path, const char *to,
                             struct error *error);

/* Adds up the mail that a restore of this folder would put back, for the quota. */
bool expunged_count_folder(int account_fd, const char *path, struct quota_usage *usage,
                           struct error *error);

/* ---- looking ---- */

/* Appends the directory and the deleted folders in it, in no order; nothing if there is no
 * directory. `mailbox` is the user's name for it; a folder in it is named "<mailbox>/A". */
bool expunged_list(int account_fd, const char *mailbox, struct folder_list *list,
                   struct error *error);

/* ---- expiry ---- */

struct expunged_limits {
    int64_t seconds; /* how long messages are kept; 0: not at all, and kept ones are removed */
    uint64_t octets; /* 0: no limit; else the oldest are removed first */
};

struct config_undo;
struct expunged_limits expunged_limits_of(const struct config_undo *config);

struct expunged_item;

struct expunged_sweep {
    struct expunged_limits limits;
    int64_t now;
    struct expunged_item *items; /* oldest first */
    size_t count;
    size_t going; /* how many of them are to be removed */
    size_t next;
    uint64_t octets; /* of the items that stay */
    struct arena names;
};

/* How often a sweep is due. */
int64_t expunged_sweep_seconds(const struct expunged_limits *limits);

/* Whether there is something to sweep and the last sweep is more than expunged_sweep_seconds() ago.
 */
bool expunged_sweep_is_due(int account_fd, const struct expunged_limits *limits, int64_t now);

/* Finds what must be removed. On failure the sweep is cleared. */
bool expunged_sweep_begin(struct expunged_sweep *sweep, int account_fd,
                          const struct expunged_limits *limits, int64_t now, struct error *error);

/* Removes some of it. *folder is a deleted folder that was removed, valid until the next call, or
 * NULL. False: done; what could not be removed is left for the next sweep. */
bool expunged_sweep_step(struct expunged_sweep *sweep, const struct maildir *inbox,
                         const char **folder);
void expunged_sweep_clear(struct expunged_sweep *sweep); /* may run twice, and on a zeroed struct */

#endif
