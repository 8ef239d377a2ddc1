/*
 * What was expunged is kept for a while, for users who expunged too much. It lies in a directory of
 * the account whose name has no dot in front, so that no Maildir++ program takes it for a folder.
 * Inside it looks like an account, so the calls that open folders open what is in it:
 *
 *     staffetta-expunged/cur/    messages, from whichever folder
 *     staffetta-expunged/.A.B/   a folder that was deleted, whole and with its record
 *
 * A message gets there by the rename that takes it out of its folder, under a new name
 *
 *     <when>.<unique, with its EMAILID>.<host>,S=<octets>,W=<octets>:2,<flags but \Deleted>
 *
 * without a UID: whoever opens the directory gives it one. `when` is the time of the expunge, and
 * so the SAVEDATE. A delivered message keeps its queue id, so that until it is certain to be on
 * disk nobody takes a half of it for the whole (delivered_check_whole). It leaves a tombstone as if
 * it were removed, since a repeated delivery does not look for it here.
 *
 * mailbox and maildrop. Blocking file I/O, save for the sweep, which goes in slices.
 */
#ifndef STORAGE_EXPUNGED_H
#define STORAGE_EXPUNGED_H

#include "storage/folders.h"
#include "storage/maildir_store.h"
#include "storage/quota.h"

#define EXPUNGED_DIRECTORY "staffetta-expunged"

/* The directory, or a folder in it: what is removed there is removed for good. */
bool expunged_holds(const char *directory);

/* The path that a deleted folder with that name on disk gets: "staffetta-expunged/.A". False if
 * that is too long. */
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
    const struct maildir *box; /* where it is */
    enum maildir_place place;
    const char *name;
    uint32_t letters; /* its keywords, by the record of EXPUNGED_DIRECTORY */
    struct slice host;
    int64_t now;
};

/* Instead of maildir_remove_one_of, and failing as that does. On a full disk the message is removed
 * for good: who expunges there wants room. */
bool expunged_keep(struct expunged *expunged, const struct maildir *inbox,
                   const struct expunged_message *message, struct tombstone_batch *batch,
                   struct error *error);

/* Beside maildir_flush_removed. */
bool expunged_flush(const struct expunged *expunged, struct error *error);

/* Instead of folders_delete, and failing as that does; a folder without messages is not kept. One
 * of the same name that is kept already stays; this one gets a number after its name. */
bool expunged_keep_folder(struct expunged *expunged, const struct maildir *inbox,
                          const char *directory, int64_t now, struct error *error);

/* Puts a deleted folder back, and all that are called as if they were below it: as folders_rename.
 * `path` is that of expunged_path. */
bool expunged_restore_folder(const struct maildir *inbox, const char *path, const char *to,
                             struct error *error);

/* How much mail a restore of that folder puts back, for the quota. */
bool expunged_count_folder(int account_fd, const char *path, struct quota_usage *usage,
                           struct error *error);

/* ---- looking ---- */

/* Appends the directory and the deleted folders in it, in no order; none if there is no directory.
 * `mailbox` is what the user calls it; a folder below it is called "<mailbox>/A". */
bool expunged_list(int account_fd, const char *mailbox, struct folder_list *list,
                   struct error *error);

/* ---- expiry ---- */

struct expunged_limits {
    int64_t seconds; /* 0: nothing is kept, and what was goes */
    uint64_t octets; /* 0: any; beyond, the oldest go first */
};

struct config_undo;
struct expunged_limits expunged_limits_of(const struct config_undo *config);

struct expunged_item;

struct expunged_sweep {
    struct expunged_limits limits;
    int64_t now;
    struct expunged_item *items; /* oldest first */
    size_t count;
    size_t going; /* so many of them */
    size_t next;
    uint64_t octets; /* of those that stay */
    struct arena names;
};

/* How often a sweep is due. */
int64_t expunged_sweep_seconds(const struct expunged_limits *limits);

/* There is something, and the last sweep is longer ago than expunged_sweep_seconds(). */
bool expunged_sweep_is_due(int account_fd, const struct expunged_limits *limits, int64_t now);

/* Finds what has to go. On failure it is cleared. */
bool expunged_sweep_begin(struct expunged_sweep *sweep, int account_fd,
                          const struct expunged_limits *limits, int64_t now, struct error *error);

/* Removes some of it. *folder is the deleted folder that went, until the next call, or NULL. False:
 * all has gone; what resists is left for the next sweep. */
bool expunged_sweep_step(struct expunged_sweep *sweep, const struct maildir *inbox,
                         const char **folder);
void expunged_sweep_clear(struct expunged_sweep *sweep); /* may run twice, and on a zeroed struct */

#endif
