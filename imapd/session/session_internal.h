/* What the files of a session share among themselves. */
#ifndef IMAPD_SESSION_SESSION_INTERNAL_H
#define IMAPD_SESSION_SESSION_INTERNAL_H

#include "imapd/session/session.h"

enum {
    SESSION_ANSWER_OCTETS = 64 << 20,  /* of one answer in memory; sections of files are lent */
    SESSION_COMMAND_MEMORY = 16 << 20, /* for the arguments of one command, unescaped and listed */
};

/* ---- session.c ---- */

bool session_has_capability(const struct session *session, struct slice capability);

/* ---- session_answer.c ---- */

/* What the client sees as one command is over, or shall never have an answer. */
void session_end_command(struct session *session);

/* ---- session_input.c ---- */

/* Of arguments that stand in `text`, as this client may write them. */
void session_init_parser(struct session *session, struct imap_parser *parser, struct slice text);

/* Takes one event from the input, and runs what it is. False: there is none yet. */
bool session_read_event(struct session *session);

/* ---- session_news.c ---- */

void session_init_news(struct session *session);

/* What the client listens for, if it may be told now. */
void session_tell_unasked(struct session *session);

/* A command of ours is over: nothing is said but the answer that waits for it, if any; the command
 * that it has interrupted goes on. */
void session_end_unasked(struct session *session);

/* RFC 5267 4.3: what has changed means something to the client's searches, which takes a look at
 * messages to know. A command that is read piece by piece does not wait for that. */
bool session_has_searches_to_look_at(const struct session *session);

/* Clients read up to a command's answer: what its changes mean comes before that. The command is
 * over; its answer stands at the end of the writer's text. */
void session_look_at_searches(struct session *session, size_t answered_at);

/* ---- session_turn.c ---- */

/* Takes the connection. */
void session_init_turn(struct session *session, int fd);

/* The client said something: from now on it may be silent as long as it may be. */
void session_set_deadline(struct session *session);

#endif
