/*
 * The UPDATE state of POP3 (RFC 1939 6): what QUIT does to the Maildir, and nothing else does.
 * pop3d-maildrop.
 */
#ifndef POP3D_MAILDROP_UPDATE_H
#define POP3D_MAILDROP_UPDATE_H

#include "common/config/config.h"
#include "pop3d/maildrop_list.h"

struct maildrop_updated {
    size_t removed;
    size_t failed; /* marked as deleted, but still there */
    size_t seen;   /* got \Seen, since they were retrieved and stay */
    /* Removed files, still open: their space is given back when they are closed, which can wait for
     * the disk (ext4 with `discard`: 0.3 to 5 ms each), and the client need not. */
    int *held;
    size_t held_count;
    size_t held_most;
};

/* After the answer. May run twice, and on a zeroed struct. */
void maildrop_updated_release(struct maildrop_updated *updated);

/* Removes (or keeps for a while, storage/expunged.h) what is marked, and what the configuration
 * wants removed after it was retrieved whole; marks as seen what was retrieved and stays. Removals
 * are on disk when it returns true. False if any could not be removed or flushed: *error is the
 * first reason. `inbox` is the list's folder. */
bool maildrop_update(struct maildrop_list *list, const struct config *config, int64_t now,
                     struct maildrop_updated *updated, struct error *error);

#endif
