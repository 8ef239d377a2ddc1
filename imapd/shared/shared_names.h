/*
 * The names of mailboxes that other accounts share with this one, from the server-wide list
 * (ctl/master/shares.c), for LIST. The list may be out of date for a moment; access is decided by
 * the owner's process. imapd-mailbox.
 */
#ifndef IMAPD_SHARED_SHARED_NAMES_H
#define IMAPD_SHARED_SHARED_NAMES_H

#include "common/buffer.h"
#include "imapd/session/session.h"

struct shared_question;

/* Asks the master; the command goes on in `then`. NULL, with nothing done: imap.shared-mailboxes is
 * not set, the client is a visitor, or there is no memory. */
struct shared_question *shared_names_ask(struct session *session, session_step *then);

/* The answer, once `then` is called: lines "rights SP name LF" of the mailboxes that may be looked
 * up, with the name as the client writes it, in UTF-8. */
struct slice shared_names_told(const struct shared_question *question);

/* Whether this names another account's mailbox, or a level above one. */
bool shared_names_has(const struct session *session, struct slice name);

/* The owner of a mailbox like "Shared/alice@example.org/Work"; empty: it has none. */
struct slice shared_names_owner(const struct session *session, struct slice name);

/* To be called whenever the command ends. NULL is fine. */
void shared_names_end(struct shared_question *question);

/* ROLE_SHARED */
void shared_on_answer(struct mailbox *mailbox, uint64_t request, struct slice account,
                      struct slice lines);

/* Makes the lines of shared_names_told() from one account's list. Pure. */
void shared_names_append(const char *top, struct slice account, struct slice lines,
                         struct buffer *text);

#endif
