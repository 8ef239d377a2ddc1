/*
 * A visit: a second session of a client, in the mailbox process of another account that shares
 * something with his own. The client's connection stays where it is; over a socket that the master
 * made (MASTER_VISITS) this process speaks IMAP there on his behalf, one command at a time. What he
 * may do is decided by the process over there, which the master has told his account's name.
 * imapd-mailbox.
 */
#ifndef IMAPD_SHARED_VISIT_H
#define IMAPD_SHARED_VISIT_H

#include "common/net/stream.h"
#include "common/role/master_protocol.h"
#include "imapd/shared/answer.h"

struct mailbox;
struct session;
struct visit;

/* Called with each part of the answer to the last command, then with ANSWER_END, and not again
 * until the next command. Or, also between commands, with ANSWER_LOST: there is no such account,
 * the connection broke, or what came is no answer; then the visit is to be ended. */
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
    visit_hears *hears_next; /* takes over when the response that came unasked ends; or NULL */
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

/* The visit is lost, with a log line, when this time has passed since it was opened; 0: never. */
void visit_set_deadline(struct visit *visit, unsigned milliseconds);
/* True: it is also lost when, while an answer is awaited and the client takes output, nothing has
 * been heard or said for timeouts.write. False: it may be silent for ever, as under IDLE. */
void visit_bound_silence(struct visit *visit, bool is_bounded);

/* Begins a command, to be said with the next two; its answer is heard after visit_listen(), which
 * is called when all of it was said. A response that has come in part is first heard to its end, by
 * whoever listened so far. False: the tag is too long. */
bool visit_begin_command(struct visit *visit, struct slice tag, visit_hears *hears);
void visit_say(struct visit *visit, struct slice octets);
/* The same for the text of a command, without the CRLF that ends it: each CRLF in it is followed by
 * the octets of a literal. These are made non-synchronising (RFC 7888), save, if `waits_at_end`,
 * one that is announced at the very end. */
void visit_say_text(struct visit *visit, struct slice text, bool waits_at_end);
void visit_listen(struct visit *visit);

/* Nothing more should be said until session_resume(). */
bool visit_is_full(const struct visit *visit);
/* Hears what has come, if the client takes output and is_held does not forbid it. */
void visit_go_on(struct visit *visit);
/* All visits are lost, save those of sessions that have logged out. */
void visits_break_off(struct mailbox *mailbox, const char *reason);
/* The client takes output again: all visits of the session go on. */
void visits_on_drained(struct session *session);

/* The master's answer: ROLE_VISIT, with a socket that is taken over, or ROLE_NO_VISIT, with -1 and
 * the reason. */
void visit_on_answer(struct mailbox *mailbox, uint64_t request, int fd,
                     enum account_outcome outcome);

#endif
