/*
 * journal -> http: counters of the events of all roles. http does not answer; if it sends anything
 * to journal the channel is closed.
 */
#ifndef CTL_HTTP_METRICS_PROTOCOL_H
#define CTL_HTTP_METRICS_PROTOCOL_H

#include "common/role/ipc.h"
#include "ctl/journal/statistics_count.h"

enum metrics_record { METRICS_COUNTS = 1 };

enum metrics_way { METRICS_DELIVERED, METRICS_RELAYED, METRICS_WAYS };

/* Counted since the journal was started; numbers never decrease. */
struct metrics_counts {
    struct ipc_header header;
    uint64_t events;
    uint64_t events_lost;                 /* events that roles could not send to journal */
    uint64_t totals[STATISTICS_COUNTERS]; /* as in STATISTICS_TOTAL */
    uint64_t refusals[STATISTICS_REFUSERS][STATISTICS_CLASSES]; /* as in STATISTICS_REFUSAL */
    uint64_t delays[METRICS_WAYS][STATISTICS_SPANS]; /* recipients, by the delay of their mail */
};

#endif
