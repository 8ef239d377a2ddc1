/*
 * A TLS report as a message, RFC 8460 5.3: multipart/report with the JSON, gzip'd, in base64. It is
 * not signed with DKIM, which this system does not do yet. Pure but for zlib's memory; queue.
 */
#ifndef SMTPD_TLS_REPORT_REPORT_MAIL_H
#define SMTPD_TLS_REPORT_REPORT_MAIL_H

#include "common/buffer.h"

struct report_mail {
    struct slice submitter; /* our host name */
    struct slice domain;    /* whose mail it is about */
    struct slice from;      /* an address */
    struct slice to;        /* addresses, LF between them */
    struct slice id;        /* report-id */
    const char *queue_id;
    const char *boundary;
    uint32_t day;
    int64_t now;
    struct slice packed; /* the report, by report_mail_gzip() */
};

/* The report as it is sent, by mail in base64 or by HTTPS as it is. False: no memory. */
bool report_mail_gzip(struct slice json, struct buffer *packed);

/* Failure is the buffer's. */
void report_mail_format(const struct report_mail *mail, struct buffer *out);

#endif
