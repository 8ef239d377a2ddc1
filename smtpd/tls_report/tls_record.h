/*
 * The record by which a domain asks for TLS reports, RFC 8460 3: TXT of _smtp._tls.DOMAIN.
 *
 *     v=TLSRPTv1; rua=mailto:reports@example.org,https://reports.example.org/v1
 *
 * Pure; relay, queue and fetch.
 */
#ifndef SMTPD_TLS_REPORT_TLS_RECORD_H
#define SMTPD_TLS_REPORT_TLS_RECORD_H

#include "common/buffer.h"

enum { TLS_RECORD_URIS_MAX = 2048 };

/* The URIs of its rua, as they stand there: printable ASCII, LF between them. rdata: as in
 * dns_result. False: none, or several, of the records are one (RFC 8460 3), or it is malformed. */
bool tls_record_find_uris(struct slice rdata, struct buffer *uris);

/* The address of "mailto:reports@example.org?subject=x" (RFC 6068 2), without its percent signs,
 * appended. False: it is none. */
bool tls_record_mailbox(struct slice uri, struct buffer *address);

#endif
