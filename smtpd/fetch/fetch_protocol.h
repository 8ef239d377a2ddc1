/*
 * What the role `fetch` is asked and what it answers: the MTA-STS policy of a domain (RFC 8461),
 * from its cache or from the domain's policy host; and what became of a TLS report that it is to
 * hand in (RFC 8460 5.4).
 *
 *   relay ── FETCH_POLICY, FETCH_POST ──> fetch
 *   relay <─ FETCH_ANSWER ─────────────── fetch
 */
#ifndef SMTPD_FETCH_FETCH_PROTOCOL_H
#define SMTPD_FETCH_FETCH_PROTOCOL_H

#include "common/dns/dns_protocol.h"
#include "smtpd/fetch/sts_policy.h"
#include "smtpd/tls_report/tls_record.h"
#include "smtpd/tls_report/tls_session.h"

enum fetch_record {
    FETCH_POLICY = 1,
    FETCH_POST,
    FETCH_ANSWER = 101,
};

/* The domain follows: A-labels, lower case, no dot at its end. */
struct fetch_policy {
    struct ipc_header header;
    uint16_t domain_octets;
    uint16_t reserved[3];
};

/* The URI follows, as https_url_parse() takes it, then the report, gzip'd. */
struct fetch_post {
    struct ipc_header header;
    uint16_t uri_octets;
    uint16_t reserved;
    uint32_t body_octets;
};

enum fetch_status {
    FETCH_FOUND = 1, /* a policy that is in force, of any mode */
    FETCH_NONE,      /* the domain has none */
    FETCH_UNKNOWN,   /* policy or report: not here and now, for lack of memory or whatever else */
    /* The domain's record names a policy; none was known, and it could not be had. RFC 8460 4.3.2.2
     * keeps these apart; for mail it is as if there were none (RFC 8461 3.3). */
    FETCH_FAILED,
    FETCH_UNTRUSTED, /* the certificate of its host */
    FETCH_INVALID,   /* malformed */
    /* Of a report. */
    FETCH_POSTED,
    FETCH_NOT_POSTED, /* it may succeed later */
    FETCH_REFUSED,    /* it will not: the server says so */
    FETCH_STATUS_END,
};

/* Which result of a TLS report it is; 0: none. */
static inline enum tls_result fetch_status_result(enum fetch_status status)
{
    static const enum tls_result results[FETCH_STATUS_END] = {
        [FETCH_FAILED] = TLS_RESULT_STS_POLICY_FETCH_ERROR,
        [FETCH_UNTRUSTED] = TLS_RESULT_STS_WEBPKI_INVALID,
        [FETCH_INVALID] = TLS_RESULT_STS_POLICY_INVALID,
    };
    return results[status];
}

/* FOUND: the policy follows, checked. Else a text for the log: why. */
struct fetch_answer {
    struct ipc_header header; /* request: of the question */
    uint16_t status;          /* enum fetch_status */
    uint16_t reserved;
    uint32_t octets; /* of what follows */
};

enum {
    FETCH_ANSWER_MAX = sizeof(struct fetch_answer) + STS_POLICY_MAX,
    FETCH_URI_MAX = TLS_RECORD_URIS_MAX,
    FETCH_BODY_MAX = 65536,
    FETCH_POST_MAX = sizeof(struct fetch_post) + FETCH_URI_MAX + FETCH_BODY_MAX,
};

#endif
