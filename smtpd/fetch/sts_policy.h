/*
 * What a domain says about TLS to its mail hosts (MTA-STS, RFC 8461): the TXT record that names a
 * version of its policy, and the policy itself. Pure; fetch and relay.
 */
#ifndef SMTPD_FETCH_STS_POLICY_H
#define SMTPD_FETCH_STS_POLICY_H

#include "common/buffer.h"

enum {
    STS_ID_MAX = 32,             /* octets */
    STS_POLICY_MAX = 65536,      /* octets, RFC 8461 3.3 */
    STS_MAX_AGE_MOST = 31557600, /* seconds, RFC 8461 3.2: a year */
};

/* The id of the one TXT record below _mta-sts. that is MTA-STS's. RDATA as of dns_result, records
 * one after the other. False: there is none, several, or it is malformed (RFC 8461 3.1: all the
 * same, the domain then has no policy). */
bool sts_find_id(struct slice rdata, char id[STS_ID_MAX + 1]);

enum sts_mode {
    STS_MODE_NONE,    /* the domain had a policy and has none any more */
    STS_MODE_TESTING, /* mail is sent all the same; what would have failed is told */
    STS_MODE_ENFORCE,
};
const char *sts_mode_name(enum sts_mode mode); /* as in the policy; static */

struct sts_policy {
    struct slice text; /* the whole; borrowed */
    enum sts_mode mode;
    uint32_t max_age_s; /* no more than STS_MAX_AGE_MOST */
};

/* False: malformed, or without what a policy must have. */
bool sts_policy_parse(struct slice text, struct sts_policy *policy);

/* Whether that host may take the domain's mail (RFC 8461 4.1): one of the policy's mx is its name,
 * or "*." and its name without the first label. */
bool sts_policy_allows(const struct sts_policy *policy, struct slice host);

#endif
