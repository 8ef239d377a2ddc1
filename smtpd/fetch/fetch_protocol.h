/*
 * What the role `fetch` is asked and what it answers: the MTA-STS policy of a domain (RFC 8461),
 * from its cache or from the domain's policy host.
 *
 *   relay ── FETCH_POLICY ──> fetch
 *   relay <─ FETCH_ANSWER ─── fetch
 */
#ifndef SMTPD_FETCH_FETCH_PROTOCOL_H
#define SMTPD_FETCH_FETCH_PROTOCOL_H

#include "common/dns/dns_protocol.h"
#include "smtpd/fetch/sts_policy.h"

enum fetch_record {
    FETCH_POLICY = 1,
    FETCH_ANSWER = 101,
};

/* The domain follows: A-labels, lower case, no dot at its end. */
struct fetch_policy {
    struct ipc_header header;
    uint16_t domain_octets;
    uint16_t reserved[3];
};

enum fetch_status {
    FETCH_FOUND = 1, /* a policy that is in force, of any mode */
    FETCH_NONE,      /* the domain has none, or none that could be had and none was known */
    FETCH_UNKNOWN,   /* it could not be looked up here: no memory, too much under way */
};

/* FOUND: the policy follows, checked. Else a text for the log: why. */
struct fetch_answer {
    struct ipc_header header; /* request: of the question */
    uint16_t status;          /* enum fetch_status */
    uint16_t reserved;
    uint32_t octets; /* of what follows */
};

enum { FETCH_ANSWER_MAX = sizeof(struct fetch_answer) + STS_POLICY_MAX };

#endif
