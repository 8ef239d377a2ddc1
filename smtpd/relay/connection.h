/*
 * A connection of an outlet, to one address of its target: `connection.c`, and
 * `connection_failure.c` for one that failed. Also declares what the implementation files of
 * outlet.h share; only they include this. relay.
 *
 *   connection_open ─> the peer connects ─ready─> asks for messages until it leaves ─> closed
 *       ^                             └─ fails ─> closed: the next place; none left: settles
 *       └──────── connection_open_after ─────────────┘     what waits
 */
#ifndef SMTPD_RELAY_CONNECTION_H
#define SMTPD_RELAY_CONNECTION_H

#include "smtpd/relay/outlet.h"
#include "smtpd/relay/tls_choice.h"

struct connection {
    struct peer peer; /* peer.owner is this connection */
    struct connection *prev, *next;
    struct connection *prev_idle, *next_idle;       /* relay->idle */
    struct connection *prev_opening, *next_opening; /* relay->opening, unless it is_ready */
    struct outlet *outlet;
    struct target *target; /* a share, by target_share() */
    size_t place;          /* index in target->places */
    uint64_t number;       /* for the log */
    bool is_ready;
    bool is_idle; /* linked in relay->idle: there was no message when it last asked for one */
    bool is_leaving;
    bool after_unfit;     /* an earlier place of this attempt cannot do REQUIRETLS */
    bool after_other;     /* an earlier place failed in another way, or was not tried */
    unsigned places;      /* places tried in this attempt, including this one */
    uint64_t since_ms;    /* when this attempt tried its first place; turn_now_ms() */
    char broken_tls[200]; /* why a handshake failed, so TLS is not used; empty: none failed */
    struct tls_client_tlsa tlsa[TLS_CHOICE_TLSA_MAX];
    struct peer_settings settings;
};

/* Begins to connect. broken_tls: why TLS must not be used; empty: it may be. NULL: no memory. */
struct connection *connection_open(struct outlet *outlet, size_t place, const char *broken_tls);
/* Begins to connect after `before` failed: its dialogue becomes the beginning of the new
 * transcript. False: no memory. */
bool connection_open_after(const struct connection *before, size_t place, const char *broken_tls);
/* Unlinks a connection that has ended; it is freed at the end of the turn. */
void connection_end(struct connection *connection);

/* Record in the log and in the TLS reports that the connection is ready (NULL), or why it is
 * not. */
void connection_log(const struct connection *connection, const struct peer_failure *why);
void connection_count_tls(const struct connection *connection, const struct peer_failure *why);
/* peer_handler.closed: tries another place, or settles the waiting messages. */
void connection_on_closed(struct peer *peer, const struct peer_failure *why);

/* ---- of the outlet ---- */

void outlet_work_later(struct outlet *outlet);
/* The next message for a connection that is free or (`ahead`) will be. NULL: none waits, or none
 * may be sent now. */
struct outgoing *outlet_next_message(struct outlet *outlet, bool ahead);
/* Whether the outlet's connections count for the domain's TLS reports. */
bool outlet_is_counted(const struct outlet *outlet);

void outlet_succeed(struct outlet *outlet);
void outlet_wait_after_failure(struct outlet *outlet);
void outlet_finish(struct outlet *outlet, struct outgoing *message, const struct peer *peer);
void outlet_settle_and_finish(struct outlet *outlet, struct outgoing *message,
                              const struct outcome *outcome);
/* Settle all waiting messages: there is no connection, and none can be made. */
void outlet_settle_waiting(struct outlet *outlet, const struct outcome *outcome);
void outlet_fail_waiting(struct outlet *outlet, enum relay_status status, const char *code,
                         const char *words);
/* RFC 8689 5: waiting delivery reports are sent without REQUIRETLS, since no server offered it. */
void outlet_release_reports(struct outlet *outlet);

#endif
