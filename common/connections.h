/*
 * How many connections a process holds, in all and of each client network, against the limits of
 * the configuration. Counting only: no socket, no clock. Network roles.
 *
 * A connection begins as unauthenticated; those have limits of their own, of which one network
 * holds a tenth at most, so that no network can shut all others out before it has shown who it is.
 */
#ifndef COMMON_CONNECTIONS_H
#define COMMON_CONNECTIONS_H

#include "common/config.h"
#include "common/ip_address.h"

struct connection_network;

/* A connection's share; lives in the connection. */
struct connection_share {
    struct connection_network *network; /* NULL: none held */
    bool authenticated;
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
    struct connection_network **buckets;
    size_t bucket_count;  /* a power of two */
    uint8_t hash_key[16]; /* clients choose their addresses, not where they fall */
};

/* The limits are those of all `processes` that share them: each has its part, rounded up. False
 * where there is no memory. sodium_init() was called. */
bool connections_init(struct connections *connections, const struct config_limits *limits,
                      uint32_t processes, struct error *error);
void connections_clear(struct connections *connections); /* no share is held any more */

/* Fills *share if admitted. */
enum connection_verdict connections_enter(struct connections *connections,
                                          const struct ip_address *client,
                                          struct connection_share *share);

/* The connection has shown who it is. Again: nothing. */
void connections_authenticate(struct connections *connections, struct connection_share *share);

/* Gives the share back. Without one: nothing. */
void connections_leave(struct connections *connections, struct connection_share *share);

/* "limits.connections-per-network": what the reply to a client that was not admitted names. */
const char *connection_verdict_limit(enum connection_verdict verdict);

#endif
