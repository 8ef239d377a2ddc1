/* What the files of common/login/login.h share. */
#ifndef COMMON_LOGIN_LOGIN_INTERNAL_H
#define COMMON_LOGIN_LOGIN_INTERNAL_H

#include "common/login/login.h"

/* The one place that writes the state, and checks the step. */
void login_enter(struct login_session *session, enum login_state state);

/* How long the client may be in its state. */
void login_set_deadline(struct login_session *session);

/* A number, and a name in the log, that no session had before. */
void login_number(struct login_session *session);

/* CARRYING or ASLEEP, by its number; NULL: it has left. */
struct login_session *login_find_served(struct login_server *server, uint64_t number);
/* No record of the master means it any more. Again: nothing. */
void login_stop_naming(struct login_session *session);

/* ---- login_return.c ---- */

/* ROLE_RETURNED: the client of a session is nobody again. */
bool login_on_returned(void *owner, struct ipc_packet *packet, struct error *error);
/* All that the user's process had to say to the client is on its way to it. */
void login_end_return(struct login_session *session);
void login_forget_return(struct login_session *session); /* may run twice */

#endif
