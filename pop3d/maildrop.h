/*
 * The role maildrop: one POP3 session after its login, under the mail owner's uid (RFC 1939, 2449,
 * 6856). It uses the Maildir only: no index, no UIDs.
 *
 *   AWAITED ──handoff, lock, list: "+OK"──> TRANSACTION ──QUIT, UPDATE──> ENDING ──written──> exit
 *      │                                      │     ^                       ^
 *      │                              RETR, TOP,    │ all written           │
 *      │                             LIST, UIDL     │                       │
 *      │                                      v     │                       │
 *      │                                     ANSWERING                      │
 *      └── -ERR ────────────────────────────────────┴── lost, silent, stopped
 *
 * Messages are removed only by QUIT. The lock is a flock on "staffetta-pop3" in the Maildir: it
 * excludes a second maildrop process, and ends with this one. It does not exclude IMAP sessions:
 * files that they rename are found again by their keys.
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
    MAILDROP_AWAITED,     /* no client yet, or its handoff is incomplete */
    MAILDROP_TRANSACTION, /* reading commands */
    MAILDROP_ANSWERING,   /* sending a long answer, as the client takes it */
    MAILDROP_ENDING,      /* writing the last answer */
};

/* The answer being sent in ANSWERING. */
enum maildrop_answer { ANSWER_NONE, ANSWER_MESSAGE, ANSWER_LIST, ANSWER_UIDL };

struct maildrop {
    struct role *role;
    struct turn turn;
    enum maildrop_state state;
    char account[MASTER_ACCOUNT_MAX + 1]; /* for the log */
    char path[MASTER_PATH_MAX + 1];       /* relative to the place, used until confinement */
    struct maildir inbox;
    int lock_fd;
    struct maildrop_list list;

    enum maildrop_answer answer;
    struct maildrop_sender sender;    /* ANSWER_MESSAGE */
    struct maildrop_message *sending; /* the message that RETR sends; NULL: TOP */
    size_t listed;                    /* ANSWER_LIST, ANSWER_UIDL: messages listed so far */

    struct maildrop_entrance *entrance; /* while the handoff is being received */
    struct stream stream;
    struct pop3_line_reader lines;
    uint64_t session; /* the session's number in the log */
    uint32_t bad_commands;
    size_t retrieved;
    struct maildrop_updated updated; /* result of QUIT */
    const char *reason;              /* why it is in ENDING, for the log */
    bool idle_told;
};

extern const struct role_spec maildrop_role; /* state: a struct maildrop from maildrop_init */

void maildrop_init(struct maildrop *maildrop);

/* ---- between maildrop.c and maildrop_session.c ---- */

/* Takes over the client's socket and its input after the credentials: locks, lists, answers the
 * login, reads commands. */
void maildrop_session_begin(struct maildrop *maildrop, int client_fd, struct slice input);

/* The server stops: closes the session without UPDATE (RFC 1939 3). */
void maildrop_session_stop(struct maildrop *maildrop);

/* Ends the session: logs it, tells the master, and ends the process. */
void maildrop_leave(struct maildrop *maildrop, const char *reason);

/* Tells the master that this process is done, so that the account may log in again before the
 * process has ended. */
void maildrop_tell_idle(struct maildrop *maildrop);

#endif
