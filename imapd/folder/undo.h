/*
 * What was expunged and can be had back: the mailbox that undo.mailbox names, and below it the
 * folders that were deleted (storage/expunged.h). To clients they are mailboxes like others, but
 * that nothing can be put into them, and that what is expunged there is gone.
 *
 * It expires: when the account is opened, once a day while it is, and when it outgrows its quota.
 * imapd-mailbox.
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
    const char *name;        /* of the mailbox, or NULL: a folder of the account has that name, or
                                nothing is kept */
    struct expunged_limits limits;
    struct expunged expunged;
    uint64_t octets; /* kept, once they were */
    bool counted;
    struct expunged_sweep sweep;
    bool sweeping;
    struct deferred in_next_turn;
    ev_timer daily;

    /* The keywords of the folder that is expunged from, until the end of the turn: then others may
     * change the record, and free the folder. */
    struct deferred at_turn_end;
    const struct folder *from;
    uint8_t letters[FOLDER_KEYWORDS]; /* 1 + the letter there */
    struct folder_record record;      /* of the directory, while nobody has it open */
    bool record_loaded;
};

/* With the mailbox, and again, stopped in between, where the configuration is another one. */
void undo_start(struct undo *undo, struct mailbox *mailbox);
void undo_stop(struct undo *undo); /* may run twice, and on a zeroed struct */

/* What is expunged from that folder is kept. */
bool undo_keeps(const struct undo *undo, const struct folder *folder);

/* The message's file leaves the folder; the rest is the folder's. As maildir_remove_one_of. */
bool undo_keep(struct undo *undo, struct folder *folder, const struct message *message,
               struct error *error);

/* Before anybody is told, beside maildir_flush_removed. */
bool undo_flush(struct undo *undo, struct error *error);
/* For a caller that flushes side by side: the directory of that, borrowed; -1: nothing was kept. */
int undo_unflushed_fd(const struct undo *undo);

/* As folders_delete. */
bool undo_keep_folder(struct undo *undo, const char *directory, struct error *error);

/* That name or below it: made and filled by nobody but us. */
bool undo_is_name(const struct undo *undo, struct slice name);

#endif
