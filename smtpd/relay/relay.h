/*
 * The role smtpd-relay: sends mail to other hosts. queue gives it messages; it finds the hosts,
 * speaks SMTP or LMTP to them, and reports the outcome for each recipient. Several may run: queue
 * gives all mail of a destination to the same one.
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
    struct outlet *starved;     /* need a connection, but the limit is reached; oldest first */
    struct connection *opening; /* connections that are being made; oldest first */
    struct connection *idle;    /* connections without a message, longest idle first */
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

/* The queue process that waits for the message; NULL: it is gone. */
struct role_peer *relay_queue_of(struct relay *relay, const struct outgoing *message);

/* After all recipients are settled: tells queue, writes the log, frees the message. `peer`: the one
 * that sent it; NULL: none. */
void relay_finish(struct relay *relay, struct outgoing *message, const struct peer *peer);

/* A connection has ended. */
void relay_connection_ended(struct relay *relay);

/* Whether one more connection may be opened. If the limit is reached, ends an idle one. */
bool relay_has_room(struct relay *relay);

#endif
