/* Declarations shared by the files of a session. */
#ifndef IMAPD_SESSION_SESSION_INTERNAL_H
#define IMAPD_SESSION_SESSION_INTERNAL_H

#include "imapd/session/session.h"

enum {
    SESSION_ANSWER_OCTETS = 64 << 20,  /* limit of buffered output; lent files do not count */
    SESSION_COMMAND_MEMORY = 16 << 20, /* limit of the arena: the parsed arguments of one command */
};

/* ---- session.c ---- */

bool session_has_capability(const struct session *session, struct slice capability);

/* ---- session_answer.c ---- */

/* Ends the client's command, answered or not. */
void session_end_command(struct session *session);

/* ---- session_input.c ---- */

/* Prepares a parser for the arguments in `text`, with the syntax that this client may use. */
void session_init_parser(struct session *session, struct imap_parser *parser, struct slice text);

/* Takes one event from the input and handles it. False: there is none yet. */
bool session_read_event(struct session *session);

/* ---- session_news.c ---- */

void session_init_news(struct session *session);

/* Sends unsolicited responses that the client listens for, if it may be told now. */
void session_tell_unasked(struct session *session);

/* Ends an internal command: sends nothing but an answer that waited for it, if any; then the
 * interrupted command goes on. */
void session_end_unasked(struct session *session);

/* Whether changes may affect the client's search contexts, so that messages must be searched again
 * (RFC 5267 4.3). Never true for a command whose literals are streamed. */
bool session_has_searches_to_look_at(const struct session *session);

/* Updates the search contexts before a command's answer is sent, as clients read only up to that
 * answer. The command is over; its answer begins at `answered_at` of the writer's text. */
void session_look_at_searches(struct session *session, size_t answered_at);

/* ---- session_turn.c ---- */

/* Takes the connection. */
void session_init_turn(struct session *session, int fd);

/* Restarts the timeout for a silent client, after it has sent something. */
void session_set_deadline(struct session *session);

#endif
