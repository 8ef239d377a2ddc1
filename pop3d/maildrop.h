/*
 * The role maildrop: one POP3 session after its login, as the owner of the mail (RFC 1939, 2449,
 * 6856). It works on the bare Maildir: no index, no numbers of IMAP.
 *
 *   AWAITED ──handoff, lock, list: "+OK"──> TRANSACTION ──QUIT, UPDATE──> ENDING ──written──> exit
 *      │                                      │     ^                       ^
 *      │                              RETR, TOP,    │ all written           │
 *      │                             LIST, UIDL     │                       │
 *      │                                      v     │                       │
 *      │                                     ANSWERING                      │
 *      └── -ERR ────────────────────────────────────┴── lost, silent, stopped
 *
 * Nothing is removed outside of QUIT. The lock is a flock on "staffetta-pop3" in the Maildir: it
 * holds against a second process of any kind, and ends with this one. IMAP sessions are not its
 * concern: files that they rename are found again by their keys.
 */
#ifndef POP3D_MAILDROP_H
#define POP3D_MAILDROP_H

#include "common/net/stream.h"
#include "common/role/role.h"
#include "pop3d/line.h"
#include "pop3d/maildrop_list.h"
#include "pop3d/maildrop_sender.h"
#include "pop3d/maildrop_update.h"

struct maildrop_entrance;

enum maildrop_state {
    MAILDROP_AWAITED,     /* no client yet, or its handoff is not complete */
    MAILDROP_TRANSACTION, /* commands are read */
    MAILDROP_ANSWERING,   /* a long answer waits for the client to take octets */
    MAILDROP_ENDING,      /* the last word is written */
};

/* What ANSWERING answers. */
enum maildrop_answer { ANSWER_NONE, ANSWER_MESSAGE, ANSWER_LIST, ANSWER_UIDL };

struct maildrop {
    struct role *role;
    struct turn turn;
    enum maildrop_state state;
    char account[MASTER_ACCOUNT_MAX + 1]; /* for the log */
    char path[MASTER_PATH_MAX + 1];       /* below the place, until the walls stand */
    struct maildir inbox;
    int lock_fd;
    struct maildrop_list list;

    enum maildrop_answer answer;
    struct maildrop_sender sender;    /* ANSWER_MESSAGE */
    struct maildrop_message *sending; /* the message that RETR sends; NULL: TOP */
    size_t listed;                    /* ANSWER_LIST, ANSWER_UIDL: messages gone through */

    struct maildrop_entrance *entrance; /* while the handoff comes in */
    struct stream stream;
    struct pop3_line_reader lines;
    uint64_t session; /* its number in the log */
    uint32_t bad_commands;
    size_t retrieved;
    struct maildrop_updated updated; /* by QUIT */
    const char *reason;              /* of ENDING, for the log */
    bool idle_told;
};

extern const struct role_spec maildrop_role; /* state: a struct maildrop from maildrop_init */

void maildrop_init(struct maildrop *maildrop);

/* ---- between maildrop.c and maildrop_session.c ---- */

/* Takes the client's socket, and what it had sent after its credentials: locks, lists, answers
 * the login, reads commands. */
void maildrop_session_begin(struct maildrop *maildrop, int client_fd, struct slice input);

/* The house stops: the client is let go without UPDATE (RFC 1939 3). */
void maildrop_session_stop(struct maildrop *maildrop);

/* The session is over; says so in the log and to the master, and ends the process. */
void maildrop_leave(struct maildrop *maildrop, const char *reason);

/* Tells the master that this process needs nothing more: the same account may log in again before
 * it is quite gone. */
void maildrop_tell_idle(struct maildrop *maildrop);

#endif
