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
    struct peer peer; /* its owner is this connection */
    struct connection *prev, *next;
    struct connection *prev_idle, *next_idle;       /* relay->idle */
    struct connection *prev_opening, *next_opening; /* relay->opening, unless it is_ready */
    struct outlet *outlet;
    struct target *target; /* a share, by target_share() */
    size_t place;          /* index in target->places */
    uint64_t number;       /* for the log */
    bool is_ready;
    bool is_idle; /* in relay->idle: there was no message when it last asked for one */
    bool is_leaving;
    bool after_unfit;     /* an earlier place of this attempt cannot do REQUIRETLS */
    bool after_other;     /* an earlier place failed in another way, or was not tried */
    unsigned places;      /* tried in this attempt, this one included */
    uint64_t since_ms;    /* when the first of them was tried; turn_now_ms() */
    char broken_tls[200]; /* a handshake failed, so this time without TLS: why; empty: none did */
    struct tls_client_tlsa tlsa[TLS_CHOICE_TLSA_MAX];
    struct peer_settings settings;
};

/* Begins to connect. broken_tls: why TLS is not to be used; empty: it may be. NULL: no memory. */
struct connection *connection_open(struct outlet *outlet, size_t place, const char *broken_tls);
/* The same after `before` failed: what was said there becomes the beginning of the new transcript.
 * False: no memory. */
bool connection_open_after(const struct connection *before, size_t place, const char *broken_tls);
/* The connection has ended; it is freed at the end of the turn. */
void connection_end(struct connection *connection);

/* To the log, and to the TLS reports: the connection is ready (NULL), or why it is not. */
void connection_log(const struct connection *connection, const struct peer_failure *why);
void connection_count_tls(const struct connection *connection, const struct peer_failure *why);
/* peer_handler.closed: tries another place, or settles what waits. */
void connection_on_closed(struct peer *peer, const struct peer_failure *why);

/* ---- of the outlet ---- */

void outlet_work_later(struct outlet *outlet);
/* The next message for a connection that is free or (`ahead`) will be. NULL: none waits, or none
 * may be sent now. */
struct outgoing *outlet_next_message(struct outlet *outlet, bool ahead);
/* Whether its connections count for the domain's TLS reports. */
bool outlet_is_counted(const struct outlet *outlet);

void outlet_succeed(struct outlet *outlet);
void outlet_wait_after_failure(struct outlet *outlet);
void outlet_finish(struct outlet *outlet, struct outgoing *message, const struct peer *peer);
void outlet_settle_and_finish(struct outlet *outlet, struct outgoing *message,
                              const struct outcome *outcome);
/* Settles all messages that wait: there is no connection, and none can be made. */
void outlet_settle_waiting(struct outlet *outlet, const struct outcome *outcome);
void outlet_fail_waiting(struct outlet *outlet, enum relay_status status, const char *code,
                         const char *words);
/* RFC 8689 5: delivery reports that wait go on without REQUIRETLS, which no server offered. */
void outlet_release_reports(struct outlet *outlet);

#endif
