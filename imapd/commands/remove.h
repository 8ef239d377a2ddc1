/*
 * Removes messages flagged \Deleted, in slices: EXPUNGE, UID EXPUNGE and CLOSE. imapd-mailbox.
 */
#ifndef IMAPD_COMMANDS_REMOVE_H
#define IMAPD_COMMANDS_REMOVE_H

#include "imapd/session/session.h"

struct remove_work;

enum remove_result {
    REMOVE_MORE, /* one slice is done: call again in the next turn */
    REMOVE_DONE,
    REMOVE_FAILED,
};

/* All messages of the selected folder, or those of `uids` (resolved; in the command's arena). NULL:
 * no memory, the command was ended. */
struct remove_work *remove_begin(struct session *session, const struct sequence_set *uids);

enum remove_result remove_deleted(struct session *session, struct remove_work *work,
                                  struct error *error);

/* After REMOVE_DONE. Once `flushed` is called with NULL, a power cut neither brings a removed
 * message back nor loses one that undo.h keeps. */
void remove_flush(struct session *session, const struct remove_work *work,
                  session_flushed *flushed);

/* Ends the command with NO. */
void remove_fail(struct session *session, const struct error *why);

#endif
