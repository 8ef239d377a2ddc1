/*
 * The way out to one destination: its messages under way, its connections, and how much it takes.
 * relay.
 *
 *   outlet_take ─> waiting ──next()──> a peer ──settled()──> RELAY_RESULT
 *                         ^  └─ the place cannot be reached: settled by what was the matter
 *                         └──returned()── the connection ended before the message was sent
 *
 * Slow start: one connection at first, one more for each message that was taken, up to the
 * configuration's number; half of them when the server asks for less. A destination that fails as a
 * whole (no address, no connection, no TLS where it must be) says so with wait_ms, and what waits
 * is settled at once: queue has the schedule.
 */
#ifndef SMTPD_RELAY_OUTLET_H
#define SMTPD_RELAY_OUTLET_H

#include "common/hash_table.h"
#include "smtpd/relay/outgoing.h"
#include "smtpd/relay/peer.h"
#include "smtpd/relay/target.h"

struct relay;
struct line;

struct outlet {
    UT_hash_handle hh;
    struct relay *relay;
    const struct config_route *route; /* NULL: the DNS decides */
    bool tls_is_optional; /* its connections carry nothing else: what the receiver's policies ask
                             for was not looked at */
    bool requires_tls; /* nor those of this one: servers that do not do for REQUIRETLS are passed by
                        */
    char *key;         /* '~' if it is, '!' if it does, the route's number, ' ', the name */
    size_t key_octets;
    struct slice name; /* in key: as queue names it, without the '~' or '!' */

    struct outgoing *waiting; /* a list, oldest first */
    size_t waiting_count;
    size_t under_way; /* messages that queue waits for, `waiting` among them */

    struct line *lines; /* connections, those that are being made among them */
    unsigned line_count;
    unsigned opening;
    unsigned allowed; /* connections at once, as of now */
    unsigned most;    /* the configuration's */
    unsigned next_source;
    bool pipelines;                             /* the last server that was reached */
    struct outlet *prev_starved, *next_starved; /* relay->starved */
    bool is_starved;

    struct target *target;
    struct target_search *search;
    size_t best_place; /* of the target: where connections were possible */

    unsigned failures;      /* of the whole outlet, in succession */
    uint64_t wait_until_ms; /* turn_now_ms() */
    uint64_t unused_since_ms;
    double tokens; /* messages-per-minute: messages that may begin now */
    uint64_t tokens_at_ms;
    ev_timer rate_timer;
    struct deferred work;
};

/* Takes the message. No memory for its destination: it is settled, temporarily. */
void outlet_take(struct relay *relay, struct outgoing *message);

/* Messages that may be under way from now on; NULL is fine. */
unsigned outlet_window(const struct outlet *outlet);

/* That queue is gone: its messages are dropped, connections that carry some are cut. */
void outlet_forget_messages(struct outlet *outlet, uint32_t queue_number);

/* All connections end; no message is under way. */
void outlet_quit(struct outlet *outlet);

/* A connection may be opened that could not before. */
void outlet_feed(struct outlet *outlet);

/* Of the whole process: the one that has been idle longest, if there is one. */
void outlet_end_an_idle_connection(struct relay *relay);

/* Of the whole process: so many at most of the connections that have been in the making longest,
 * which is a third of `relay.connect` at least. */
void outlet_give_up_silent(struct relay *relay, unsigned most);

/* Nothing is under way, and nothing worth remembering. */
bool outlet_is_forgettable(const struct outlet *outlet, uint64_t now_ms);
void outlet_free(struct outlet *outlet);

/* Those of relay->ended. */
void outlet_free_lines(struct line *lines);

#endif
