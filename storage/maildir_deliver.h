/*
 * Delivery: a message put together in tmp/ and renamed into new/, under a name that follows from
 * what is delivered. The same message delivered again has the same name up to its first comma:
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
    int64_t arrival;      /* when the queue took it, seconds since 1970 */
    const char *queue_id; /* letters and digits */
    uint32_t recipient;   /* its number in the message */
    struct slice host;
    uint32_t flags; /* enum maildir_flag: after ":2,", in new/ too; 0: the name ends before that */
    const struct piece *pieces; /* the whole message, header fields of this delivery in front */
    size_t piece_count;
    bool flush; /* file and directory are to be on disk before it returns: where syncfs cannot be
                   trusted (file_system.h), nobody does that later */
};

/* Where to. */
struct maildir_target {
    const struct maildir *inbox; /* of the account */
    const struct maildir *box;   /* the folder; the same where it is INBOX */
    const char *folder;          /* its name on disk */
    struct maildir_find *find;   /* of the account */
};

enum maildir_delivered {
    MAILDIR_DELIVERED, /* it lies in new/, to be seen at once */
    MAILDIR_FOUND,     /* an earlier try had delivered it, wherever the user has put it since */
    MAILDIR_GONE,      /* an earlier try had delivered it, and the user has removed it */
};

/* First try. On failure nothing is left behind. ERROR_TEMPORARY with code EDQUOT: the user's disk
 * quota. After a delivery to another folder than INBOX ask maildir_is_still: the folder may have
 * been deleted around it. */
bool maildir_deliver(const struct maildir_target *target, const struct maildir_delivery *delivery,
                     struct error *error);

/* Looks for what an earlier try delivered. It is believed only if it is, octet for octet, what
 * would be written: after a power cut it can be empty under its final name; then it is written
 * again in its place, which is MAILDIR_FOUND too. ERROR_NOT_FOUND: there was no such try, deliver
 * it. */
bool maildir_deliver_again(const struct maildir_target *target,
                           const struct maildir_delivery *delivery, enum maildir_delivered *outcome,
                           struct error *error);

#endif
