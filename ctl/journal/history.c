/* The tables of the history; see history.h. */
#include "ctl/journal/history.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/disk/db.h"
#include "common/role/role_kind.h"
#include "common/size.h"

enum {
    PAGE_OCTETS = 8192,
    CACHE_OCTETS = 512 << 10,
    LOG_FILE_OCTETS = 4 << 20,
    BULK_OCTETS = 64 << 10,
    CHECKPOINT_OCTETS = 32 << 20,
    VALUE_MAX = 65536,
    ID_SMALLEST = 8, /* octets; shorter text is not a queue id */
    KEY_MAX = HISTORY_NAME_MAX + HISTORY_ID_MAX + 32,
    MESSAGES_PER_PRUNE = 50,
    ATTEMPTS_OCTETS_MAX = 1 << 20,
    EVENTS_PER_MESSAGE = 2000, /* looked at in one prune; the rest in the next */
    RECENT_NAMES = 64,         /* of the last events: not stored again */
};

static const struct slice octets_key = SLICE("octets");

struct history {
    struct db *db;
    struct db_tree *events, *names, *state;
    struct history_options options;
    bool in_transaction;
    uint64_t octets;
    uint32_t number; /* distinguishes events of one microsecond */
    struct buffer value;
    struct buffer prune_from; /* the next prune continues after this id */
    uint64_t recent[RECENT_NAMES];
    size_t next_recent;
    struct statistics *statistics;
};

/* ---- keys ---- */

/* Id, NUL, time, number. */
enum { EVENT_TAIL = 1 + 8 + 4 };

static struct slice id_of_event(struct slice key)
{
    return slice_range(key, 0, key.len >= EVENT_TAIL ? key.len - EVENT_TAIL : 0);
}

static uint64_t time_of_event(struct slice key)
{
    return db_parse_number(slice_range(key, key.len - EVENT_TAIL + 1, key.len - 4));
}

/* A name in one case, at most HISTORY_NAME_MAX octets of it, NUL, id. */
static void put_name_prefix(struct buffer *key, struct slice name)
{
    name = slice_range(name, 0, HISTORY_NAME_MAX);
    if (slice_starts_with(name, SLICE("<")) && slice_ends_with(name, SLICE(">")))
        name = slice_range(name, 1, name.len - 1);
    for (size_t i = 0; i < name.len; i++)
        buffer_append_octet(key, name.ptr[i] ? ascii_lower(name.ptr[i]) : ' ');
    buffer_append_octet(key, 0);
}

/* ---- open and close ---- */

static bool find_origin(void *context, struct slice id, struct statistics_origin *origin);

static bool open_trees(struct history *history, struct error *error)
{
    return db_tree_open(history->db, "events.db", PAGE_OCTETS, &history->events, error)
           && db_tree_open(history->db, "names.db", PAGE_OCTETS, &history->names, error)
           && db_tree_open(history->db, "state.db", 4096, &history->state, error)
           && statistics_open(history->db, find_origin, history, &history->statistics, error);
}

static bool read_octets(struct history *history, struct error *error)
{
    if (!db_get(history->state, octets_key, &history->value, error))
        return error->kind == ERROR_NOT_FOUND;
    history->octets = db_parse_number(buffer_slice(&history->value));
    return true;
}

static void close_environment(struct history *history)
{
    statistics_free(history->statistics);
    db_close(history->db);
    history->statistics = NULL;
    history->db = NULL;
}

static bool open_environment(struct history *history, struct error *error)
{
    const struct db_options options = {.directory = history->options.directory,
                                       .cache_octets = CACHE_OCTETS,
                                       .log_file_octets = LOG_FILE_OCTETS,
                                       .threads = true,
                                       .on_message = history->options.on_message,
                                       .context = history->options.context};
    if (db_open(&options, &history->db, error) && open_trees(history, error)
        && read_octets(history, error))
        return true;
    close_environment(history);
    return false;
}

static bool begin_anew(struct history *history, struct error *error)
{
    char name[64];
    snprintf(name, sizeof(name), "corrupt-%lld", (long long)time(NULL));
    return db_set_aside(history->options.directory, name, error)
           && open_environment(history, error);
}

bool history_open(const struct history_options *options, struct history **opened,
                  struct error *error)
{
    struct history *history = calloc(1, sizeof(*history));
    *opened = NULL;
    if (!history)
        return error_memory(error);
    history->options = *options;
    buffer_init(&history->value, VALUE_MAX);
    buffer_init(&history->prune_from, KEY_MAX);
    if (!open_environment(history, error)
        && (error->kind != ERROR_PERMANENT || !begin_anew(history, error))) {
        history_close(history);
        return false;
    }
    *opened = history;
    return true;
}

void history_close(struct history *history)
{
    struct error error;
    if (!history)
        return;
    if (history->db && history_commit(history, &error))
        history_commit(history, &error); /* events no longer wait for their origin */
    close_environment(history);
    buffer_clear(&history->value);
    buffer_clear(&history->prune_from);
    free(history);
}

void history_keep(struct history *history, uint64_t age_us, uint64_t octets_max)
{
    history->options.age_us = age_us;
    history->options.octets_max = octets_max;
}

bool history_usable(const struct history *history)
{
    return db_usable(history->db);
}

/* ---- transactions ---- */

static bool begin(struct history *history, struct error *error)
{
    if (!history->in_transaction)
        history->in_transaction = db_begin(history->db, error);
    return history->in_transaction;
}

/* Events since the last commit are lost; the counts for the statistics stay pending. */
static void give_up(struct history *history)
{
    struct error error;
    statistics_settle(history->statistics, false);
    db_abort(history->db);
    history->in_transaction = false;
    for (size_t i = 0; i < RECENT_NAMES; i++)
        history->recent[i] = 0;
    if (!read_octets(history, &error))
        history->octets = 0;
}

static bool write_octets(struct history *history, struct error *error)
{
    uint8_t octets[8];
    struct buffer number = {.ptr = octets, .capacity = sizeof(octets), .limit = sizeof(octets)};
    db_append_number(&number, history->octets, 8);
    return db_put(history->state, octets_key, buffer_slice(&number), error);
}

bool history_commit(struct history *history, struct error *error)
{
    if (!history->in_transaction && !statistics_is_waiting(history->statistics))
        return true;
    if (!begin(history, error)) {
        statistics_settle(history->statistics, false);
        return false;
    }
    if (!write_octets(history, error) || !statistics_write(history->statistics, error)
        || !db_commit(history->db, error)) {
        give_up(history);
        return false;
    }
    history->in_transaction = false;
    statistics_settle(history->statistics, true);
    return true;
}

bool history_wants_checkpoint(const struct history *history, bool at_leisure)
{
    return db_log_octets(history->db) >= (at_leisure ? 1 : CHECKPOINT_OCTETS);
}

bool history_checkpoint(struct history *history, struct error *error)
{
    return db_checkpoint(history->db, false, error);
}

/* ---- what an event is kept by ---- */

static bool find_id(const struct log_entry *entry, struct slice *id)
{
    for (size_t i = 0; i < entry->field_count; i++)
        if (slice_equal(entry->keys[i], SLICE("queue_id"))) {
            *id = entry->fields[i].bytes;
            return id->len >= ID_SMALLEST && id->len <= HISTORY_ID_MAX;
        }
    return false;
}

static bool names_somebody(struct slice key)
{
    static const struct slice keys[] = {SLICE("to"), SLICE("from"), SLICE("account"),
                                        SLICE("message_id")};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
        if (slice_equal(key, keys[i]))
            return true;
    return false;
}

/* The events of one message come close together and have the same names. */
static bool was_just_put(struct history *history, struct slice key)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ key.ptr[i]) * 1099511628211U;
    for (size_t i = 0; i < RECENT_NAMES; i++)
        if (history->recent[i] == hash)
            return true;
    history->recent[history->next_recent++ % RECENT_NAMES] = hash;
    return false;
}

static struct slice name_key(uint8_t octets[KEY_MAX], struct slice name, struct slice id)
{
    struct buffer key = {.ptr = octets, .capacity = KEY_MAX, .limit = KEY_MAX};
    put_name_prefix(&key, name);
    buffer_append(&key, id);
    return buffer_slice(&key);
}

static bool put_names(struct history *history, struct slice id, const struct log_entry *entry,
                      struct error *error)
{
    for (size_t i = 0; i < entry->field_count; i++) {
        uint8_t octets[KEY_MAX];
        struct slice name = entry->fields[i].bytes;
        if (name.len == 0 || !names_somebody(entry->keys[i]))
            continue;
        struct slice key = name_key(octets, name, id);
        if (was_just_put(history, key))
            continue;
        if (!db_put(history->names, key, SLICE(""), error))
            return false;
    }
    return true;
}

static bool put_event(struct history *history, unsigned role_kind, struct slice id,
                      struct slice record, const struct log_entry *entry, struct error *error)
{
    uint8_t octets[KEY_MAX];
    struct buffer key = {.ptr = octets, .capacity = KEY_MAX, .limit = KEY_MAX};
    buffer_append(&key, id);
    buffer_append_octet(&key, 0);
    db_append_number(&key, entry->time_us, 8);
    db_append_number(&key, history->number++, 4);
    buffer_reset(&history->value);
    buffer_append_octet(&history->value, (uint8_t)role_kind);
    buffer_append(&history->value, record);
    if (history->value.failed)
        return error_memory(error);
    history->octets += key.len + history->value.len;
    return db_put(history->events, buffer_slice(&key), buffer_slice(&history->value), error);
}

static bool count(struct history *history, unsigned role_kind, struct slice record,
                  const struct log_entry *entry, struct error *error)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    return statistics_note(history->statistics, role_kind, record, entry, now_us, error)
           && (!statistics_is_full(history->statistics) || history_commit(history, error));
}

bool history_note(struct history *history, unsigned role_kind, struct slice record,
                  const struct log_entry *entry, struct error *error)
{
    struct slice id;
    if (!count(history, role_kind, record, entry, error))
        return false;
    if (!find_id(entry, &id))
        return true;
    if (!begin(history, error))
        return false;
    if (put_event(history, role_kind, id, record, entry, error)
        && put_names(history, id, entry, error))
        return true;
    give_up(history);
    return false;
}

/* ---- reading ---- */

static bool parse_value(struct slice value, unsigned *role_kind, struct log_entry *entry)
{
    if (value.len == 0)
        return false;
    *role_kind = value.ptr[0];
    return log_entry_parse(slice_from(value, 1), entry, NULL);
}

/* The shortest key after this one; an id that would be too long for it is in no record. */
static void note_place(struct history_part *part, struct slice key)
{
    assert(key.len < sizeof(part->from));
    memcpy(part->from, key.ptr, key.len);
    part->from[key.len] = 0;
    part->from_octets = key.len + 1;
}

bool history_read(struct history *history, struct slice id, struct history_part *part,
                  history_visit *visit, void *context, struct error *error)
{
    struct db_cursor cursor;
    struct slice key, value, from = id;
    struct log_entry entry;
    unsigned role_kind;
    if (!history_commit(history, error))
        return false;
    if (part && part->from_octets > 0)
        from = slice_of(part->from, part->from_octets);
    db_cursor_init(&cursor, history->events, from, BULK_OCTETS);
    bool more = true, got = true;
    for (size_t read = 0; more && (!part || read < part->most); read++) {
        got = db_cursor_next(&cursor, &key, &value, error);
        more = got && slice_equal(id_of_event(key), id);
        if (more && part)
            note_place(part, key);
        if (more && parse_value(value, &role_kind, &entry))
            more = visit(context, role_kind, &entry);
    }
    if (part)
        part->more = more;
    db_cursor_clear(&cursor);
    return got || error->kind == ERROR_NOT_FOUND;
}

/* A message's first event precedes those of its results. */
static bool find_origin(void *context, struct slice id, struct statistics_origin *origin)
{
    struct history *history = context;
    struct db_cursor cursor;
    struct slice key, value, told;
    struct log_entry entry;
    struct error error;
    unsigned role_kind;
    bool found = false;
    db_cursor_init(&cursor, history->events, id, PAGE_OCTETS);
    while (!found && db_cursor_next(&cursor, &key, &value, &error)
           && slice_equal(id_of_event(key), id))
        found = parse_value(value, &role_kind, &entry)
                && statistics_tells_origin(role_kind, &entry, &told, origin)
                && slice_equal(told, id);
    db_cursor_clear(&cursor);
    return found;
}

struct statistics *history_statistics(struct history *history)
{
    return history->statistics;
}

int history_find(struct history *history, struct slice name, size_t most,
                 char (*ids)[HISTORY_ID_MAX + 1], struct error *error)
{
    uint8_t octets[KEY_MAX], key_octets[KEY_MAX];
    struct slice prefix = name_key(octets, name, SLICE(""));
    struct buffer key = {.ptr = key_octets, .capacity = KEY_MAX, .limit = KEY_MAX};
    size_t count = 0;
    if (!history_commit(history, error))
        return -1;
    /* After all ids of the name; ids ascend with time. */
    buffer_append(&key, slice_range(prefix, 0, prefix.len - 1));
    buffer_append_octet(&key, 1);
    bool got = true;
    while (count < most && (got = db_get_before(history->names, buffer_slice(&key), &key, error))
           && slice_starts_with(buffer_slice(&key), prefix)) {
        struct slice id = slice_from(buffer_slice(&key), prefix.len);
        if (id.len == 0 || id.len > HISTORY_ID_MAX)
            continue;
        memcpy(ids[count], id.ptr, id.len);
        ids[count++][id.len] = '\0';
    }
    return got || error->kind == ERROR_NOT_FOUND ? (int)count : -1;
}

/* ---- pruning ---- */

/* One message as seen by prune. */
struct group {
    uint8_t id_octets[HISTORY_ID_MAX];
    struct slice id;
    uint64_t newest_us;
    size_t events;
    uint64_t attempts_octets; /* of the conversations of its attempts */
};

static bool is_attempt(struct slice value)
{
    struct log_entry entry;
    unsigned role_kind;
    return value.len > 0 && value.ptr[0] == ROLE_RELAY && parse_value(value, &role_kind, &entry)
           && slice_equal(entry.event, SLICE("attempt"));
}

/* The first message after that id. ERROR_NOT_FOUND: none. */
static bool next_group(struct history *history, struct slice from, struct group *group,
                       struct error *error)
{
    struct db_cursor cursor;
    struct slice key, value;
    *group = (struct group){.events = 0};
    db_cursor_init(&cursor, history->events, from, BULK_OCTETS);
    bool got;
    while ((got = db_cursor_next(&cursor, &key, &value, error))
           && group->events < EVENTS_PER_MESSAGE) {
        struct slice id = id_of_event(key);
        if (group->events == 0) {
            memcpy(group->id_octets, id.ptr, id.len);
            group->id = slice_of(group->id_octets, id.len);
        } else if (!slice_equal(id, group->id)) {
            break;
        }
        group->newest_us = time_of_event(key);
        group->events++;
        group->attempts_octets += is_attempt(value) ? value.len : 0;
    }
    db_cursor_clear(&cursor);
    return group->events > 0 && (got || error->kind == ERROR_NOT_FOUND);
}

static bool drop_names(struct history *history, struct slice id, struct slice value,
                       struct error *error)
{
    struct log_entry entry;
    unsigned role_kind;
    if (!parse_value(value, &role_kind, &entry))
        return true;
    for (size_t i = 0; i < entry.field_count; i++) {
        uint8_t octets[KEY_MAX];
        if (entry.fields[i].bytes.len == 0 || !names_somebody(entry.keys[i]))
            continue;
        if (!db_delete(history->names, name_key(octets, entry.fields[i].bytes, id), error)
            && error->kind != ERROR_NOT_FOUND)
            return false;
    }
    return true;
}

static void uncount(struct history *history, uint64_t octets)
{
    history->octets -= octets < history->octets ? octets : history->octets;
}

/* A message tried for days at many servers must not take more than its share: the newest
 * conversations stay. Their names are in other events too. */
static bool drop_old_attempts(struct history *history, const struct group *group,
                              struct error *error)
{
    struct db_cursor cursor;
    struct slice key, value;
    uint64_t octets = group->attempts_octets;
    bool good = true;
    db_cursor_init(&cursor, history->events, group->id, BULK_OCTETS);
    for (size_t i = 0; good && octets > ATTEMPTS_OCTETS_MAX && i < group->events; i++) {
        good = db_cursor_next(&cursor, &key, &value, error);
        if (!good || !is_attempt(value))
            continue;
        octets -= value.len;
        uncount(history, key.len + value.len);
        good = db_delete(history->events, key, error);
    }
    db_cursor_clear(&cursor);
    return good;
}

static bool drop_group(struct history *history, const struct group *group, struct error *error)
{
    struct db_cursor cursor;
    struct slice key, value;
    db_cursor_init(&cursor, history->events, group->id, BULK_OCTETS);
    bool good = true;
    for (size_t i = 0; good && i < group->events; i++) {
        good = db_cursor_next(&cursor, &key, &value, error)
               && drop_names(history, group->id, value, error)
               && db_delete(history->events, key, error);
        if (good)
            uncount(history, key.len + value.len);
    }
    db_cursor_clear(&cursor);
    return good;
}

/* All keys of that id are below it. */
static void go_behind(struct history *history, struct slice id)
{
    buffer_reset(&history->prune_from);
    buffer_append(&history->prune_from, id);
    buffer_append_octet(&history->prune_from, 1);
}

static bool prune_next(struct history *history, uint64_t now_us, bool *more, struct error *error)
{
    struct group group;
    bool too_much = history->octets > history->options.octets_max;
    if (too_much)
        buffer_reset(&history->prune_from);
    if (!next_group(history, buffer_slice(&history->prune_from), &group, error)) {
        buffer_reset(&history->prune_from); /* starts over next time */
        *more = false;
        return error->kind == ERROR_NOT_FOUND;
    }
    bool too_old = group.newest_us < now_us && now_us - group.newest_us > history->options.age_us;
    if ((too_much || too_old) && !drop_group(history, &group, error))
        return false;
    if (too_old || too_much)
        return true;
    go_behind(history, group.id);
    return drop_old_attempts(history, &group, error);
}

bool history_prune(struct history *history, uint64_t now_us, bool *more, struct error *error)
{
    *more = true;
    if (!history_commit(history, error) || !begin(history, error))
        return false;
    for (int i = 0; *more && i < MESSAGES_PER_PRUNE; i++)
        if (!prune_next(history, now_us, more, error)) {
            give_up(history);
            return false;
        }
    if (!statistics_prune(history->statistics, now_us, history->options.age_us, error)) {
        give_up(history);
        return false;
    }
    return history_commit(history, error);
}
