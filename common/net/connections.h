/*
 * How many connections a process holds, in all and of each client network, against the limits of
 * the configuration, and which of the strangers among them has been silent longest. No socket, no
 * clock. Network roles.
 *
 * A connection begins as unauthenticated; those have limits of their own, of which one network
 * holds a tenth at most, so that no network can shut all others out before it has shown who it is.
 * Nor can it shut out its own good clients by saying nothing: at a limit a stranger who is silent
 * makes room for a newcomer.
 */
#ifndef COMMON_NET_CONNECTIONS_H
#define COMMON_NET_CONNECTIONS_H

#include "common/config/config.h"
#include "common/net/ip_address.h"

struct connection_network;

/* A connection's share; lives in the connection. Until the first connections_hear() it may be
 * copied, from then on it stays where it is. */
struct connection_share {
    struct connection_network *network; /* NULL: none held */
    bool authenticated;
    bool listed; /* among the strangers who may be ended for being silent */
    uint64_t heard_ms;
    struct connection_share *prev; /* of all, the longest silent first */
    struct connection_share *next;
    struct connection_share *prev_of_network; /* the same of its network */
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
    struct connection_share *strangers; /* the longest silent first */
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

/* The client said something just now, or begins to have something to say: its connection was
 * accepted, its question answered. `now_ms` never goes back. */
void connections_hear(struct connections *connections, struct connection_share *share,
                      uint64_t now_ms);

/* The client waits for us: its silence is no fault of its own until the next connections_hear(). */
void connections_excuse(struct connections *connections, struct connection_share *share);

/* Who is to make room for that client, which got that verdict: the stranger who has been silent
 * longest, since `before_ms` at least; of the same network if that is full. NULL: nobody. */
struct connection_share *connections_find_silent(const struct connections *connections,
                                                 const struct ip_address *client,
                                                 enum connection_verdict verdict,
                                                 uint64_t before_ms);

/* The connection has shown who it is. Again: nothing. */
void connections_authenticate(struct connections *connections, struct connection_share *share);

/* It is a stranger's again, beyond limits if need be. */
void connections_forget_who(struct connections *connections, struct connection_share *share);

/* Gives the share back. Without one: nothing. */
void connections_leave(struct connections *connections, struct connection_share *share);

/* "limits.connections-per-network": what the reply to a client that was not admitted names. */
const char *connection_verdict_limit(enum connection_verdict verdict);

#endif
