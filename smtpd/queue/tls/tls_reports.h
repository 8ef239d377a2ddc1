/*
 * TLS reports (RFC 8460): relay's connections are counted (tls_counts.h), and once a day, at a
 * random time after midnight UTC, a report is sent to each domain that requests it.
 *
 *   relay ── RELAY_TLS_SESSION ──> counters
 *   a day is over: domain after domain
 *         ── RELAY_TLS_LOOKUP ──> relay ─ TXT ─> resolver
 *         <─ RELAY_TLS_RECORD ──
 *   record found:     the report is queued, its rows are removed, in one transaction
 *   none:             the rows are removed
 *   not to be known:  tried again an hour later, until the day is KEPT_DAYS old
 *
 * A report has a null reverse-path and requires no TLS (TLS-Required: No, RFC 8689). Such
 * connections are not counted, so no report is about reports; an undeliverable report is dropped
 * and logged (RFC 8460 5.3, 5.5).
 */
#ifndef SMTPD_QUEUE_TLS_TLS_REPORTS_H
#define SMTPD_QUEUE_TLS_TLS_REPORTS_H

#include "common/dns/dns_protocol.h"
#include "common/role/ipc.h"
#include "smtpd/queue/tls/tls_counts.h"

struct queue;

struct tls_reports {
    struct tls_counts counts;
    uint64_t write_at_ms; /* queue_now_ms() */
    uint64_t next_at_ms;  /* when the next domains are looked up; 0: not chosen yet */
    uint32_t chosen_day;  /* the day that next_at_ms was chosen on */
    uint64_t request;     /* id of the lookup under way; 0: none */
    uint64_t asked_at_ms;
    uint32_t day; /* day the lookup is about */
    char domain[DNS_NAME_MAX + 1];
    bool passed; /* the row after `day` and `domain` is next; false: the first */
};

/* From relay; see smtpd/relay/relay_protocol.h. */
bool tls_reports_on_session(void *owner, struct ipc_packet *packet, struct error *error);
bool tls_reports_on_record(void *owner, struct ipc_packet *packet, struct error *error);

void tls_reports_tick(struct queue *queue); /* each second */
void tls_reports_stop(struct queue *queue); /* writes what it has */

#endif
