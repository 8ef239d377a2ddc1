/*
 * The UPDATE state of POP3 (RFC 1939 6): the changes to the Maildir that only QUIT makes.
 * pop3d-maildrop.
 */
#ifndef POP3D_MAILDROP_UPDATE_H
#define POP3D_MAILDROP_UPDATE_H

#include "common/config/config.h"
#include "pop3d/maildrop_list.h"

struct maildrop_updated {
    size_t removed;
    size_t failed; /* marked as deleted, but still there */
    size_t seen;   /* retrieved, not removed, and marked \Seen */
    /* Removed files, still open: closing frees their space, which may wait for the disk (ext4 with
     * `discard`: 0.3 to 5 ms each), and is done after the client was answered. */
    int *held;
    size_t held_count;
    size_t held_most;
};

/* To be called after the answer. May run twice, and on a zeroed struct. */
void maildrop_updated_release(struct maildrop_updated *updated);

/* Removes (or keeps for a while, storage/expunged.h) messages marked as deleted, and those that the
 * configuration wants removed after they were retrieved whole; marks the other retrieved ones as
 * seen. When it returns true, removals are on disk. False: some could not be removed or flushed;
 * *error is the first reason. The folder is the list's `box`. */
bool maildrop_update(struct maildrop_list *list, const struct config *config, int64_t now,
                     struct maildrop_updated *updated, struct error *error);

#endif
