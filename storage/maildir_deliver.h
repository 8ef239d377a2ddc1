/*
 * Delivery: writes a message in tmp/ and renames it into new/, under a name derived from the queue
 * record. The same message delivered again has the same name up to its first comma:
 *
 *     <arrival>.Q<queue id>R<recipient number>.<host>,S=<octets>,W=<octets>
 *
 * Used by deliver. Blocking file I/O.
 */
#ifndef STORAGE_MAILDIR_DELIVER_H
#define STORAGE_MAILDIR_DELIVER_H

#include "storage/file_system.h"
#include "storage/maildir.h"
#include "storage/maildir_find.h"
#include "storage/maildir_name.h"
#include "storage/pieces.h"

struct maildir_delivery {
    int64_t arrival;      /* when the queue accepted it, seconds since 1970 */
    const char *queue_id; /* letters and digits */
    uint32_t recipient;   /* its number in the message */
    struct slice host;
    uint32_t flags; /* enum maildir_flag, written after ":2," even in new/; 0: no ":2," */
    const struct piece *pieces; /* the whole message; this delivery's header fields come first */
    size_t piece_count;
    bool flush; /* flush file and directory before returning: if syncfs cannot be trusted
                   (file_system.h), they are not flushed later */
};

/* The destination. */
struct maildir_target {
    const struct maildir *inbox; /* of the account */
    const struct maildir *box;   /* the folder; equal to `inbox` for INBOX */
    const char *folder;          /* its directory name */
    struct maildir_find *find;   /* of the account */
};

enum maildir_delivered {
    MAILDIR_DELIVERED, /* it is in new/ and visible */
    MAILDIR_FOUND,     /* an earlier attempt delivered it; the user may have moved it since */
    MAILDIR_GONE,      /* an earlier attempt delivered it, and the user has removed it */
};

/* First attempt. On failure nothing is left behind. ERROR_TEMPORARY with code EDQUOT: the user's
 * disk quota. After delivery to a folder other than INBOX, call maildir_is_still(): the folder may
 * have been deleted meanwhile. */
bool maildir_deliver(const struct maildir_target *target, const struct maildir_delivery *delivery,
                     struct error *error);

/* Looks for the result of an earlier attempt. It counts only if it has exactly the octets that
 * would be written: after a power cut it can be empty under its final name; then it is rewritten in
 * place, which is MAILDIR_FOUND too. ERROR_NOT_FOUND: there was no earlier attempt; deliver it. */
bool maildir_deliver_again(const struct maildir_target *target,
                           const struct maildir_delivery *delivery, enum maildir_delivered *outcome,
                           struct error *error);

#endif
