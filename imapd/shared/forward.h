/*
 * Commands that concern a mailbox of another account are said to that account's process, as they
 * came, and its answer is the client's (imapd/shared/visit.h). While such a mailbox is selected the
 * session is VISITING, and keeps the visit; else a visit is as long as the command.
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

/* The command that is whole, with its arguments. True: it is dealt with, or goes on elsewhere. */
bool forward_takes(struct session *session, const struct imap_parser *arguments);

/* A command whose literals are streamed (APPEND), up to one of them. True as above. */
bool forward_literal(struct session *session, const struct imap_parser *arguments);
/* Of such a command that is forwarded: the literal's octets, and what is behind the last one. */
void forward_octets(struct session *session, struct slice octets);
void forward_rest(struct session *session, struct slice text);

/* What the client was told so far does not end with a line. */
bool forward_is_within_line(const struct session *session);

/* The owner's process takes no more of it at the moment. */
bool forward_is_full(const struct session *session);

/* NOTIFY for the mailbox that is selected elsewhere (VISITING): its owner's process is told what
 * the client wants to hear of it. The command that is run waits, and goes on in `then`: while it is
 * still setting up only to wait again. */
bool forward_is_setting_up(const struct session *session);
void forward_listen(struct session *session, const struct notify *notify, session_step *then);
/* Between commands: says what has been heard so. */
void forward_tell_unasked(struct session *session);

/* The command ends; a visit for it alone ends with it. */
void forward_forget(struct session *session);
/* The session ends. */
void forward_end(struct session *session);

#endif
