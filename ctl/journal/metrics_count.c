/* Counters of the events; see metrics_count.h. */
#include "ctl/journal/metrics_count.h"

static void count_refusal(struct metrics_counts *counts, struct slice class, unsigned refuser)
{
    for (unsigned i = 0; refuser < STATISTICS_REFUSERS && i < STATISTICS_CLASSES; i++)
        if (slice_equal(class, slice_of_string(statistics_classes[i])))
            counts->refusals[refuser][i]++;
}

bool metrics_add(void *context, enum statistics_table table, struct slice name, unsigned index)
{
    struct metrics *metrics = context;
    struct metrics_counts *counts = &metrics->counts;
    bool delivered = slice_equal(name, SLICE("delivered"));
    if (table == STATISTICS_TOTAL && index < STATISTICS_COUNTERS)
        counts->totals[index]++;
    else if (table == STATISTICS_REFUSAL)
        count_refusal(counts, name, index);
    else if (table == STATISTICS_DELAY && index < STATISTICS_SPANS)
        counts->delays[delivered ? METRICS_DELIVERED : METRICS_RELAYED][index]++;
    return true;
}

void metrics_hear(struct metrics *metrics, const struct log_entry *entry)
{
    metrics->counts.events++;
    metrics->counts.events_lost += entry->dropped;
    metrics->changed = true;
}

void metrics_send(struct metrics *metrics, struct role *role)
{
    struct role_peer *peer = role_find_peer(role, ROLE_HTTP);
    if (!metrics->changed || !peer || peer->channel.unsent_octets > 0)
        return;
    metrics->counts.header = (struct ipc_header){.type = METRICS_COUNTS};
    metrics->changed = !ipc_send_record(&peer->channel, &metrics->counts.header,
                                        sizeof(metrics->counts), slice_of(NULL, 0), NULL);
}
