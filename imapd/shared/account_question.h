/*
 * Whether there is an account of that name, which the client wants to give rights to (RFC
 * 4314 3.1): the master asks auth. Any account may know of any other, as any sender of mail does.
 * imapd-mailbox.
 */
#ifndef IMAPD_SHARED_ACCOUNT_QUESTION_H
#define IMAPD_SHARED_ACCOUNT_QUESTION_H

#include "imapd/session/session.h"

struct account_question {
    struct account_question *prev, *next;
    struct session *session; /* NULL: nothing was asked */
    uint64_t request;
    enum account_outcome outcome; /* once the command goes on */
};

/* The command goes on in `then`. False, and nothing happens: the master is gone. The question is to
 * be ended before the command is. */
bool account_ask(struct account_question *question, struct session *session, struct slice account,
                 session_step *then);
void account_question_end(
    struct account_question *question); /* may run twice, and on a zeroed one */

/* ROLE_KNOWN */
void account_on_answer(struct mailbox *mailbox, uint64_t request, enum account_outcome outcome);

#endif
