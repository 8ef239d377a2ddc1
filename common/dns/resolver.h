/*
 * The role `resolver`: the DNS for all others (dns_protocol.h), by libunbound: recursion from the
 * root's servers, or from those of `resolver { servers }`, DNSSEC, one cache in memory. It speaks
 * with strangers and owns nothing: a captured resolver could lie, so what rests on its word alone
 * is only where mail goes, and in DANE's case who is there.
 */
#ifndef COMMON_DNS_RESOLVER_H
#define COMMON_DNS_RESOLVER_H

#include "common/role/role.h"

struct ub_ctx;

struct resolver {
    struct ub_ctx *context; /* NULL until the first question: it costs megabytes */
    struct buffer anchors;  /* text of the trust anchors, one a line */
    size_t under_way;
};

/* For role_run(); its state is a zeroed struct resolver. */
extern const struct role_spec resolver_role;

#endif
