/*
 * Expunged messages that can be recovered: the mailbox named by undo.mailbox, and below it the
 * deleted folders (storage/expunged.h). For clients they are ordinary mailboxes, except that
 * nothing can be added to them, and a message expunged there is gone for good.
 *
 * Messages expire when the account is opened, once a day while it is open, and when they outgrow
 * their quota. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_UNDO_H
#define IMAPD_FOLDER_UNDO_H

#include "common/role/turn.h"
#include "storage/expunged.h"
#include "storage/folder_record.h"

struct folder;
struct mailbox;
struct message;

struct undo {
    struct mailbox *mailbox; /* borrowed */
    const char *name;        /* of the undo mailbox; NULL: nothing is kept, or a folder of the
                                account has that name */
    struct expunged_limits limits;
    struct expunged expunged;
    uint64_t octets; /* kept; valid if `counted` */
    bool counted;
    struct expunged_sweep sweep;
    bool sweeping;
    struct deferred in_next_turn;
    ev_timer daily;

    /* Keyword mapping of the folder that messages are expunged from; valid until the end of the
     * turn, after which others may change the record or free the folder. */
    struct deferred at_turn_end;
    const struct folder *from;
    uint8_t letters[FOLDER_KEYWORDS]; /* 1 + the letter in the undo mailbox */
    struct folder_record record;      /* of the undo mailbox, while it is not open as a folder */
    bool record_loaded;
};

/* To be called when the mailbox is opened; after a reload, undo_stop() and then this again. */
void undo_start(struct undo *undo, struct mailbox *mailbox);
void undo_stop(struct undo *undo); /* may run twice, and on a zeroed struct */

/* Whether messages expunged from this folder are kept. */
bool undo_keeps(const struct undo *undo, const struct folder *folder);

/* Moves the message's file out of the folder; the caller updates the folder. Errors as from
 * maildir_remove_one_of(). */
bool undo_keep(struct undo *undo, struct folder *folder, const struct message *message,
               struct error *error);

/* To be called with maildir_flush_removed(), before a client is told. */
bool undo_flush(struct undo *undo, struct error *error);
/* The directory to flush, for a caller that flushes in parallel; borrowed; -1: nothing was kept. */
int undo_unflushed_fd(const struct undo *undo);

/* Keeps a deleted folder; otherwise like folders_delete(). */
bool undo_keep_folder(struct undo *undo, const char *directory, struct error *error);

/* Whether this is the undo mailbox or below it: no client may create or fill such a mailbox. */
bool undo_is_name(const struct undo *undo, struct slice name);

#endif
