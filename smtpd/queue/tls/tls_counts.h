/*
 * Counts how connections to other domains were secured, by day and domain, for their TLS reports
 * (RFC 8460). Counts gather in memory and are written once a minute; a crash loses at most that.
 * The rows of a day and domain are removed in the transaction that queues its report.
 *
 *   tls.db   day, run of smtpd/tls_report/tls_session.h -> how often
 */
#ifndef SMTPD_QUEUE_TLS_TLS_COUNTS_H
#define SMTPD_QUEUE_TLS_TLS_COUNTS_H

#include "common/hash_table.h"
#include "smtpd/queue/store/store.h"
#include "smtpd/tls_report/tls_session.h"

enum { TLS_COUNTS_MAX = 4096 }; /* rows in memory; when full they are written early */

struct tls_count;

struct tls_counts {
    struct tls_count *rows;
    size_t row_count;
    uint64_t lost; /* connections not counted for lack of memory or disk */
};

/* Counts one connection. `day`: days since 1970, UTC; `run` must be valid. If full, write first. */
void tls_counts_add(struct tls_counts *counts, uint32_t day, struct slice run);
static inline bool tls_counts_is_full(const struct tls_counts *counts)
{
    return counts->row_count >= TLS_COUNTS_MAX;
}

/* Writes the rows in a transaction of its own. False: they stay in memory. */
bool tls_counts_write(struct tls_counts *counts, struct queue_store *store, struct error *error);
void tls_counts_clear(struct tls_counts *counts);

#endif
