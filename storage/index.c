/*
 * The index of index.h: one B-tree, whose keys order by UIDVALIDITY, kind, UID, so that a FETCH of
 * one item of many messages reads what lies side by side.
 */
#include "storage/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/size.h"
#include "storage/maildir.h"
#include "storage/maildir_name.h"

/* Another format of keys or values is another file. */
#define TREE_FILE "index-2.db"

enum {
    /* What falls out of the cache unwritten wants a flush of the log first: with 64 KiB a put took
     * 70 µs, with this 6. */
    CACHE_OCTETS = 1 << 20,
    LOG_FILE_OCTETS = 1 << 20,
    PAGE_OCTETS = 8192,
    READ_OCTETS = 8192, /* at once, by a reader: more costs those who want one record */
    CHECKPOINT_OCTETS = 4 << 20,
    DIRECTORY_DEPTH = 2,
    STEPS_BEFORE_SEARCH = 64, /* records that a reader steps over before it looks for the UID */
};

struct index {
    struct db *db;
    struct db_tree *tree;
    char *directory;
    int lock_fd;  /* the directory, flock(2)ed */
    bool writing; /* a transaction is open */
    bool spoilt;  /* a page contradicts itself */
};

/* Passes a failure on; answers false. */
static bool fail(struct index *index, const struct error *why, struct error *error)
{
    if (why->kind == ERROR_PERMANENT)
        index->spoilt = true;
    if (error)
        *error = *why;
    return false;
}

/* --- opening --- */

static bool lock(struct index *index, const char *directory, struct error *error)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "create %s", directory);
    index->lock_fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (index->lock_fd < 0)
        return error_errno(error, "open %s", directory);
    if (flock(index->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return error_set(error, ERROR_EXISTS, "%s is in use", directory);
    return error_errno(error, "lock %s", directory);
}

static bool open_tree(struct index *index, const struct db_options *options, struct error *error)
{
    if (db_open(options, &index->db, error)
        && db_tree_open(index->db, TREE_FILE, PAGE_OCTETS, &index->tree, error))
        return true;
    db_close(index->db);
    index->db = NULL;
    return false;
}

/* Derived, so nothing is lost. */
static bool begin_anew(struct index *index, const char *directory, struct error *error)
{
    fd_discard(&index->lock_fd);
    return maildir_remove_tree(AT_FDCWD, directory, DIRECTORY_DEPTH, error)
           && lock(index, directory, error);
}

bool index_open(const char *directory, void (*on_message)(void *context, const char *message),
                void *context, struct index **index, struct error *error)
{
    const struct db_options options = {
        .directory = directory,
        .cache_octets = CACHE_OCTETS,
        .log_file_octets = LOG_FILE_OCTETS,
        .on_message = on_message,
        .context = context,
    };
    struct index *opened = calloc(1, sizeof(*opened));
    if (!opened)
        return error_memory(error);
    opened->lock_fd = -1;
    opened->directory = strdup(directory);
    struct error why = {0};
    bool done = (opened->directory || error_memory(&why)) && lock(opened, directory, &why)
                && open_tree(opened, &options, &why);
    if (!done && why.kind == ERROR_PERMANENT)
        done = begin_anew(opened, directory, &why) && open_tree(opened, &options, &why);
    if (!done) {
        fail(opened, &why, error);
        opened->spoilt = false; /* of another process, or begun anew in vain */
        index_close(opened);
        return false;
    }
    *index = opened;
    return true;
}

void index_close(struct index *index)
{
    if (!index)
        return;
    bool spoilt = index->spoilt || (index->db && !db_usable(index->db));
    if (index->writing)
        index_commit(index, NULL);
    db_close(index->db);
    if (spoilt)
        maildir_remove_tree(AT_FDCWD, index->directory, DIRECTORY_DEPTH, NULL);
    fd_discard(&index->lock_fd);
    free(index->directory);
    free(index);
}

/* --- keys and values --- */

enum { KEY_OCTETS = 9 };

static void put_big_endian(uint8_t octets[4], uint32_t number)
{
    for (int i = 0; i < 4; i++)
        octets[i] = (uint8_t)(number >> (24 - 8 * i));
}

static uint32_t get_big_endian(const uint8_t octets[4])
{
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8
           | octets[3];
}

static struct slice make_key(uint8_t octets[KEY_OCTETS], uint32_t uidvalidity, enum index_kind kind,
                             uint32_t uid)
{
    put_big_endian(octets, uidvalidity);
    octets[4] = (uint8_t)kind;
    put_big_endian(octets + 5, uid);
    return slice_of(octets, KEY_OCTETS);
}

/* Of that folder and kind? */
static bool parse_key(struct slice key, uint32_t uidvalidity, enum index_kind kind, uint32_t *uid)
{
    if (key.len != KEY_OCTETS || get_big_endian(key.ptr) != uidvalidity || key.ptr[4] != kind)
        return false;
    *uid = get_big_endian(key.ptr + 5);
    return true;
}

/* Behind it the key. */
struct stored_facts {
    int64_t internal_date;
    uint64_t crlf_octets;
    int32_t sent_day;
    uint32_t sent_day_known;
};

static bool parse_facts(struct slice value, struct index_facts *facts)
{
    struct stored_facts stored;
    if (value.len < sizeof(stored))
        return false;
    memcpy(&stored, value.ptr, sizeof(stored));
    *facts = (struct index_facts){.internal_date = stored.internal_date,
                                  .crlf_octets = stored.crlf_octets,
                                  .sent_day = stored.sent_day,
                                  .sent_day_known = stored.sent_day_known != 0,
                                  .key = slice_from(value, sizeof(stored))};
    return true;
}

/* --- writing --- */

static bool put(struct index *index, struct slice key, struct slice value, struct error *error)
{
    if (!index->writing && !db_begin(index->db, error))
        return false;
    struct error why = {0};
    index->writing = true;
    return db_put(index->tree, key, value, &why) || fail(index, &why, error);
}

bool index_put_facts(struct index *index, uint32_t uidvalidity, uint32_t uid,
                     const struct index_facts *facts, struct error *error)
{
    uint8_t key[KEY_OCTETS], value[sizeof(struct stored_facts) + MAILDIR_KEY_MAX];
    struct stored_facts stored = {.internal_date = facts->internal_date,
                                  .crlf_octets = facts->crlf_octets,
                                  .sent_day = facts->sent_day,
                                  .sent_day_known = facts->sent_day_known};
    size_t key_octets = facts->key.len <= MAILDIR_KEY_MAX ? facts->key.len : 0;
    memcpy(value, &stored, sizeof(stored));
    if (key_octets > 0)
        memcpy(value + sizeof(stored), facts->key.ptr, key_octets);
    return put(index, make_key(key, uidvalidity, INDEX_FACTS, uid),
               slice_of(value, sizeof(stored) + key_octets), error);
}

bool index_put_text(struct index *index, uint32_t uidvalidity, uint32_t uid, enum index_kind kind,
                    struct slice text, struct error *error)
{
    uint8_t key[KEY_OCTETS];
    return put(index, make_key(key, uidvalidity, kind, uid), text, error);
}

bool index_commit(struct index *index, struct error *error)
{
    if (!index->writing)
        return true;
    index->writing = false;
    if (!db_commit(index->db, error))
        return false;
    return db_log_octets(index->db) < CHECKPOINT_OCTETS || db_checkpoint(index->db, false, error);
}

/* --- sweeping --- */

static bool remove_message(struct index *index, uint32_t uidvalidity, uint32_t uid,
                           struct error *error)
{
    if (!index->writing && !db_begin(index->db, error))
        return false;
    index->writing = true;
    for (enum index_kind kind = INDEX_FACTS; kind < INDEX_KINDS; kind++) {
        uint8_t key[KEY_OCTETS];
        struct error why = {0};
        if (!db_delete(index->tree, make_key(key, uidvalidity, kind, uid), &why)
            && why.kind != ERROR_NOT_FOUND)
            return fail(index, &why, error);
    }
    return true;
}

/* Up to `limit` UIDs that are not alive any more, in order. */
static bool find_dead(struct index *index, uint32_t uidvalidity, index_alive *is_alive,
                      const void *owner, size_t limit, uint32_t *dead, size_t *count,
                      struct error *error)
{
    struct db_cursor cursor;
    uint8_t from[KEY_OCTETS];
    struct slice key, value;
    uint32_t uid;
    struct error why = {0};
    *count = 0;
    db_cursor_init(&cursor, index->tree, make_key(from, uidvalidity, INDEX_FACTS, 0), READ_OCTETS);
    while (*count < limit && db_cursor_next(&cursor, &key, &value, &why)
           && parse_key(key, uidvalidity, INDEX_FACTS, &uid))
        if (!is_alive(owner, uid))
            dead[(*count)++] = uid;
    db_cursor_clear(&cursor);
    return why.kind == ERROR_NONE || why.kind == ERROR_NOT_FOUND || fail(index, &why, error);
}

bool index_sweep(struct index *index, uint32_t uidvalidity, index_alive *is_alive,
                 const void *owner, size_t limit, bool *swept, struct error *error)
{
    size_t count;
    uint32_t *dead = calloc(limit, sizeof(*dead));
    if (!dead)
        return error_memory(error);
    bool done = find_dead(index, uidvalidity, is_alive, owner, limit, dead, &count, error);
    for (size_t i = 0; done && i < count; i++)
        done = remove_message(index, uidvalidity, dead[i], error);
    free(dead);
    *swept = done && count < limit;
    return done && index_commit(index, error);
}

static bool is_gone(const void *owner, uint32_t uid)
{
    (void)owner;
    (void)uid;
    return false;
}

bool index_forget(struct index *index, uint32_t uidvalidity, size_t limit, bool *forgotten,
                  struct error *error)
{
    return index_sweep(index, uidvalidity, is_gone, NULL, limit, forgotten, error);
}

/* --- reading --- */

bool index_visit_facts(struct index *index, uint32_t uidvalidity, index_visit *visit, void *owner,
                       struct error *error)
{
    struct db_cursor cursor;
    uint8_t from[KEY_OCTETS];
    struct slice key, value;
    struct index_facts facts;
    uint32_t uid;
    struct error why = {0};
    db_cursor_init(&cursor, index->tree, make_key(from, uidvalidity, INDEX_FACTS, 0), READ_OCTETS);
    while (db_cursor_next(&cursor, &key, &value, &why)
           && parse_key(key, uidvalidity, INDEX_FACTS, &uid))
        if (parse_facts(value, &facts))
            visit(owner, uid, &facts);
    db_cursor_clear(&cursor);
    return why.kind == ERROR_NONE || why.kind == ERROR_NOT_FOUND || fail(index, &why, error);
}

void index_reader_init(struct index_reader *reader, struct index *index, uint32_t uidvalidity,
                       enum index_kind kind)
{
    *reader = (struct index_reader){.index = index, .uidvalidity = uidvalidity, .kind = kind};
}

void index_reader_clear(struct index_reader *reader)
{
    if (reader->is_open)
        db_cursor_clear(&reader->cursor);
    reader->is_open = false;
}

/* Begins to read at that UID. */
static void seek(struct index_reader *reader, uint32_t uid)
{
    uint8_t key[KEY_OCTETS];
    index_reader_clear(reader);
    db_cursor_init(&reader->cursor, reader->index->tree,
                   make_key(key, reader->uidvalidity, reader->kind, uid), READ_OCTETS);
    reader->is_open = true;
    reader->at_end = false;
}

/* The next record, or at_end. */
static bool step(struct index_reader *reader, struct error *error)
{
    struct slice key;
    struct error why = {0};
    if (db_cursor_next(&reader->cursor, &key, &reader->value, &why)) {
        reader->at_end = !parse_key(key, reader->uidvalidity, reader->kind, &reader->at_uid);
        return true;
    }
    reader->at_end = true;
    if (why.kind == ERROR_NOT_FOUND)
        return true;
    index_reader_clear(reader);
    return fail(reader->index, &why, error);
}

/* Stands at the first record that is not below the UID, or at_end. */
static bool go_to(struct index_reader *reader, uint32_t uid, struct error *error)
{
    if (!reader->is_open || uid < reader->sought_uid) {
        seek(reader, uid);
        if (!step(reader, error))
            return false;
    }
    for (int i = 0; !reader->at_end && reader->at_uid < uid; i++) {
        if (i == STEPS_BEFORE_SEARCH)
            seek(reader, uid);
        if (!step(reader, error))
            return false;
    }
    reader->sought_uid = uid;
    return true;
}

bool index_reader_find(struct index_reader *reader, uint32_t uid, struct slice *value,
                       struct error *error)
{
    if (!go_to(reader, uid, error))
        return false;
    if (reader->at_end || reader->at_uid != uid)
        return error_set(error, ERROR_NOT_FOUND, "UID %u is not in the index", uid);
    *value = reader->value;
    return true;
}

bool index_reader_find_facts(struct index_reader *reader, uint32_t uid, struct index_facts *facts,
                             struct error *error)
{
    struct slice value;
    if (!index_reader_find(reader, uid, &value, error))
        return false;
    return parse_facts(value, facts)
           || error_set(error, ERROR_NOT_FOUND, "facts of UID %u are malformed", uid);
}
