/*
 * A TLS report of one domain and day as JSON, RFC 8460 4.4. Rows come in the order of their runs
 * (tls_session.h), so those of one policy are together. Pure; queue.
 */
#ifndef SMTPD_TLS_REPORT_REPORT_JSON_H
#define SMTPD_TLS_REPORT_REPORT_JSON_H

#include "smtpd/tls_report/tls_session.h"

struct report_json_head {
    struct slice organization, contact, id, domain;
    uint32_t day; /* since 1970-01-01, UTC */
};

/* Zeroed before report_json_begin(). */
struct report_json {
    struct buffer *out;
    struct buffer details; /* failure-details of the policy that is written */
    struct buffer policy;  /* which that is: type and texts */
    uint64_t successes, failures;
    size_t left_out; /* details without room; they are in the sums */
    unsigned policies;
};

enum { REPORT_JSON_MAX = 1 << 20, REPORT_DETAILS_MAX = 128 << 10 };

void report_json_begin(struct report_json *json, const struct report_json_head *head,
                       struct buffer *out);
void report_json_row(struct report_json *json, const struct tls_session *session, uint64_t count);
/* Frees what it used. Failure is the buffer's. */
void report_json_end(struct report_json *json);

#endif
