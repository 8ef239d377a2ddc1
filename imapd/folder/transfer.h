/*
 * Messages from one folder to another, one at a time, each with the UID it has there: COPY, MOVE,
 * and RENAME of INBOX (RFC 3501 6.4.7, 6.3.5, RFC 6851). imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_TRANSFER_H
#define IMAPD_FOLDER_TRANSFER_H

#include "imapd/folder/folder.h"
#include "imapd/syntax/sequence_set.h"
#include "storage/maildir_store.h"

struct transfer {
    struct folder *from; /* borrowed */
    struct folder *to;   /* one use of it, until transfer_end() */
    bool move;
    struct maildir_flush flush;
    struct sequence_set from_uids; /* what has been done, in the order in which */
    struct sequence_set to_uids;
    uint8_t letters[FOLDER_KEYWORDS]; /* of `to` for those of `from`; transfer.c knows how */
};

/* Takes over one use of `to`. */
void transfer_begin(struct transfer *transfer, struct folder *from, struct folder *to, bool move,
                    struct arena *arena);

/* ERROR_NOT_FOUND: the message is gone. It counts against the quota where it is copied, not where
 * it is moved. */
bool transfer_one(struct transfer *transfer, uint32_t uid, struct error *error);

/* What was done is on disk when it returns true. */
bool transfer_commit(struct transfer *transfer, struct error *error);
/* The same of a caller that flushes side by side: maildir_flush_list(). */
bool transfer_list_unflushed(const struct transfer *transfer, int fds[MAILDIR_FLUSH_FDS],
                             size_t *count, struct error *error);

/* Removes the copies again, so far as that can be done: "the server MUST restore the destination
 * mailbox to its state before the COPY attempt". */
void transfer_undo(struct transfer *transfer);

void transfer_end(struct transfer *transfer); /* may run twice, and on a zeroed struct */

/* "COPYUID 38505 304,319:320 3956:3958" (RFC 4315 3); nothing if nothing was done. */
void transfer_append_code(const struct transfer *transfer, struct buffer *code);

#endif
