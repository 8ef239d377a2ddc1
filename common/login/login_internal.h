/* What the files of common/login/login.h share. */
#ifndef COMMON_LOGIN_LOGIN_INTERNAL_H
#define COMMON_LOGIN_LOGIN_INTERNAL_H

#include "common/login/login.h"

/* What there is of a session beside its connection, until that is handed over again. */
struct login_sleep {
    int other_fd;        /* of `user`, which still carries; -1: nothing does */
    bool waking;         /* the master was asked */
    uint64_t left_until; /* turn_now_ms: when the client will have been silent for too long */
    size_t record_octets;
    uint8_t record[];
};

static inline struct log *login_log(const struct login_session *session)
{
    return &session->server->role->log;
}

static inline const struct login_protocol *login_protocol_of(const struct login_session *session)
{
    return session->server->protocol;
}

/* ---- login.c ---- */

extern const struct acceptor_handler login_acceptor_handler;

/* Of a connection that was accepted, in no state yet. NULL: no memory, and it is still
 * `accepted`'s. */
struct login_session *login_new_session(struct login_server *server, struct accepted *accepted);

/* A number, and a name in the log, that no session had before. */
void login_number(struct login_session *session);

/* The one place that writes the state, and checks the step. */
void login_enter(struct login_session *session, enum login_state state);

/* How long the client may be in its state. */
void login_set_deadline(struct login_session *session);
unsigned login_milliseconds_until(uint64_t until); /* turn_now_ms; at least 1 */

/* No record of the master means it any more. Again: nothing. */
void login_stop_naming(struct login_session *session);
/* A record that is nothing but the session's number. */
void login_tell_master(struct login_session *session, uint16_t type);

/* A last word of the protocol's, and login_close(). */
void login_say_farewell(struct login_session *session, enum login_end end, const char *reason);
/* Lets go of everything, at once; the memory goes at the end of the turn. */
void login_drop(struct login_session *session);

/* ---- login_ask.c ---- */

/* ASKING, by the number of its question; NULL: it has left. */
struct login_session *login_find_asking(struct login_server *server, uint64_t request);
void login_stop_asking(struct login_session *session); /* may run twice */

/* The question is answered: TALKING again. */
void login_refuse(struct login_session *session, enum login_refusal refusal);

bool login_on_challenge(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_offer(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_verdict(void *owner, struct ipc_packet *packet, struct error *error);

/* ---- login_serve.c ---- */

/* From now on the master can name it. */
void login_begin_serving(struct login_session *session);
/* CARRYING or ASLEEP, by its number; NULL: it has left. */
struct login_session *login_find_served(struct login_server *server, uint64_t number);

/* Gives the client, as it is or as it was when it fell asleep, to the process of its user, to which
 * `fd` leads: that is taken unless it fails. */
bool login_hand_over(struct login_session *session, int fd, struct error *error);

bool login_on_admitted(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_not_admitted(void *owner, struct ipc_packet *packet, struct error *error);

/* ---- login_sleep.c ---- */

/* The client said something, or has left, and its session is asleep. */
void login_on_input_asleep(struct login_session *session);
void login_forget_sleep(struct login_session *session); /* may run twice */
/* How long the client may still be silent. */
uint32_t login_sleep_left_ms(const struct login_sleep *sleep);

bool login_on_asleep(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_awake(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_not_awake(void *owner, struct ipc_packet *packet, struct error *error);

/* ---- login_return.c ---- */

/* ROLE_RETURNED: the client of a session is nobody again. */
bool login_on_returned(void *owner, struct ipc_packet *packet, struct error *error);
/* All that the user's process had to say to the client is on its way to it. */
void login_end_return(struct login_session *session);
void login_forget_return(struct login_session *session); /* may run twice */

#endif
