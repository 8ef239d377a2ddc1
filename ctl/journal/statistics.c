/* Counters in memory and on disk; see statistics.h. */
#include "ctl/journal/statistics.h"

#include <stdlib.h>

#include "common/disk/db.h"
#include "common/hash_table.h"
#include "common/size.h"

enum {
    PAGE_OCTETS = 4096,
    BULK_OCTETS = 64 << 10,
    DAY_OCTETS = 4,
    KEY_SMALLEST = DAY_OCTETS + 1 + 1 + 1, /* day, table, no name, NUL, index */
    KEY_MAX = KEY_SMALLEST + STATISTICS_NAME_MAX,
    ORIGINS = 256, /* remembered: a power of two */
    ROWS_PER_PRUNE = 1000,
};

static const uint64_t day_us = 86400000000U;

/* A counter to be written. */
struct counter {
    UT_hash_handle hh;
    uint64_t count;
    size_t key_octets;
    uint8_t key[KEY_MAX];
};

/* Which message it is of: a hash of the id. Two of the same hash within these are not met. */
struct remembered {
    uint64_t id;
    struct statistics_origin origin;
};

/* An event whose message is not known yet. */
struct orphan {
    struct orphan *next;
    unsigned role_kind;
    uint64_t now_us;
    bool has_waited; /* for a write */
    size_t octets;
    uint8_t record[];
};

/* Number of a day's counters on disk, by table; a write needs it to keep the bound. */
struct day_rows {
    bool known;
    uint32_t day;
    uint32_t rows[STATISTICS_TABLES];
};

struct statistics {
    struct db_tree *tree;
    statistics_find_origin *find_origin;
    void *context;
    statistics_emit *also;
    void *also_context;
    struct counter *waiting;
    struct orphan *orphans;
    size_t orphan_count;
    struct day_rows day_rows;
    struct buffer value;
    struct remembered origins[ORIGINS]; /* the latest of each place */
};

/* ---- keys and values ---- */

static size_t format_key(uint8_t key[KEY_MAX], const struct statistics_row *row)
{
    struct buffer out = {.ptr = key, .capacity = KEY_MAX, .limit = KEY_MAX};
    db_append_number(&out, row->day, DAY_OCTETS);
    buffer_append_octet(&out, (uint8_t)row->table);
    buffer_append(&out, slice_range(row->name, 0, STATISTICS_NAME_MAX));
    buffer_append_octet(&out, 0);
    buffer_append_octet(&out, (uint8_t)row->index);
    return out.len;
}

static bool parse_row(struct slice key, struct slice value, struct statistics_row *row)
{
    if (key.len < KEY_SMALLEST || value.len != 8)
        return false;
    row->day = (uint32_t)db_parse_number(slice_range(key, 0, DAY_OCTETS));
    row->table = key.ptr[DAY_OCTETS];
    row->name = slice_range(key, DAY_OCTETS + 1, key.len - 2);
    row->index = key.ptr[key.len - 1];
    row->count = db_parse_number(value);
    return row->table < STATISTICS_TABLES;
}

/* ---- life ---- */

bool statistics_open(struct db *db, statistics_find_origin *find_origin, void *context,
                     struct statistics **opened, struct error *error)
{
    struct statistics *statistics = calloc(1, sizeof(*statistics));
    *opened = NULL;
    if (!statistics)
        return error_memory(error);
    statistics->find_origin = find_origin;
    statistics->context = context;
    buffer_init(&statistics->value, 64);
    if (!db_tree_open(db, "statistics.db", PAGE_OCTETS, &statistics->tree, error)) {
        statistics_free(statistics);
        return false;
    }
    *opened = statistics;
    return true;
}

void statistics_tell(struct statistics *statistics, statistics_emit *also, void *also_context)
{
    statistics->also = also;
    statistics->also_context = also_context;
}

static void forget_waiting(struct statistics *statistics)
{
    struct counter *counter = statistics->waiting;
    HASH_CLEAR(hh, statistics->waiting);
    while (counter) {
        struct counter *next = counter->hh.next;
        free(counter);
        counter = next;
    }
}

static struct orphan *take_orphans(struct statistics *statistics)
{
    struct orphan *orphans = statistics->orphans;
    statistics->orphans = NULL;
    statistics->orphan_count = 0;
    return orphans;
}

static void put_orphan(struct statistics *statistics, struct orphan *orphan)
{
    orphan->next = statistics->orphans;
    statistics->orphans = orphan;
    statistics->orphan_count++;
}

static void forget_orphans(struct statistics *statistics)
{
    struct orphan *orphan = take_orphans(statistics);
    while (orphan) {
        struct orphan *next = orphan->next;
        free(orphan);
        orphan = next;
    }
}

void statistics_free(struct statistics *statistics)
{
    if (!statistics)
        return;
    forget_waiting(statistics);
    forget_orphans(statistics);
    buffer_clear(&statistics->value);
    free(statistics);
}

/* ---- origins ---- */

static uint64_t hash_of(struct slice id)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ id.ptr[i]) * 1099511628211U;
    return hash;
}

static void remember(struct statistics *statistics, struct slice id,
                     const struct statistics_origin *origin)
{
    uint64_t hash = hash_of(id);
    statistics->origins[hash % ORIGINS] = (struct remembered){hash, *origin};
}

/* NULL: it is not remembered. */
static const struct statistics_origin *remembered_origin(const struct statistics *statistics,
                                                         struct slice id)
{
    uint64_t hash = hash_of(id);
    const struct remembered *place = &statistics->origins[hash % ORIGINS];
    return place->origin.is_known && place->id == hash ? &place->origin : NULL;
}

/* NULL: nothing is known. */
static const struct statistics_origin *look_for_origin(struct statistics *statistics,
                                                       struct slice id)
{
    struct statistics_origin found = {0};
    const struct statistics_origin *origin = remembered_origin(statistics, id);
    if (origin || !statistics->find_origin
        || !statistics->find_origin(statistics->context, id, &found))
        return origin;
    remember(statistics, id, &found);
    return remembered_origin(statistics, id);
}

/* ---- counting ---- */

struct noting {
    struct statistics *statistics;
    uint32_t day;
};

static bool add(void *context, enum statistics_table table, struct slice name, unsigned index)
{
    const struct noting *noting = context;
    struct counter *counter;
    uint8_t key[KEY_MAX];
    const struct statistics_row row = {noting->day, table, name, index, 0};
    size_t key_octets = format_key(key, &row);
    HASH_FIND(hh, noting->statistics->waiting, key, key_octets, counter);
    if (!counter) {
        counter = calloc(1, sizeof(*counter));
        if (!counter)
            return false;
        memcpy(counter->key, key, key_octets);
        counter->key_octets = key_octets;
        HASH_ADD(hh, noting->statistics->waiting, key, key_octets, counter);
        if (!hash_table_holds(&counter->hh)) {
            free(counter);
            return false;
        }
    }
    counter->count++;
    const struct statistics *statistics = noting->statistics;
    return !statistics->also || statistics->also(statistics->also_context, table, name, index);
}

static uint32_t day_of(uint64_t time_us, uint64_t now_us)
{
    uint64_t apart = time_us > now_us ? time_us - now_us : now_us - time_us;
    return (uint32_t)((apart > day_us ? now_us : time_us) / day_us);
}

static bool count(struct statistics *statistics, unsigned role_kind, const struct log_entry *entry,
                  const struct statistics_origin *origin, uint64_t now_us)
{
    static const struct statistics_origin nothing = {0};
    struct noting noting = {statistics, day_of(entry->time_us, now_us)};
    return statistics_count(role_kind, entry, origin ? origin : &nothing, add, &noting);
}

static bool keep_orphan(struct statistics *statistics, unsigned role_kind, struct slice record,
                        uint64_t now_us)
{
    struct orphan *orphan = calloc(1, sizeof(*orphan) + record.len);
    if (!orphan)
        return false;
    orphan->role_kind = role_kind;
    orphan->now_us = now_us;
    orphan->octets = record.len;
    memcpy(orphan->record, record.ptr, record.len);
    put_orphan(statistics, orphan);
    return true;
}

bool statistics_note(struct statistics *statistics, unsigned role_kind, struct slice record,
                     const struct log_entry *entry, uint64_t now_us, struct error *error)
{
    const struct statistics_origin *origin = NULL;
    struct statistics_origin told = {0};
    struct slice id;
    if (statistics_tells_origin(role_kind, entry, &id, &told))
        remember(statistics, id, &told);
    if (statistics_wants_origin(role_kind, entry, &id)) {
        origin = remembered_origin(statistics, id);
        if (!origin)
            return keep_orphan(statistics, role_kind, record, now_us) || error_memory(error);
    }
    return count(statistics, role_kind, entry, origin, now_us) || error_memory(error);
}

/* Takes the orphan. */
static bool settle_orphan(struct statistics *statistics, struct orphan *orphan)
{
    struct log_entry entry;
    struct slice id;
    bool counted = true;
    if (log_entry_parse(slice_of(orphan->record, orphan->octets), &entry, NULL)
        && statistics_wants_origin(orphan->role_kind, &entry, &id)) {
        const struct statistics_origin *origin = look_for_origin(statistics, id);
        if (!origin && !orphan->has_waited) {
            orphan->has_waited = true;
            put_orphan(statistics, orphan);
            return true;
        }
        counted = count(statistics, orphan->role_kind, &entry, origin, orphan->now_us);
    }
    free(orphan);
    return counted;
}

static bool settle_orphans(struct statistics *statistics, struct error *error)
{
    struct orphan *orphan = take_orphans(statistics);
    bool settled = true;
    while (orphan) {
        struct orphan *next = orphan->next;
        settled &= settle_orphan(statistics, orphan);
        orphan = next;
    }
    return settled || error_memory(error);
}

bool statistics_is_waiting(const struct statistics *statistics)
{
    return statistics->waiting != NULL || statistics->orphans != NULL;
}

bool statistics_is_full(const struct statistics *statistics)
{
    return HASH_COUNT(statistics->waiting) + statistics->orphan_count >= STATISTICS_WAITING_MAX;
}

/* ---- writing ---- */

static bool count_row(void *context, const struct statistics_row *row)
{
    struct day_rows *day_rows = context;
    if (row->day != day_rows->day)
        return false;
    day_rows->rows[row->table]++;
    return true;
}

static bool know_day(struct statistics *statistics, uint32_t day, struct error *error)
{
    struct day_rows day_rows = {.known = true, .day = day};
    if (statistics->day_rows.known && statistics->day_rows.day == day)
        return true;
    if (!statistics_read(statistics, day, count_row, &day_rows, error))
        return false;
    statistics->day_rows = day_rows;
    return true;
}

/* The counter's value on disk; 0 if it is new. */
static bool read_counter(struct statistics *statistics, struct slice key, uint64_t *count,
                         struct error *error)
{
    *count = 0;
    if (!db_get(statistics->tree, key, &statistics->value, error))
        return error->kind == ERROR_NOT_FOUND;
    *count = db_parse_number(buffer_slice(&statistics->value));
    return true;
}

static bool write_counter(struct statistics *statistics, const struct statistics_row *row,
                          bool may_be_new, bool *written, struct error *error)
{
    uint8_t key_octets[KEY_MAX], value_octets[8];
    struct slice key = slice_of(key_octets, format_key(key_octets, row));
    struct buffer value = {.ptr = value_octets, .capacity = 8, .limit = 8};
    uint64_t before;
    if (!read_counter(statistics, key, &before, error))
        return false;
    *written = before > 0 || may_be_new;
    if (!*written)
        return true;
    if (before == 0)
        statistics->day_rows.rows[row->table]++;
    db_append_number(&value, before + row->count, 8);
    return db_put(statistics->tree, key, buffer_slice(&value), error);
}

static bool write_one(struct statistics *statistics, const struct counter *counter,
                      struct error *error)
{
    uint8_t no_count[8] = {0};
    struct statistics_row row;
    bool written = true;
    if (!parse_row(slice_of(counter->key, counter->key_octets), slice_of(no_count, 8), &row))
        return true;
    row.count = counter->count;
    if (!know_day(statistics, row.day, error))
        return false;
    bool has_room = statistics->day_rows.rows[row.table] < STATISTICS_ROWS_MAX;
    if (!write_counter(statistics, &row, has_room, &written, error))
        return false;
    row.name = SLICE("(others)");
    return written || write_counter(statistics, &row, true, &written, error);
}

bool statistics_write(struct statistics *statistics, struct error *error)
{
    struct counter *counter, *next;
    if (!settle_orphans(statistics, error))
        return false;
    HASH_ITER (hh, statistics->waiting, counter, next)
        if (!write_one(statistics, counter, error))
            return false;
    return true;
}

void statistics_settle(struct statistics *statistics, bool committed)
{
    if (committed)
        forget_waiting(statistics);
    else
        statistics->day_rows.known = false;
    if (statistics_is_full(statistics)) { /* nothing was committed for long */
        forget_waiting(statistics);
        forget_orphans(statistics);
    }
}

bool statistics_prune(struct statistics *statistics, uint64_t now_us, uint64_t age_us,
                      struct error *error)
{
    struct db_cursor cursor;
    struct slice key, value;
    uint64_t first_kept = now_us > age_us ? (now_us - age_us) / day_us : 0;
    db_cursor_init(&cursor, statistics->tree, SLICE(""), BULK_OCTETS);
    bool good = true;
    for (int i = 0; good && i < ROWS_PER_PRUNE; i++) {
        if (!db_cursor_next(&cursor, &key, &value, error)) {
            good = error->kind == ERROR_NOT_FOUND;
            break;
        }
        if (db_parse_number(slice_range(key, 0, DAY_OCTETS)) >= first_kept)
            break;
        good = db_delete(statistics->tree, key, error);
    }
    db_cursor_clear(&cursor);
    return good;
}

/* ---- reading ---- */

bool statistics_read(struct statistics *statistics, uint32_t first_day, statistics_visit *visit,
                     void *context, struct error *error)
{
    struct db_cursor cursor;
    struct slice key, value;
    struct statistics_row row;
    uint8_t from[DAY_OCTETS];
    struct buffer first = {.ptr = from, .capacity = DAY_OCTETS, .limit = DAY_OCTETS};
    db_append_number(&first, first_day, DAY_OCTETS);
    db_cursor_init(&cursor, statistics->tree, buffer_slice(&first), BULK_OCTETS);
    bool more = true, got = true;
    while (more && (got = db_cursor_next(&cursor, &key, &value, error)))
        more = !parse_row(key, value, &row) || visit(context, &row);
    db_cursor_clear(&cursor);
    return got || error->kind == ERROR_NOT_FOUND;
}
