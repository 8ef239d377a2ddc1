/*
 * The journal's counters for http, from its start on, whether there is a history or not. Sent at
 * most once a second, and only if http can take the record at once: journal never waits for it. The
 * journal only.
 */
#ifndef CTL_JOURNAL_METRICS_COUNT_H
#define CTL_JOURNAL_METRICS_COUNT_H

#include "common/role/role.h"
#include "ctl/http/metrics_protocol.h"

struct metrics {
    struct metrics_counts counts;
    bool changed; /* since they were sent */
};

/* A statistics_emit; `metrics` is a struct metrics. */
bool metrics_add(void *metrics, enum statistics_table table, struct slice name, unsigned index);

/* Counts an event of any kind. */
void metrics_hear(struct metrics *metrics, const struct log_entry *entry);

/* Sends the counters to the http process, if one runs and has taken the previous record. */
void metrics_send(struct metrics *metrics, struct role *role);

#endif
