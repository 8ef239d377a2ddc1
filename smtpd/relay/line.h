/*
 * A connection of an outlet, made to one place of its target (`line.c`; where it failed,
 * `line_failure.c`), and what the files behind outlet.h share. They alone include this. relay.
 *
 *   line_open ─> the peer connects ─ready─> asks for messages until it leaves ──> line_on_closed
 *                     └─ fails ─> line_open_after: the next place; none: what waits is settled
 */
#ifndef SMTPD_RELAY_LINE_H
#define SMTPD_RELAY_LINE_H

#include "smtpd/relay/outlet.h"
#include "smtpd/relay/tls_choice.h"

/* A connection and what it is made of. */
struct line {
    struct peer peer; /* its owner is this line */
    struct line *prev, *next;
    struct line *prev_idle, *next_idle;       /* relay->idle */
    struct line *prev_opening, *next_opening; /* relay->opening, unless it is_ready */
    struct outlet *outlet;
    struct target *target; /* a share */
    size_t place;
    uint64_t number; /* for the log */
    bool is_ready;
    bool is_idle; /* in relay->idle: had nothing to do when it last asked */
    bool is_leaving;
    bool after_unfit;     /* there were places before it that do not do for REQUIRETLS, */
    bool after_other;     /* and some that failed in another way, or were not looked at */
    unsigned places;      /* that were tried in this attempt, this one too */
    uint64_t since_ms;    /* when the first of them was; turn_now_ms() */
    char broken_tls[200]; /* why the handshake failed before: without TLS this time; empty: it did
                             not */
    struct tls_client_tlsa tlsa[TLS_CHOICE_TLSA_MAX];
    struct peer_settings settings;
};

/* Now. broken_tls: why there is to be no TLS; empty: there may be. NULL: no memory. */
struct line *line_open(struct outlet *outlet, size_t place, const char *broken_tls);
/* In the place of one that failed, whose story is the beginning of its own. */
bool line_open_after(const struct line *before, size_t place, const char *broken_tls);
/* The connection is no more; freed at the end of the turn. */
void line_end(struct line *line);

/* That it stands (NULL), or why it does not. */
void line_log(const struct line *line, const struct peer_failure *why);
void line_count_tls(const struct line *line, const struct peer_failure *why);
/* peer_handler.closed: another one is tried, or what waits is settled. */
void line_on_closed(struct peer *peer, const struct peer_failure *why);

/* ---- of the outlet ---- */

void outlet_work_later(struct outlet *outlet);
/* For a connection that is free, or (`ahead`) will be; NULL: none may be sent there now. */
struct outgoing *outlet_next_message(struct outlet *outlet, bool ahead);
/* Its connections are for the domain's TLS reports. */
bool outlet_is_counted(const struct outlet *outlet);

void outlet_succeed(struct outlet *outlet);
void outlet_wait_after_failure(struct outlet *outlet);
void outlet_finish(struct outlet *outlet, struct outgoing *message, const struct peer *peer);
void outlet_settle_and_finish(struct outlet *outlet, struct outgoing *message,
                              const struct outcome *outcome);
/* All that waits, since there is no connection and none to be had. */
void outlet_settle_waiting(struct outlet *outlet, const struct outcome *outcome);
void outlet_fail_waiting(struct outlet *outlet, enum relay_status status, const char *code,
                         const char *words);
/* RFC 8689 5: reports that wait go without the demand that no server meets. */
void outlet_release_reports(struct outlet *outlet);

#endif
