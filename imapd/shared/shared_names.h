/*
 * The mailboxes that other accounts share with this one, by name: what the house's list says
 * (ctl/master/shares.c), for LIST. It may be wrong for a moment; who goes to such a mailbox is told
 * by its owner's process what he may do. imapd-mailbox.
 */
#ifndef IMAPD_SHARED_SHARED_NAMES_H
#define IMAPD_SHARED_SHARED_NAMES_H

#include "common/buffer.h"
#include "imapd/session/session.h"

struct shared_question;

/* Asks the master; the command goes on in `then`. NULL, and nothing happens: imap.shared-mailboxes
 * is not set, the client is a visitor, or there is no memory. */
struct shared_question *shared_names_ask(struct session *session, session_step *then);

/* Once it goes on: lines "rights SP name LF", of the mailboxes that may be looked up; the name as
 * the client says it, in UTF-8. */
struct slice shared_names_told(const struct shared_question *question);

/* It is the name of another account's mailbox, or of what is above it. */
bool shared_names_has(const struct session *session, struct slice name);

/* Whose the mailbox "Shared/alice@example.org/Work" is; empty: nobody's. */
struct slice shared_names_owner(const struct session *session, struct slice name);

/* To be called before the command ends, however it does. NULL is fine. */
void shared_names_end(struct shared_question *question);

/* ROLE_SHARED */
void shared_on_answer(struct mailbox *mailbox, uint64_t request, struct slice account,
                      struct slice lines);

/* From what one account shares the lines above. Pure. */
void shared_names_append(const char *top, struct slice account, struct slice lines,
                         struct buffer *text);

#endif
