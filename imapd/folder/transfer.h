/*
 * Copies or moves messages to another folder, one at a time, and records their UIDs in both: COPY,
 * MOVE, RENAME of INBOX (RFC 3501 6.4.7, 6.3.5, RFC 6851). imapd-mailbox.
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
    struct sequence_set from_uids; /* UIDs of the transferred messages, in the order of transfer */
    struct sequence_set to_uids;   /* their UIDs in `to`, in the same order */
    uint8_t letters[FOLDER_KEYWORDS]; /* maps keyword letters of `from` to `to`; see transfer.c */
};

/* Takes over one use of `to`. */
void transfer_begin(struct transfer *transfer, struct folder *from, struct folder *to, bool move,
                    struct arena *arena);

/* ERROR_NOT_FOUND: the message was removed. A copy counts against the quota, a move does not. */
bool transfer_one(struct transfer *transfer, uint32_t uid, struct error *error);

/* When it returns true, all transferred messages are on disk. */
bool transfer_commit(struct transfer *transfer, struct error *error);
/* For a caller that flushes in parallel: see maildir_flush_list(). */
bool transfer_list_unflushed(const struct transfer *transfer, int fds[MAILDIR_FLUSH_FDS],
                             size_t *count, struct error *error);

/* Removes the copies again, as far as possible: "the server MUST restore the destination mailbox to
 * its state before the COPY attempt" (RFC 3501 6.4.7). */
void transfer_undo(struct transfer *transfer);

void transfer_end(struct transfer *transfer); /* may run twice, and on a zeroed struct */

/* "COPYUID 38505 304,319:320 3956:3958" (RFC 4315 3); nothing if no message was transferred. */
void transfer_append_code(const struct transfer *transfer, struct buffer *code);

#endif
