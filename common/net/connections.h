/*
 * Counts the connections of a process, in total and by client network, against the limits of the
 * configuration, and finds the unauthenticated connection that has been silent longest. No socket,
 * no clock. Network roles.
 *
 * A connection begins as unauthenticated. Unauthenticated connections have limits of their own, of
 * which one network gets a tenth at most, so that no network can shut out all others without
 * logging in. Nor can it shut out its own legitimate clients by silent connections: at a limit the
 * longest silent one is closed for a new one.
 */
#ifndef COMMON_NET_CONNECTIONS_H
#define COMMON_NET_CONNECTIONS_H

#include "common/config/config.h"
#include "common/net/ip_address.h"

struct connection_network;

/* One connection's share of the limits; embedded in the connection. It may be copied until the
 * first connections_hear(), and must not move after it. */
struct connection_share {
    struct connection_network *network; /* NULL: no share is held */
    bool authenticated;
    bool listed; /* in both lists below: unauthenticated, may be closed for its silence */
    uint64_t heard_ms;
    struct connection_share *prev; /* in the list of all networks, longest silent first */
    struct connection_share *next;
    struct connection_share *prev_of_network; /* in the list of its network, longest silent first */
    struct connection_share *next_of_network;
};

enum connection_verdict {
    CONNECTION_ADMITTED,
    CONNECTION_TOO_MANY,
    CONNECTION_TOO_MANY_OF_NETWORK,
    CONNECTION_TOO_MANY_UNAUTHENTICATED,
    CONNECTION_TOO_MANY_UNAUTHENTICATED_OF_NETWORK,
    CONNECTION_NO_MEMORY,
};

struct connections {
    struct config_limits limits; /* this process's part */
    uint32_t count;
    uint32_t unauthenticated;
    struct connection_share *strangers; /* unauthenticated, longest silent first */
    struct connection_network **buckets;
    size_t bucket_count;  /* a power of two */
    uint8_t hash_key[16]; /* random, so that clients cannot choose their bucket */
};

/* `limits` are shared by `processes` processes: each gets an equal part, rounded up. After
 * sodium_init(). False: no memory. */
bool connections_init(struct connections *connections, const struct config_limits *limits,
                      uint32_t processes, struct error *error);
void connections_clear(struct connections *connections); /* when no share is held any more */

/* Fills *share if admitted. */
enum connection_verdict connections_enter(struct connections *connections,
                                          const struct ip_address *client,
                                          struct connection_share *share);

/* Restarts the client's silence: it has just sent something, or it is its turn to (its connection
 * was accepted, its command answered). `now_ms` must not decrease. */
void connections_hear(struct connections *connections, struct connection_share *share,
                      uint64_t now_ms);

/* The client waits for the server: it does not count as silent until the next
 * connections_hear(). */
void connections_excuse(struct connections *connections, struct connection_share *share);

/* The connection to close so that `client`, which got `verdict`, can be admitted: the longest
 * silent unauthenticated one, last heard before `before_ms`; of the client's network if that is
 * what is full. NULL: none. */
struct connection_share *connections_find_silent(const struct connections *connections,
                                                 const struct ip_address *client,
                                                 enum connection_verdict verdict,
                                                 uint64_t before_ms);

/* The client has logged in. May run twice. */
void connections_authenticate(struct connections *connections, struct connection_share *share);

/* The connection is unauthenticated again, even if that exceeds a limit. */
void connections_forget_who(struct connections *connections, struct connection_share *share);

/* Gives the share back. Does nothing if none is held. */
void connections_leave(struct connections *connections, struct connection_share *share);

/* "limits.connections-per-network": the limit, for the reply to a client that was not admitted. */
const char *connection_verdict_limit(enum connection_verdict verdict);

#endif
