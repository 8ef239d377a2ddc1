/*
 * A message that is removed within a day of its delivery leaves an empty file in INBOX/tmp/,
 *
 *     <what stood before the first comma of its name>.gone
 *
 * made before the message goes. Its queue record may still exist (the queue died before it dropped
 * it); the repeated delivery finds the tombstone and does not bring the message back. Whoever
 * removes a message file makes it: the storage calls do so by themselves.
 */
#ifndef STORAGE_TOMBSTONE_H
#define STORAGE_TOMBSTONE_H

#include "storage/maildir.h"
#include "storage/maildir_name.h"

enum {
    TOMBSTONE_YOUNG_SECONDS = 24 * 3600,
    TOMBSTONE_SECONDS = 7 * 24 * 3600, /* then maildir_sweep removes it */
};

/* A message that deliver wrote (by its name) within the last day (by its mtime: a message may have
 * been queued for days before). Only such a message can come again, and only its octets may not be
 * on disk yet. */
bool tombstone_is_young(const struct maildir_name *name, const struct stat *status, int64_t now);

/* Tombstones that are made soon after each other share one inode: the first is a file, the others
 * are links to it. A new inode is slow on ext4 while many were freed within the last 5 s, as they
 * are here (measured: 450 us against 15 for a link). Zeroed it is ready, and may live as long as
 * the process: after a minute another file is begun, since the file's age is that of all its links.
 */
struct tombstone_batch {
    char first[MAILDIR_NAME_SIZE];
    int64_t begun; /* seconds since 1970 */
};

/* Made in the account's INBOX; one that is there already is fine. */
bool tombstone_make(const struct maildir *inbox, struct slice unique, int64_t now,
                    struct tombstone_batch *batch, struct error *error);

/* For the message with that name in that folder, if it is young; a message that is no more needs
 * none. False only where a needed one could not be made: then the message must stay. */
bool tombstone_make_if_young(const struct maildir *inbox, const struct maildir *box,
                             enum maildir_place place, const char *name, int64_t now,
                             struct tombstone_batch *batch, struct error *error);

bool tombstone_exists(const struct maildir *inbox, struct slice unique, bool *exists,
                      struct error *error);

/* ".gone" at the end. */
bool tombstone_is_name(const char *name);

/* The unique part of a name that deliver makes: "Q<queue id>R<recipient number>". */
enum { DELIVERED_UNIQUE_SIZE = MAILDIR_UNIQUE_MAX + 1 };
bool delivered_unique_format(const char *queue_id, uint32_t recipient,
                             char unique[DELIVERED_UNIQUE_SIZE]);
bool delivered_unique_is_one(const struct maildir_name *name);

/* The same of names that APPEND makes ("A" and 16 hexadecimal digits), within a day of their
 * making. */
bool appended_is_young(const struct maildir_name *name, int64_t now);

/* After a power cut a file can be there and its octets not. Queue has a record of every message
 * until it is surely on disk, and has this one written again; until then nobody may take it for the
 * message. False, with ERROR_TEMPORARY, of a young message that has not the size its name says.
 * After a day there is no record, and what is there is all there will ever be. One that APPEND
 * wrote and that is too short was not answered with OK, and is set aside when the mailbox next
 * reads the folder. */
bool delivered_check_whole(const char *name, const struct stat *status, int64_t now,
                           struct error *error);

#endif
