/*
 * Mail traffic by day (UTC): counters made from the events of all roles (statistics_count.h), kept
 * as long as the history, in a database of its environment.
 *
 *   statistics.db   day, table, name, index -> how often
 *
 * New counts stay in memory until the history commits. Bounded: for each day and table at most
 * STATISTICS_ROWS_MAX counters have names, the rest go to "(others)"; at most 200 octets each. The
 * journal only.
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

/* Looks up the origin of a message that is no longer in memory; false: unknown. */
typedef bool statistics_find_origin(void *context, struct slice id,
                                    struct statistics_origin *origin);

bool statistics_open(struct db *db, statistics_find_origin *find_origin, void *context,
                     struct statistics **statistics, struct error *error);

/* From now on `also` is called too for every count. */
void statistics_tell(struct statistics *statistics, statistics_emit *also, void *also_context);
void statistics_free(struct statistics *statistics); /* before its db; NULL is fine */

/* Counts the event if it is one that counts; `entry` was parsed from `record`. It belongs to the
 * day of its own time, or to that of `now_us` if the two are more than a day apart: a role's clock
 * is not trusted further. The result of a message may arrive before the message's own event, which
 * another role sends: it then waits for its origin, until the second write at most. */
bool statistics_note(struct statistics *statistics, unsigned role_kind, struct slice record,
                     const struct log_entry *entry, uint64_t now_us, struct error *error);

/* Whether anything waits to be written, or too much does. */
bool statistics_is_waiting(const struct statistics *statistics);
bool statistics_is_full(const struct statistics *statistics);

/* Writes the pending counts in the open transaction. Then report whether it was committed: if not,
 * they stay pending. */
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

/* The counters on disk from `first_day` on, ordered by day, table, name and index. */
typedef bool statistics_visit(void *context, const struct statistics_row *row);
bool statistics_read(struct statistics *statistics, uint32_t first_day, statistics_visit *visit,
                     void *context, struct error *error);

#endif
