/*
 * The role smtpd-relay: mail to other hosts. queue says what is to go where; this process finds the
 * hosts, speaks SMTP or LMTP to them, and says what became of each recipient. Several may run:
 * queue gives all of a destination to the same one.
 *
 *   queue ─ RELAY_MESSAGE ─> outgoing ─> outlet ─ target (DNS) ─> peer ─> the world
 *         <─ RELAY_RESULT ──────┘
 */
#ifndef SMTPD_RELAY_RELAY_H
#define SMTPD_RELAY_RELAY_H

#include "common/role/role.h"
#include "common/role/turn.h"
#include "smtpd/relay/outlet.h"

struct relay {
    struct role *role;
    struct turn turn;
    struct dns_client dns;
    struct fetch_client fetch;
    struct target_context targets;
    struct tls_client *tls;
    char **passwords; /* of each route; NULL: none, or unreadable */
    uint8_t *chunk;   /* OUTGOING_CHUNK octets */
    struct outlet *outlets;
    struct outlet *starved;     /* want a connection, but there are too many; oldest first */
    struct connection *opening; /* connections that are being made; oldest first */
    struct connection *idle;    /* connections without a message; the longest idle first */
    struct connection *ended;   /* connections to be freed at the end of the turn */
    struct deferred free_ended;
    unsigned connections;
    unsigned connections_max;
    size_t messages; /* under way */
    uint64_t last_connection;
    uint64_t served; /* connections, for the counts */
    ev_timer sweep;
    ev_timer patience;
};

extern const struct role_spec relay_role; /* state: struct relay, zeroed */

/* The queue that waits for the message; NULL: it is gone, and nobody does. */
struct role_peer *relay_queue_of(struct relay *relay, const struct outgoing *message);

/* All recipients are settled: tells queue, writes the log, frees the message. peer: which carried
 * it; NULL: none. */
void relay_finish(struct relay *relay, struct outgoing *message, const struct peer *peer);

/* A connection less. */
void relay_connection_ended(struct relay *relay);

/* Room for one more connection? Ends somebody's idle one for it where there is none. */
bool relay_has_room(struct relay *relay);

#endif
