/*
 * A visit: a client's second session, in the mailbox process of another account that shares
 * something with the client's. The client's connection stays in this process, which speaks IMAP
 * with the other process on the client's behalf, over a socket from the master (MASTER_VISITS), one
 * command at a time. The other process decides what the client may do; it knows the client's
 * account from the master. imapd-mailbox.
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
 * until the next command. Or, also between commands, with ANSWER_LOST: the account does not exist,
 * the connection broke, or the input is not a valid answer; then the visit must be ended. */
typedef void visit_hears(struct visit *visit, enum answer_part part, struct slice octets);

struct visit {
    struct visit *prev, *next;
    struct session *session; /* borrowed; NULL once it has ended */
    char owner[MASTER_ACCOUNT_MAX + 1];
    uint64_t request;  /* id of the pending MASTER_VISITS; 0: it has been answered */
    bool is_open;      /* the master has answered with a connection */
    bool is_unknown;   /* the account does not exist, or shares nothing with the client's */
    bool is_listening; /* the command was sent completely, and its answer is expected */
    struct answer answer;
    visit_hears *hears;
    visit_hears *hears_next; /* replaces `hears` when the unsolicited response ends; or NULL */
    void *hearer;            /* the caller's */
    /* forward.c: the client's literal was announced and waits; "+" is awaited; a "+" line, or an
     * unsolicited response, has arrived in part. */
    bool at_literal, awaits_plus, in_plus, in_news;
    /* forward.c: between commands, notifications about the mailbox selected there are received, and
     * kept until the client may be told. */
    bool listens;
    bool is_setting_up;
    struct buffer unasked;
    size_t unasked_whole; /* octets of complete responses in it */
    bool is_held;         /* no input is processed while set */
    bool is_examined;     /* the mailbox selected there was opened by EXAMINE */
    /* Name of the mailbox selected there, as sent. */
    struct buffer selected;

    /* The rest is private to visit.c. */
    struct buffer unsaid; /* output until the visit is open */
    unsigned deadline_ms;
    bool is_bounded; /* see visit_bound_silence() */
    struct stream stream;
    struct deferred at_turn_end;
};

/* NULL: no memory, or the master is gone. */
struct visit *visit_begin(struct session *session, struct slice owner);
void visit_end(struct visit *visit); /* at once; NULL is fine */

/* The visit is lost, with a log line, this long after it was opened; 0: never. */
void visit_set_deadline(struct visit *visit, unsigned milliseconds);
/* True: the visit is also lost if, while an answer is awaited and the client takes output, nothing
 * is received or sent for timeouts.write. False: it may be silent for ever, as during IDLE. */
void visit_bound_silence(struct visit *visit, bool is_bounded);

/* Begins a command, sent with the next two functions; then visit_listen() starts to receive its
 * answer. If a response has arrived in part, the previous handler gets the rest of it first. False:
 * the tag is too long. */
bool visit_begin_command(struct visit *visit, struct slice tag, visit_hears *hears);
void visit_say(struct visit *visit, struct slice octets);
/* Sends the text of a command, without its final CRLF; every CRLF in it is followed by the octets
 * of a literal. Makes literals non-synchronizing (RFC 7888), except, if `waits_at_end`, one
 * announced at the very end. */
void visit_say_text(struct visit *visit, struct slice text, bool waits_at_end);
void visit_listen(struct visit *visit);

/* True: nothing more should be sent until session_resume(). */
bool visit_is_full(const struct visit *visit);
/* Processes received input, if the client takes output and is_held is not set. */
void visit_go_on(struct visit *visit);
/* Breaks off all visits, except those of sessions that have logged out. */
void visits_break_off(struct mailbox *mailbox, const char *reason);
/* To be called when the client takes output again: all visits of the session go on. */
void visits_on_drained(struct session *session);

/* The master's answer: ROLE_VISIT with a socket, which is taken over, or ROLE_NO_VISIT with -1 and
 * the reason. */
void visit_on_answer(struct mailbox *mailbox, uint64_t request, int fd,
                     enum account_outcome outcome);

#endif
