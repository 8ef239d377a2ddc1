/*
 * What relay adds to TLS reports (RFC 8460): how each connection was secured goes to queue, which
 * counts; and queue's question whether a domain wants a report is asked of the DNS. relay.
 */
#ifndef SMTPD_RELAY_TLS_COUNT_H
#define SMTPD_RELAY_TLS_COUNT_H

#include "smtpd/relay/peer.h"
#include "smtpd/relay/target.h"

struct relay;

/* A connection to a host of the domain's, found in the DNS. */
struct tls_counted {
    struct slice domain;
    const struct target *target;
    size_t place;
    const struct peer *peer;
    const struct peer_failure *why; /* NULL: it is ready */
};
void tls_count_connection(struct relay *relay, const struct tls_counted *counted);

/* What PEER_BAD_TLS is in RFC 8460 4.3. */
enum tls_result tls_count_result_of(const struct peer_failure *why);

/* There is no connection, since DNSSEC or the domain's policy forbids each. Nothing where it was
 * something else. */
void tls_count_failed_target(struct relay *relay, struct slice domain,
                             const struct target_failure *why);

/* Can that name have a record? Not an address in brackets, nor the name of a route. */
bool tls_lookup_is_possible(struct slice domain);

/* RELAY_TLS_LOOKUP of queue, that number: answered by RELAY_TLS_RECORD if it is still there. */
void tls_lookup_begin(struct relay *relay, uint32_t queue, uint64_t request, struct slice domain);

#endif
