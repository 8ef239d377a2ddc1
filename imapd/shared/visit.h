/*
 * A client's second session, in the mailbox process of another account that shares something with
 * his own: a visit. The client's connection stays where it is; on a socket that the master made
 * (MASTER_VISITS) this process speaks IMAP for him there, one command at a time. What he may do the
 * process there decides, which has his account's name from the master. imapd-mailbox.
 */
#ifndef IMAPD_SHARED_VISIT_H
#define IMAPD_SHARED_VISIT_H

#include "common/net/stream.h"
#include "common/role/master_protocol.h"
#include "imapd/shared/answer.h"

struct mailbox;
struct session;
struct visit;

/* Parts of the answer to what was said last, then ANSWER_END, and none until the next command. Or
 * ANSWER_LOST, also between commands (the caller may be NULL then): there was no such account, the
 * connection broke, or what came is no answer; the visit is to be ended. */
typedef void visit_hears(struct visit *visit, enum answer_part part, struct slice octets);

struct visit {
    struct visit *prev, *next;
    struct session *session; /* borrowed; NULL once it has ended */
    char owner[MASTER_ACCOUNT_MAX + 1];
    uint64_t request;  /* of the MASTER_VISITS that is not answered yet; 0: it is */
    bool is_open;      /* it was, with a connection */
    bool is_unknown;   /* it is not: there is no such account, or it shares nothing with ours */
    bool is_listening; /* an answer is expected, and all of the command was said */
    struct answer answer;
    visit_hears *hears;
    visit_hears *hears_next; /* once the response that came unasked has ended; NULL: nobody else */
    void *hearer;            /* the caller's */
    /* forward.c's: the client's literal is announced, and waits; for "+" from there, the line of
     * which has begun. */
    bool at_literal, awaits_plus, in_plus, in_news;
    /* forward.c's: between commands news of what is selected there are heard, and wait until the
     * client may be told. */
    bool listens;
    bool is_setting_up;
    struct buffer unasked;
    size_t unasked_whole; /* octets: responses to their end */
    bool is_held;         /* carry.c's and these: nothing is heard meanwhile */
    bool is_examined;     /* and of the mailbox that is selected there, its name as it is said */
    struct buffer selected;

    /* The rest is visit.c's. */
    struct buffer unsaid; /* until it is open */
    unsigned deadline_ms;
    bool is_bounded; /* in its silence */
    struct stream stream;
    struct deferred at_turn_end;
};

/* NULL: no memory, or the master is gone. */
struct visit *visit_begin(struct session *session, struct slice owner);
void visit_end(struct visit *visit); /* at once; NULL is fine */

/* The visit is lost, and a log line says so: once it is open for so long; 0: never. */
void visit_set_deadline(struct visit *visit, unsigned milliseconds);
/* Or once nothing has been heard or said for timeouts.write while an answer is waited for, by a
 * client who takes it. */
void visit_be_patient(struct visit *visit, bool is_bounded);

/* Of one command, whose answer is heard once visit_listen() is called behind the last of it. What
 * was listened to so far is heard to the end of the response that has begun. False: the tag is too
 * long. */
bool visit_begin_command(struct visit *visit, struct slice tag, visit_hears *hears);
void visit_say(struct visit *visit, struct slice octets);
/* The same of a command's text, in which no literal is waited with but, perhaps, one at the end.
 * Any CRLF in it is one before a literal's octets: the end of the command is not in it. */
void visit_say_text(struct visit *visit, struct slice text, bool waits_at_end);
void visit_listen(struct visit *visit);

/* No more is to be said until visits_on_drained(). */
bool visit_is_full(const struct visit *visit);
/* Hears what has come, if it may. */
void visit_go_on(struct visit *visit);
/* All are lost, but those of sessions that have ended. */
void visits_break_off(struct mailbox *mailbox, const char *reason);
/* The client takes output again: all visits of the session go on. */
void visits_on_drained(struct session *session);

/* ROLE_VISIT (the socket is taken) or ROLE_NO_VISIT (-1, and why). */
void visit_on_answer(struct mailbox *mailbox, uint64_t request, int fd,
                     enum account_outcome outcome);

#endif
