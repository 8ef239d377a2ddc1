/*
 * Forwards commands for another account's mailbox unchanged to that account's process, and its
 * answers to the client (imapd/shared/visit.h). While such a mailbox is selected, the session is
 * VISITING and keeps the visit; otherwise a visit lasts for one command.
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

/* For a complete command, with its arguments. True: it was answered, or is being forwarded. */
bool forward_takes(struct session *session, const struct imap_parser *arguments);

/* For a command whose literals are streamed (APPEND), up to the first literal. True as above. */
bool forward_literal(struct session *session, const struct imap_parser *arguments);
/* Forwards the octets of such a command's literal, and the text after the last literal. */
void forward_octets(struct session *session, struct slice octets);
void forward_rest(struct session *session, struct slice text);

/* Whether the output to the client ends in the middle of a line. */
bool forward_is_within_line(const struct session *session);

/* Whether the owner's process takes no more input at the moment. */
bool forward_is_full(const struct session *session);

/* NOTIFY for the selected mailbox of another account (VISITING): sends the client's request to the
 * owner's process. The running command waits and goes on in `then`, which must wait again as long
 * as forward_is_setting_up(). */
bool forward_is_setting_up(const struct session *session);
void forward_listen(struct session *session, const struct notify *notify, session_step *then);
/* Between commands: passes the resulting notifications on to the client. */
void forward_tell_unasked(struct session *session);

/* To be called when the command ends: ends a visit made for this command only. */
void forward_forget(struct session *session);
/* To be called when the session ends. */
void forward_end(struct session *session);

#endif
