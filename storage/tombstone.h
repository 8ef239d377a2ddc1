/*
 * A message that is removed within a day of its delivery leaves an empty file in INBOX/tmp/,
 *
 *     <its name up to the first comma>.gone
 *
 * made before the message is removed. Its queue record may still exist (if the queue died before it
 * dropped the record); a repeated delivery then finds the tombstone and does not bring the message
 * back. Every process that removes a message file must make one; the storage calls do so
 * themselves.
 */
#ifndef STORAGE_TOMBSTONE_H
#define STORAGE_TOMBSTONE_H

#include "storage/maildir.h"
#include "storage/maildir_name.h"

enum {
    TOMBSTONE_YOUNG_SECONDS = 24 * 3600,
    TOMBSTONE_SECONDS = 7 * 24 * 3600, /* then maildir_sweep() removes it */
};

/* Whether deliver wrote this message (by its name) within the last day (by its mtime, as a message
 * may have been queued for days). Only such a message can be delivered again, and only its octets
 * may not be on disk yet. */
bool tombstone_is_young(const struct maildir_name *name, const struct stat *status, int64_t now);

/* Tombstones made soon after each other share one inode: the first is a file, the others are links
 * to it. On ext4 a new inode is slow if many were freed within the last 5 s, as is the case here
 * (measured: 450 us against 15 for a link). Begins zeroed, and may live as long as the process:
 * after a minute a new file is begun, since all links have the age of their file. */
struct tombstone_batch {
    char first[MAILDIR_NAME_SIZE];
    int64_t begun; /* seconds since 1970 */
};

/* Makes a tombstone in the account's INBOX; it may exist already. */
bool tombstone_make(const struct maildir *inbox, struct slice unique, int64_t now,
                    struct tombstone_batch *batch, struct error *error);

/* Makes one for a message of a folder, if it is young; a message that no longer exists needs none.
 * False only if a needed one could not be made: then the message must not be removed. */
bool tombstone_make_if_young(const struct maildir *inbox, const struct maildir *box,
                             enum maildir_place place, const char *name, int64_t now,
                             struct tombstone_batch *batch, struct error *error);

bool tombstone_exists(const struct maildir *inbox, struct slice unique, bool *exists,
                      struct error *error);

/* Whether the name ends in ".gone". */
bool tombstone_is_name(const char *name);

/* The unique part of a name that deliver makes: "Q<queue id>R<recipient number>". */
enum { DELIVERED_UNIQUE_SIZE = MAILDIR_UNIQUE_MAX + 1 };
bool delivered_unique_format(const char *queue_id, uint32_t recipient,
                             char unique[DELIVERED_UNIQUE_SIZE]);
bool delivered_unique_is_one(const struct maildir_name *name);

/* Whether APPEND made this name ("A" and 16 hexadecimal digits) within the last day. */
bool appended_is_young(const struct maildir_name *name, int64_t now);

/* Checks a young message against the size in its name: after a power cut a file may exist without
 * its octets. False, with ERROR_TEMPORARY: the sizes differ. The queue has a record of every
 * message until it is certain to be on disk, and will have this one written again; until then it
 * must not be read. After a day there is no record, and the file is accepted as it is. A message of
 * an APPEND that is too short was not answered with OK, and is set aside when the mailbox next
 * reads the folder. */
bool delivered_check_whole(const char *name, const struct stat *status, int64_t now,
                           struct error *error);

#endif
