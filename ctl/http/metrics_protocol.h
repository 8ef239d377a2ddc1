/*
 * journal -> http: what was counted of the events of all roles. http answers nothing; whatever it
 * says to journal ends it.
 */
#ifndef CTL_HTTP_METRICS_PROTOCOL_H
#define CTL_HTTP_METRICS_PROTOCOL_H

#include "common/role/ipc.h"
#include "ctl/journal/statistics_count.h"

enum metrics_record { METRICS_COUNTS = 1 };

enum metrics_way { METRICS_DELIVERED, METRICS_RELAYED, METRICS_WAYS };

/* Since the journal was started, each number never less than in the record before. */
struct metrics_counts {
    struct ipc_header header;
    uint64_t events;
    uint64_t events_lost;                 /* that roles could not get rid of */
    uint64_t totals[STATISTICS_COUNTERS]; /* as those of STATISTICS_TOTAL */
    uint64_t refusals[STATISTICS_REFUSERS][STATISTICS_CLASSES]; /* as those of STATISTICS_REFUSAL */
    uint64_t delays[METRICS_WAYS][STATISTICS_SPANS]; /* recipients whose mail took so long */
};

#endif
