/*
 * Commands that concern a mailbox of another account are passed on, as they came, to that account's
 * process, and its answer to the client (imapd/shared/visit.h). While such a mailbox is selected
 * the session is VISITING and keeps the visit; otherwise a visit lasts for one command.
 *
 *   on_ready, on_literal ─> forward_takes(), forward_literal(): is it such a command?
 *     client ──command──> visit ──> the owner's process
 *     client <──answer── visit <──
 *
 * imapd-mailbox.
 */
#ifndef IMAPD_SHARED_FORWARD_H
#define IMAPD_SHARED_FORWARD_H

#include "imapd/session/session.h"

/* For a command that is whole, with its arguments. True: it was answered, or is being forwarded. */
bool forward_takes(struct session *session, const struct imap_parser *arguments);

/* For a command whose literals are streamed (APPEND), as far as the first. True as above. */
bool forward_literal(struct session *session, const struct imap_parser *arguments);
/* When such a command is forwarded: the octets of a literal, and the text after the last one. */
void forward_octets(struct session *session, struct slice octets);
void forward_rest(struct session *session, struct slice text);

/* What the client was told so far ends in the middle of a line. */
bool forward_is_within_line(const struct session *session);

/* The owner's process takes no more of it at the moment. */
bool forward_is_full(const struct session *session);

/* NOTIFY for the selected mailbox of another account (VISITING): its owner's process is told what
 * the client wants to hear of it. The command that is run waits, and goes on in `then`, which waits
 * again as long as forward_is_setting_up(). */
bool forward_is_setting_up(const struct session *session);
void forward_listen(struct session *session, const struct notify *notify, session_step *then);
/* Between commands: tells the client what came because of that. */
void forward_tell_unasked(struct session *session);

/* The command ends; a visit for it alone ends with it. */
void forward_forget(struct session *session);
/* The session ends. */
void forward_end(struct session *session);

#endif
