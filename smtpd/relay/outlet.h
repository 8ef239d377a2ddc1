/*
 * An outlet: the messages under way to one destination, its connections, and the limit of what the
 * destination takes. relay.
 *
 *   outlet_take ─> waiting ──next()──> a peer ──settled()──> RELAY_RESULT
 *                         ^  └─ no place can be reached: settled with the reason
 *                         └──returned()── the connection ended before the message was sent
 *
 * Slow start: one connection at first and one more for each message that was taken, up to the
 * configured number; half as many when the server asks for less. Where a destination fails as a
 * whole (no address, no connection, no TLS although it is required), the messages that wait are
 * settled at once, and wait_ms tells queue, which owns the schedule, to leave it alone for a while.
 */
#ifndef SMTPD_RELAY_OUTLET_H
#define SMTPD_RELAY_OUTLET_H

#include "common/hash_table.h"
#include "smtpd/relay/outgoing.h"
#include "smtpd/relay/peer.h"
#include "smtpd/relay/target.h"

struct relay;
struct connection;

struct outlet {
    UT_hash_handle hh;
    struct relay *relay;
    const struct config_route *route; /* NULL: the DNS decides */
    /* Messages with TLS-Required: No and those with REQUIRETLS have outlets, and so connections, of
     * their own: for the former the receiver's policies are not looked at, for the latter servers
     * that cannot do REQUIRETLS are skipped. */
    bool tls_is_optional;
    bool requires_tls;
    char *key; /* '~' if tls_is_optional, '!' if requires_tls, the route's number, ' ', the name */
    size_t key_octets;
    struct slice name; /* in key: as queue names it, without the '~' or '!' */

    struct outgoing *waiting; /* a list, oldest first */
    size_t waiting_count;
    size_t under_way; /* messages that queue waits for, including `waiting` */

    struct connection *connections; /* connections, including those that are being made */
    unsigned connection_count;
    unsigned opening;
    unsigned allowed; /* connections at once, at present */
    unsigned most;    /* the same, as configured */
    unsigned next_source;
    bool pipelines;                             /* the last server that was reached does */
    struct outlet *prev_starved, *next_starved; /* relay->starved */
    bool is_starved;

    struct target *target;
    struct target_search *search;
    size_t best_place; /* of the target: where the next connection begins */

    unsigned failures;      /* of the outlet as a whole, in succession */
    uint64_t wait_until_ms; /* turn_now_ms() */
    uint64_t unused_since_ms;
    double tokens; /* for messages-per-minute: how many may begin now */
    uint64_t tokens_at_ms;
    ev_timer rate_timer;
    struct deferred work;
};

/* Takes the message. Where there is no memory for its outlet it fails temporarily. */
void outlet_take(struct relay *relay, struct outgoing *message);

/* How many messages may be under way from now on, for RELAY_RESULT; NULL is fine. */
unsigned outlet_window(const struct outlet *outlet);

/* That queue process is gone: drops its messages, cuts the connections that carry some. */
void outlet_forget_messages(struct outlet *outlet, uint32_t queue_number);

/* All connections end; no message is under way. */
void outlet_quit(struct outlet *outlet);

/* One more connection may be opened now: an outlet that was starved tries again. */
void outlet_feed(struct outlet *outlet);

/* Ends the connection of this process that has been idle longest, if there is one. */
void outlet_end_an_idle_connection(struct relay *relay);

/* Gives up at most `most` connections of this process that are still being made, the oldest first,
 * none younger than a third of `relay.connect`. */
void outlet_give_up_silent(struct relay *relay, unsigned most);

/* Nothing is under way, and nothing worth remembering. */
bool outlet_is_forgettable(const struct outlet *outlet, uint64_t now_ms);
void outlet_free(struct outlet *outlet);

/* Frees a list of connections: relay->ended. */
void outlet_free_connections(struct connection *connections);

#endif
