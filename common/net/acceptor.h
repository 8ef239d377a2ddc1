/*
 * Accepts connections from the listening sockets that the master bound, within limits, and passes
 * them to the role. Network roles.
 */
#ifndef COMMON_NET_ACCEPTOR_H
#define COMMON_NET_ACCEPTOR_H

#include "common/net/connections.h"
#include "common/role/role.h"

struct acceptor_listener;

/* An accepted connection, within the limits or not. */
struct accepted {
    int fd; /* non-blocking, close-on-exec; closed unless the handler takes it and sets it to -1 */
    const struct config_listen *listen; /* lives as long as the role's configuration */
    struct ip_address client;
    uint16_t client_port;
    struct connection_share share; /* on_accepted moves it into the connection, and then calls
                                    * connections_hear() */
};

/* All are called by the loop.
 * on_accepted: the connection is within the limits.
 * on_silent:   a new connection is over a limit. The handler must end the silent connection of
 *              `share` at once, with a last reply if the socket takes it, and give the share back
 *              before it returns. Then the new connection is checked again.
 * on_refused:  over a limit, and no connection is silent. The handler may write a reply to the
 *              descriptor. At most one line a second is logged, with the number of refusals. */
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
    ev_timer pause;                      /* out of descriptors: accepts nothing while it runs */
    bool suspended;
    uint64_t refused_count; /* refusals since the last log line about them */
    uint64_t refused_at_ms; /* turn_now_ms() of that line */
};

/* For the role's `start`: takes all its listening sockets. `processes` processes share the
 * limits. */
bool acceptor_open(struct acceptor *acceptor, struct role *role, uint32_t processes,
                   const struct acceptor_handler *handler, void *owner, struct error *error);

/* While the role cannot serve connections: between the two calls they wait in the kernel's
 * queue. */
void acceptor_suspend(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

/* Stops accepting: closes this process's descriptors of the listening sockets, which stay open in
 * other processes. Connections stay counted. May run twice, and on a zeroed struct. */
void acceptor_stop(struct acceptor *acceptor);

/* After acceptor_stop(), when no connection is left. */
void acceptor_clear(struct acceptor *acceptor);

#endif
