/*
 * Asks whether an account exists that a client wants to give rights to (RFC 4314 3.1): the master
 * asks auth. Any account may learn of any other, as any sender of mail can. imapd-mailbox.
 */
#ifndef IMAPD_SHARED_ACCOUNT_QUESTION_H
#define IMAPD_SHARED_ACCOUNT_QUESTION_H

#include "imapd/session/session.h"

struct account_question {
    struct account_question *prev, *next;
    struct session *session; /* NULL: nothing was asked */
    uint64_t request;
    enum account_outcome outcome; /* valid when `then` is called */
};

/* Asks; the command goes on in `then`. False, with nothing done: the master is gone. The question
 * must be ended before the command ends. */
bool account_ask(struct account_question *question, struct session *session, struct slice account,
                 session_step *then);
void account_question_end(
    struct account_question *question); /* may run twice, and on a zeroed one */

/* ROLE_KNOWN */
void account_on_answer(struct mailbox *mailbox, uint64_t request, enum account_outcome outcome);

#endif
