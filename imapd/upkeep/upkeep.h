/*
 * Requests of an administrator for an account in use (`staffetta import`, `export`, `fsck`,
 * `restored`; ROLE_CONTROL), served by the account's mailbox process, since only that may write the
 * folders' records. One job at a time, in slices, so that the user's sessions go on; others are
 * queued.
 *
 *     imap ACCOUNT        "ok", then the socket is an IMAP session that has logged in
 *     fsck ACCOUNT        imapd/folder/fsck.h
 *     restored ACCOUNT    imapd/upkeep/restored.h
 *
 * imapd-mailbox.
 */
#ifndef IMAPD_UPKEEP_UPKEEP_H
#define IMAPD_UPKEEP_UPKEEP_H

#include "common/buffer.h"
#include "common/role/control.h"
#include "common/role/turn.h"
#include "storage/folders.h"

struct mailbox;

enum { UPKEEP_REPORT_MAX = 1 << 22 }; /* octets; beyond, lines are counted, not kept */

struct upkeep_job {
    struct upkeep_job *prev;
    struct upkeep_job *next;
    struct mailbox *mailbox; /* borrowed */
    /* A few milliseconds' work; false: the job is done. */
    bool (*step)(struct upkeep_job *job);
    void (*end)(struct upkeep_job *job); /* frees `state` */
    void *state;
    int fd;
    struct buffer report; /* "ok", then one line for each finding */
    size_t lines_left_out;
    struct error error; /* of a job that failed */
    bool failed;
};

struct upkeep {
    struct role *role;       /* borrowed */
    struct mailbox *mailbox; /* borrowed */
    struct upkeep_job *jobs; /* the first is running */
    struct deferred in_next_turn;
    bool leaving; /* the Maildir was replaced: this process, rooted in the old one, must end */
};

void upkeep_init(struct upkeep *upkeep, struct role *role, struct mailbox *mailbox);
void upkeep_clear(struct upkeep *upkeep); /* refuses waiting requests; may run twice */

/* Takes ownership of the descriptor. */
void upkeep_answer(struct upkeep *upkeep, const struct control_words *words, int fd);

static inline bool upkeep_is_busy(const struct upkeep *upkeep)
{
    return upkeep->jobs != NULL;
}

/* Adds a line about a folder (its directory name; NULL: the account) to the report. Names in the
 * text are made printable. */
void upkeep_say(struct upkeep_job *job, const char *directory, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Ends the job with this error; always false. */
bool upkeep_fail(struct upkeep_job *job, const struct error *error);

#endif
