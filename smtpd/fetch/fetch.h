/*
 * The role `fetch`: the MTA-STS policies of receiving domains (RFC 8461). It asks `resolver` for
 * the record with a policy's id and for the addresses of its host, fetches the policy by HTTPS, and
 * keeps it for its max_age in a Berkeley DB environment of its own. It runs as the user `fetch`,
 * with that directory as its root, only from the first question until it is idle: its libraries
 * would take a quarter of the idle server's memory. It also posts TLS reports by HTTPS (RFC 8460
 * 5.4), and asks about access tokens (RFC 7662).
 *
 *   relay ─ FETCH_POLICY ─> inquiry ─ TXT ─┬─ id known ──────────> cached policy ──> FETCH_ANSWER
 *                                          ├─ no record ─────────> cached one, or none
 *                                          └─ new id ─ A, AAAA ─> https_request ─> cache
 *                                                        └─ fails: the cached one, or none
 *   relay ─ FETCH_POST ─> report_post ─ A, AAAA ─> https_request ─> FETCH_ANSWER
 *   auth ── INTROSPECT ─> introspect ── A, AAAA ─> https_request ─> INTROSPECTED
 */
#ifndef SMTPD_FETCH_FETCH_H
#define SMTPD_FETCH_FETCH_H

#include "common/dns/dns_client.h"
#include "common/role/role.h"
#include "smtpd/fetch/fetch_protocol.h"
#include "smtpd/fetch/https_request.h"
#include "smtpd/fetch/policy_cache.h"

struct inquiry;

/* A policy of that id could not be had. */
struct failed_fetch {
    uint64_t until_ms; /* not to be tried again sooner; turn_now_ms() */
    enum fetch_status status;
    char why[128];
    char id[STS_ID_MAX + 1];
    char domain[DNS_NAME_MAX + 1]; /* empty: a free place */
};

enum {
    FETCH_FAILED_MAX = 256,    /* then the oldest is forgotten */
    FETCH_TRANSFERS_MAX = 100, /* each has a socket and TLS */
};

struct fetch {
    struct role *role;
    struct dns_client dns;
    struct https_requests *requests;
    struct policy_cache *cache; /* NULL: it could not be opened; nothing is kept */
    struct inquiry *inquiries;  /* by domain */
    size_t inquiry_count;
    size_t transfer_count;
    size_t introspect_count;
    struct buffer authorization; /* for introspect.h: a field and a NUL; empty: there is none */
    struct failed_fetch failed[FETCH_FAILED_MAX];
    uint64_t prune_at_s;
    ev_timer upkeep;
    ev_timer idle;  /* timeouts.linger since the last question */
    bool idle_told; /* the master was told so: it answers ROLE_STOP */
};

/* The peer that waits for an answer; it may be gone when the answer comes. */
struct fetch_asker {
    uint32_t number; /* of the relay */
    uint64_t request;
};
void fetch_send_answer(struct fetch *fetch, const struct fetch_asker *asker,
                       enum fetch_status status, struct slice text);

extern const struct role_spec fetch_role; /* state: struct fetch, zeroed */

#endif
