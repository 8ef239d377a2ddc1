/* Shared by the files of common/login/login.h. */
#ifndef COMMON_LOGIN_LOGIN_INTERNAL_H
#define COMMON_LOGIN_LOGIN_INTERNAL_H

#include "common/login/login.h"

/* The state of a sleeping session, until its next handoff. */
struct login_sleep {
    int other_fd;        /* other end of `user`'s socket if octets are still in it; -1: none */
    bool waking;         /* MASTER_WAKE was sent */
    uint64_t left_until; /* turn_now_ms() at which the client has been silent for too long */
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

/* A session for the accepted connection, in no state yet; takes the descriptor. NULL: no memory,
 * nothing was taken. */
struct login_session *login_new_session(struct login_server *server, struct accepted *accepted);

/* Gives the session a new number and name. */
void login_number(struct login_session *session);

/* The only function that writes the state; it checks the transition. */
void login_enter(struct login_session *session, enum login_state state);

/* Sets the deadline of the session's state. */
void login_set_deadline(struct login_session *session);
unsigned login_milliseconds_until(uint64_t until); /* until: turn_now_ms(). Returns at least 1 */

/* Takes the session out of server->served. May run twice. */
void login_stop_naming(struct login_session *session);
/* Sends the master a record that has only the session's number. */
void login_tell_master(struct login_session *session, uint16_t type);

/* The protocol's farewell(), then login_close(). */
void login_say_farewell(struct login_session *session, enum login_end end, const char *reason);
/* Closes and releases everything at once; frees the session at the end of the turn. */
void login_drop(struct login_session *session);

/* ---- login_ask.c ---- */

/* The ASKING session with that question; NULL: it is gone. */
struct login_session *login_find_asking(struct login_server *server, uint64_t request);
void login_stop_asking(struct login_session *session); /* may run twice */

/* The login was refused: the session is TALKING again. */
void login_refuse(struct login_session *session, enum login_refusal refusal);

bool login_on_challenge(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_offer(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_verdict(void *owner, struct ipc_packet *packet, struct error *error);

/* ---- login_serve.c ---- */

/* Puts the session into server->served, where records of the master find it. */
void login_begin_serving(struct login_session *session);
/* The CARRYING or ASLEEP session with that number; NULL: it is gone. */
struct login_session *login_find_served(struct login_server *server, uint64_t number);

/* Sends the handoff, with the sleeping session's record if there is one, on `fd`, the socket to the
 * user's process. Takes fd on success. */
bool login_hand_over(struct login_session *session, int fd, struct error *error);

bool login_on_admitted(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_not_admitted(void *owner, struct ipc_packet *packet, struct error *error);

/* ---- login_sleep.c ---- */

/* The client of a sleeping session has sent something, or has closed its connection. */
void login_on_input_asleep(struct login_session *session);
void login_forget_sleep(struct login_session *session); /* may run twice */
/* Milliseconds until the client has been silent for too long. */
uint32_t login_sleep_left_ms(const struct login_sleep *sleep);

bool login_on_asleep(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_awake(void *owner, struct ipc_packet *packet, struct error *error);
bool login_on_not_awake(void *owner, struct ipc_packet *packet, struct error *error);

/* ---- login_return.c ---- */

/* ROLE_RETURNED: a session comes back after UNAUTHENTICATE. */
bool login_on_returned(void *owner, struct ipc_packet *packet, struct error *error);
/* The last octets from the user's process were passed on to the client. */
void login_end_return(struct login_session *session);
void login_forget_return(struct login_session *session); /* may run twice */

#endif
