/*
 * Takes connections from the listening sockets that the master bound, within limits, and hands them
 * to the role that serves them. Network roles.
 */
#ifndef COMMON_NET_ACCEPTOR_H
#define COMMON_NET_ACCEPTOR_H

#include "common/net/connections.h"
#include "common/role/role.h"

struct acceptor_listener;

/* A connection that was admitted, or not. */
struct accepted {
    int fd; /* non-blocking, close-on-exec; whoever takes it sets it to -1, else it is closed */
    const struct config_listen *listen; /* lives as long as the role's configuration */
    struct ip_address client;
    uint16_t client_port;
    struct connection_share share; /* moves to the connection, with the descriptor, which then
                                    * tells connections_hear() of itself */
};

/* All are called by the loop. on_refused may write a last word to the descriptor; only the first
 * of a second is logged, with how many there were. Before that, where a stranger is silent,
 * on_silent ends his connection: at once, with a last word if that is taken at once, and gives the
 * share back before it returns. */
struct acceptor_handler {
    void (*on_accepted)(void *owner, struct accepted *accepted);
    void (*on_refused)(void *owner, const struct accepted *accepted,
                       enum connection_verdict verdict);
    void (*on_silent)(void *owner, struct connection_share *share, enum connection_verdict verdict);
};

struct acceptor {
    struct role *role;
    void *owner;
    const struct acceptor_handler *handler;
    struct connections connections;
    struct acceptor_listener *listeners; /* a list */
    ev_timer pause;                      /* out of descriptors: nothing is accepted meanwhile */
    bool suspended;
    uint64_t refused_count; /* since then */
    uint64_t refused_at_ms; /* turn_now_ms() of the last line about it */
};

/* Takes all listening sockets that the role was given (the role's `start`). `processes` share the
 * limits. */
bool acceptor_open(struct acceptor *acceptor, struct role *role, uint32_t processes,
                   const struct acceptor_handler *handler, void *owner, struct error *error);

/* Connections wait in the kernel's queue from acceptor_suspend to acceptor_resume: while the role
 * cannot serve them yet. */
void acceptor_suspend(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

/* Accepts nothing more: closes this process's descriptors of the listening sockets; what others
 * hold go on. May run twice, and on a zeroed struct. Counts stay. */
void acceptor_stop(struct acceptor *acceptor);

/* After acceptor_stop, when no connection is left. */
void acceptor_clear(struct acceptor *acceptor);

#endif
