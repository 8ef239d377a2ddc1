/* The table of policies; see policy_cache.h. */
#include "smtpd/fetch/policy_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

#include "common/disk/db.h"
#include "common/disk/fd.h"
#include "common/dns/dns_protocol.h"

enum {
    PAGE_OCTETS = 8192,
    DB_CACHE_OCTETS = 256 << 10,
    LOG_FILE_OCTETS = 1 << 20,
    BULK_OCTETS = 128 << 10,
    FORMAT = 1,
    REMOVALS_MAX = 256, /* of one transaction */
};

/* What a value begins with; id and text follow. The host's own octet order: the database never
 * leaves it. */
struct stored {
    uint32_t format;
    uint32_t id_octets;
    uint64_t fetched_s;
    uint64_t expires_s;
};

enum { VALUE_MAX = sizeof(struct stored) + STS_ID_MAX + STS_POLICY_MAX };

struct policy_cache {
    struct db *db;
    struct db_tree *policies;
    int lock_fd;
    uint64_t octets; /* of all keys and values */
    struct buffer value;
    void (*on_message)(void *context, const char *message);
    void *context;
};

/* ---- values ---- */

static bool read_value(struct slice value, struct stored *stored, struct slice *id,
                       struct slice *text)
{
    if (value.len < sizeof(*stored))
        return false;
    memcpy(stored, value.ptr, sizeof(*stored));
    struct slice rest = slice_from(value, sizeof(*stored));
    if (stored->format != FORMAT || stored->id_octets > STS_ID_MAX || rest.len < stored->id_octets)
        return false;
    *id = slice_range(rest, 0, stored->id_octets);
    *text = slice_from(rest, stored->id_octets);
    return true;
}

static void make_value(const struct cached_policy *policy, struct buffer *value)
{
    struct slice id = slice_of_string(policy->id);
    const struct stored stored = {.format = FORMAT,
                                  .id_octets = (uint32_t)id.len,
                                  .fetched_s = policy->fetched_s,
                                  .expires_s = policy->expires_s};
    buffer_reset(value);
    buffer_append(value, slice_of(&stored, sizeof(stored)));
    buffer_append(value, id);
    buffer_append(value, buffer_slice(&policy->text));
}

/* ---- open and close ---- */

static bool count_octets(struct policy_cache *cache, struct error *error)
{
    struct db_cursor cursor;
    struct slice key, value;
    cache->octets = 0;
    db_cursor_init(&cursor, cache->policies, SLICE(""), BULK_OCTETS);
    while (db_cursor_next(&cursor, &key, &value, error))
        cache->octets += key.len + value.len;
    db_cursor_clear(&cursor);
    return error->kind == ERROR_NOT_FOUND;
}

static bool open_environment(struct policy_cache *cache, struct error *error)
{
    const struct db_options options = {.directory = ".",
                                       .cache_octets = DB_CACHE_OCTETS,
                                       .log_file_octets = LOG_FILE_OCTETS,
                                       .flush_commits = true,
                                       .on_message = cache->on_message,
                                       .context = cache->context};
    if (db_open(&options, &cache->db, error)
        && db_tree_open(cache->db, "policies.db", PAGE_OCTETS, &cache->policies, error)
        && count_octets(cache, error))
        return true;
    db_close(cache->db);
    cache->db = NULL;
    return false;
}

static bool begin_anew(struct policy_cache *cache, struct error *error)
{
    char name[64];
    snprintf(name, sizeof(name), "corrupt-%lld", (long long)time(NULL));
    return db_set_aside(".", name, error) && open_environment(cache, error);
}

/* An environment has one owner; after a change of the configuration two processes may live for a
 * moment. */
static bool take_lock(struct policy_cache *cache, struct error *error)
{
    cache->lock_fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (cache->lock_fd < 0)
        return error_errno(error, "lock");
    if (flock(cache->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    return error_set(error, ERROR_TEMPORARY, "another process has it");
}

bool policy_cache_open(void (*on_message)(void *context, const char *message), void *context,
                       struct policy_cache **opened, struct error *error)
{
    struct policy_cache *cache = calloc(1, sizeof(*cache));
    *opened = NULL;
    if (!cache)
        return error_memory(error);
    cache->on_message = on_message;
    cache->context = context;
    buffer_init(&cache->value, VALUE_MAX);
    if (!take_lock(cache, error)
        || (!open_environment(cache, error)
            && (error->kind != ERROR_PERMANENT || !begin_anew(cache, error)))) {
        policy_cache_close(cache);
        return false;
    }
    *opened = cache;
    return true;
}

void policy_cache_close(struct policy_cache *cache)
{
    if (!cache)
        return;
    db_close(cache->db);
    fd_discard(&cache->lock_fd);
    buffer_clear(&cache->value);
    free(cache);
}

bool policy_cache_usable(const struct policy_cache *cache)
{
    return db_usable(cache->db);
}

/* ---- reading and writing ---- */

bool policy_cache_get(struct policy_cache *cache, struct slice domain, struct cached_policy *policy,
                      struct error *error)
{
    struct stored stored;
    struct slice id, text;
    if (!db_get(cache->policies, domain, &cache->value, error))
        return false;
    if (!read_value(buffer_slice(&cache->value), &stored, &id, &text))
        return error_set(error, ERROR_NOT_FOUND, "of another format");
    snprintf(policy->id, sizeof(policy->id), "%.*s", SLICE_PRINTF(id));
    policy->fetched_s = stored.fetched_s;
    policy->expires_s = stored.expires_s;
    buffer_reset(&policy->text);
    buffer_append(&policy->text, text);
    return !policy->text.failed || error_memory(error);
}

static bool end_transaction(struct policy_cache *cache, bool done, struct error *error)
{
    if (done)
        return db_commit(cache->db, error);
    db_abort(cache->db);
    return false;
}

bool policy_cache_put(struct policy_cache *cache, struct slice domain,
                      const struct cached_policy *policy, struct error *error)
{
    uint64_t before =
        db_get(cache->policies, domain, &cache->value, NULL) ? domain.len + cache->value.len : 0;
    make_value(policy, &cache->value);
    if (cache->value.failed)
        return error_memory(error);
    uint64_t octets = cache->octets - before + domain.len + cache->value.len;
    if (octets > POLICY_CACHE_OCTETS)
        return error_set(error, ERROR_TEMPORARY, "there are too many policies");
    if (!db_begin(cache->db, error)
        || !end_transaction(
            cache, db_put(cache->policies, domain, buffer_slice(&cache->value), error), error))
        return false;
    cache->octets = octets;
    return true;
}

/* ---- pruning ---- */

struct removal {
    struct removal *next;
    size_t octets;
    char domain[DNS_NAME_MAX + 1];
};

/* Found first, removed then: a cursor and a transaction do not mix. */
static struct removal *find_expired(struct policy_cache *cache, uint64_t now_s, struct error *error)
{
    struct db_cursor cursor;
    struct slice key, value, id, text;
    struct stored stored;
    struct removal *first = NULL;
    size_t count = 0;
    db_cursor_init(&cursor, cache->policies, SLICE(""), BULK_OCTETS);
    while (count < REMOVALS_MAX && db_cursor_next(&cursor, &key, &value, error)) {
        if (read_value(value, &stored, &id, &text) && stored.expires_s > now_s)
            continue;
        struct removal *removal = calloc(1, sizeof(*removal));
        if (!removal || key.len > DNS_NAME_MAX) {
            free(removal);
            break;
        }
        memcpy(removal->domain, key.ptr, key.len);
        removal->octets = key.len + value.len;
        removal->next = first;
        first = removal;
        count++;
    }
    db_cursor_clear(&cursor);
    return first;
}

static bool remove_all(struct policy_cache *cache, const struct removal *removal,
                       struct error *error)
{
    uint64_t octets = 0;
    bool done = db_begin(cache->db, error);
    for (; done && removal; removal = removal->next) {
        done = db_delete(cache->policies, slice_of_string(removal->domain), error);
        octets += removal->octets;
    }
    if (!end_transaction(cache, done, error))
        return false;
    cache->octets -= octets;
    return true;
}

bool policy_cache_prune(struct policy_cache *cache, uint64_t now_s, struct error *error)
{
    struct error read_error = {.kind = ERROR_NOT_FOUND};
    struct removal *removal = find_expired(cache, now_s, &read_error);
    bool done = !removal || remove_all(cache, removal, error);
    while (removal) {
        struct removal *next = removal->next;
        free(removal);
        removal = next;
    }
    return done && db_checkpoint(cache->db, false, error);
}
