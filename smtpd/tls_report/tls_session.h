/*
 * How a connection to a domain's server was secured, as RFC 8460 4.2 and 4.3 count it: the policy
 * that applied, and its result. Texts travel and are kept as one run of octets, each with a NUL
 * after it: what is equal is counted together, and rows of one policy stand together. Pure; relay
 * and queue.
 */
#ifndef SMTPD_TLS_REPORT_TLS_SESSION_H
#define SMTPD_TLS_REPORT_TLS_SESSION_H

#include "common/buffer.h"

/* They stand in records and on disk: never another meaning. */
enum tls_policy_type { TLS_POLICY_NONE = 1, TLS_POLICY_STS, TLS_POLICY_TLSA, TLS_POLICY_TYPES };

/* RFC 8460 4.3 */
enum tls_result {
    TLS_RESULT_SUCCESS = 1,
    TLS_RESULT_STARTTLS_NOT_SUPPORTED,
    TLS_RESULT_CERTIFICATE_HOST_MISMATCH,
    TLS_RESULT_CERTIFICATE_EXPIRED,
    TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
    TLS_RESULT_VALIDATION_FAILURE,
    TLS_RESULT_DNSSEC_INVALID,
    TLS_RESULT_STS_POLICY_FETCH_ERROR,
    TLS_RESULT_STS_POLICY_INVALID,
    TLS_RESULT_STS_WEBPKI_INVALID,
    TLS_RESULT_TLSA_INVALID,
    TLS_RESULTS,
};

const char *tls_policy_type_name(enum tls_policy_type type); /* "no-policy-found", "sts", "tlsa" */
const char *tls_result_name(enum tls_result result);

struct tls_session {
    enum tls_policy_type type;
    enum tls_result result;
    struct slice domain;
    struct slice policy;   /* RFC 8460 4.2 policy-string: its lines, LF between them */
    struct slice patterns; /* mx-host: those of an MTA-STS policy, LF between them */
    struct slice mx;       /* receiving-mx-hostname; it and the next two may be empty */
    struct slice ip;       /* receiving-ip */
    struct slice sender;   /* sending-mta-ip */
    struct slice reason;   /* failure-reason-code; empty with success */
};

enum { TLS_SESSION_MAX = 4096 }; /* octets of the run */

/* The run: domain, type and the policy, then the result. Octets that are not printable become '?'
 * (LF stays between lines). Failure is the buffer's. */
void tls_session_append(const struct tls_session *session, struct buffer *run);

/* False: malformed, over TLS_SESSION_MAX, without a domain, or of unknown type or result. */
bool tls_session_parse(struct slice run, struct tls_session *session);

/* Of a handshake that failed: which result its words mean ("certificate has expired"). */
enum tls_result tls_result_of_words(struct slice words);

#endif
