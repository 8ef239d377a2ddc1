/*
 * How connections to other domains were secured, counted by day and domain for their TLS reports
 * (RFC 8460). What relay says gathers in memory and is written once a minute; a crash loses at most
 * that. The rows of a day and domain go when its report is queued, in the same transaction.
 *
 *   tls.db   day, run of smtpd/tls_report/tls_session.h -> how often
 */
#ifndef SMTPD_QUEUE_TLS_TLS_COUNTS_H
#define SMTPD_QUEUE_TLS_TLS_COUNTS_H

#include "common/hash_table.h"
#include "smtpd/queue/store/store.h"
#include "smtpd/tls_report/tls_session.h"

enum { TLS_COUNTS_MAX = 4096 }; /* in memory; then they are written sooner */

struct tls_count;

struct tls_counts {
    struct tls_count *rows;
    size_t row_count;
    uint64_t lost; /* for lack of memory or disk */
};

/* One connection of that day (since 1970, UTC); `run` was parsed. Full: write first. */
void tls_counts_add(struct tls_counts *counts, uint32_t day, struct slice run);
static inline bool tls_counts_is_full(const struct tls_counts *counts)
{
    return counts->row_count >= TLS_COUNTS_MAX;
}

/* In a transaction of its own. False: they wait on. */
bool tls_counts_write(struct tls_counts *counts, struct queue_store *store, struct error *error);
void tls_counts_clear(struct tls_counts *counts);

#endif
