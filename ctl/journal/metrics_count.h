/*
 * What the journal counts for http since it was started, whether there is a history or not. It is
 * sent at most once a second, and only what http takes at once: nobody waits for http. The journal
 * only.
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

/* Of each event, whatever it says. */
void metrics_hear(struct metrics *metrics, const struct log_entry *entry);

/* To the http process, if there is one that has taken what it was sent before. */
void metrics_send(struct metrics *metrics, struct role *role);

#endif
