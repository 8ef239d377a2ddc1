/*
 * An outlet: the messages under way to one destination, its connections, and the current limit on
 * them. relay.
 *
 *   outlet_take ─> waiting ──next()──> a peer ──settled()──> RELAY_RESULT
 *                         ^  └─ no place can be reached: settled with the reason
 *                         └──returned()── the connection ended before the message was sent
 *
 * Slow start: one connection at first and one more for each message accepted, up to the configured
 * number; half as many when the server asks for less. If a destination fails as a whole (no
 * address, no connection, no TLS although it is required), the waiting messages are settled at
 * once, and wait_ms tells queue, which owns the schedule, to pause the destination.
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
     * their own: the former ignore the receiver's policies, the latter skip servers that cannot do
     * REQUIRETLS. */
    bool tls_is_optional;
    bool requires_tls;
    char *key; /* '~' if tls_is_optional, '!' if requires_tls, the route's number, ' ', the name */
    size_t key_octets;
    struct slice name; /* in `key`: the destination as queue names it, without '~' or '!' */

    struct outgoing *waiting; /* a list, oldest first */
    size_t waiting_count;
    size_t under_way; /* messages that queue waits for, including `waiting` */

    struct connection *connections; /* all, including those still being made */
    unsigned connection_count;
    unsigned opening;
    unsigned allowed; /* current limit of simultaneous connections */
    unsigned most;    /* configured limit of simultaneous connections */
    unsigned next_source;
    bool pipelines;                             /* the last server reached offers PIPELINING */
    struct outlet *prev_starved, *next_starved; /* relay->starved */
    bool is_starved;

    struct target *target;
    struct target_search *search;
    size_t best_place; /* index in target->places where the next connection starts */

    unsigned failures;      /* consecutive failures of the outlet as a whole */
    uint64_t wait_until_ms; /* turn_now_ms() */
    uint64_t unused_since_ms;
    double tokens; /* messages that may begin now, for messages-per-minute */
    uint64_t tokens_at_ms;
    ev_timer rate_timer;
    struct deferred work;
};

/* Takes the message. Without memory for its outlet the message fails temporarily. */
void outlet_take(struct relay *relay, struct outgoing *message);

/* How many messages may be under way from now on, for RELAY_RESULT; the outlet may be NULL. */
unsigned outlet_window(const struct outlet *outlet);

/* Called when that queue process is gone: drops its messages and cuts the connections that carry
 * any. */
void outlet_forget_messages(struct outlet *outlet, uint32_t queue_number);

/* Ends all connections; no message may be under way. */
void outlet_quit(struct outlet *outlet);

/* Called when one more connection may be opened: an outlet that was starved tries again. */
void outlet_feed(struct outlet *outlet);

/* Ends the connection of this process that has been idle longest, if there is one. */
void outlet_end_an_idle_connection(struct relay *relay);

/* Gives up at most `most` connections of this process that are still being made, oldest first, none
 * younger than a third of `relay.connect`. */
void outlet_give_up_silent(struct relay *relay, unsigned most);

/* Whether nothing is under way and there is no state worth keeping. */
bool outlet_is_forgettable(const struct outlet *outlet, uint64_t now_ms);
void outlet_free(struct outlet *outlet);

/* Frees a list of connections: relay->ended. */
void outlet_free_connections(struct connection *connections);

#endif
