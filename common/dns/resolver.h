/*
 * The role `resolver`: the DNS for all others (dns_protocol.h), by libunbound: recursion from the
 * root's servers, or from those of `resolver { servers }`, DNSSEC, one cache in memory. It speaks
 * with strangers and owns nothing: a captured resolver could lie, so what rests on its word alone
 * is only where mail goes and, with DANE, the server's identity.
 */
#ifndef COMMON_DNS_RESOLVER_H
#define COMMON_DNS_RESOLVER_H

#include "common/role/role.h"

struct unbound_loop;

/* The library with its cache, whose times are the wall clock's. */
struct upstream {
    struct unbound_loop *library; /* NULL until the first question: it costs megabytes */
    size_t under_way;
};

struct resolver {
    /* When the clock is set back, what was found out before would be believed for so much longer, a
     * failure too: questions go to a new one then, and the old one ends with its last. */
    struct upstream upstreams[2];
    unsigned current;
    bool is_stale;   /* the clock was set back; not done yet, since the other one is not over */
    int64_t clock_s; /* by how much the wall clock is before the steady one */
    struct buffer anchors; /* text of the trust anchors, one a line */
};

/* For role_run(); its state is a zeroed struct resolver. */
extern const struct role_spec resolver_role;

#endif
