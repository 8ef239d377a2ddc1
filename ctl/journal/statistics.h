/*
 * How much mail came and went, by day (UTC): counters that the events of all roles add up to
 * (statistics_count.h), kept as long as the history, in a tree of its environment.
 *
 *   statistics.db   day, table, name, index -> how often
 *
 * What is counted waits in memory until the history commits. Bounded: of one day and table no more
 * than STATISTICS_ROWS_MAX counters are kept by name, the rest under "(others)"; 200 octets each at
 * most. The journal only.
 */
#ifndef CTL_JOURNAL_STATISTICS_H
#define CTL_JOURNAL_STATISTICS_H

#include "common/disk/db.h"
#include "ctl/journal/statistics_count.h"

enum {
    STATISTICS_ROWS_MAX = 5000,
    STATISTICS_WAITING_MAX = 1024, /* counters in memory, and events; more: commit */
};

struct statistics;

/* The origin of a message that is not remembered any more; false: nothing is known of it. */
typedef bool statistics_find_origin(void *context, struct slice id,
                                    struct statistics_origin *origin);

bool statistics_open(struct db *db, statistics_find_origin *find_origin, void *context,
                     struct statistics **statistics, struct error *error);

/* From now on `also` is called, too, for whatever is counted. */
void statistics_tell(struct statistics *statistics, statistics_emit *also, void *also_context);
void statistics_free(struct statistics *statistics); /* before its db; NULL is fine */

/* Counts the event, if it is of those that count: `record` is the one that `entry` was parsed from.
 * It belongs to the day of its time, or to that of `now_us` where the two are more than a day
 * apart: a role's clock is not believed beyond that. What became of a message may be heard before
 * the message itself, which another role speaks of: such an event waits for its origin, until the
 * second write at most. */
bool statistics_note(struct statistics *statistics, unsigned role_kind, struct slice record,
                     const struct log_entry *entry, uint64_t now_us, struct error *error);

/* Whether something waits to be written, or too much. */
bool statistics_is_waiting(const struct statistics *statistics);
bool statistics_is_full(const struct statistics *statistics);

/* Puts what waits into the tree, in the transaction that is open. Then tell what became of that:
 * what was not committed waits on. */
bool statistics_write(struct statistics *statistics, struct error *error);
void statistics_settle(struct statistics *statistics, bool committed);

/* In a transaction: removes counters of days before `now_us` - `age_us`, a bounded number. */
bool statistics_prune(struct statistics *statistics, uint64_t now_us, uint64_t age_us,
                      struct error *error);

struct statistics_row {
    uint32_t day; /* since 1970-01-01 */
    enum statistics_table table;
    struct slice name; /* borrowed */
    unsigned index;
    uint64_t count;
};

/* What is on disk from `first_day` on, in the order of day, table, name and index. */
typedef bool statistics_visit(void *context, const struct statistics_row *row);
bool statistics_read(struct statistics *statistics, uint32_t first_day, statistics_visit *visit,
                     void *context, struct error *error);

#endif
