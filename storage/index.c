/*
 * The index of index.h: one B-tree with keys ordered by UIDVALIDITY, kind, block of UIDs, so that a
 * FETCH of one item of many messages reads neighbouring records. The last block written of each
 * kind is kept in memory until another one is needed, or a flush.
 */
#include "storage/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "storage/index_block.h"
#include "storage/maildir.h"
#include "storage/maildir_name.h"

/* Another format of keys or values is another file. */
#define TREE_FILE "index-4.db"

enum {
    /* What falls out of the cache unwritten wants a flush of the log first: with 64 KiB a put took
     * 70 µs, with this 6. */
    CACHE_OCTETS = 1 << 20,
    LOG_FILE_OCTETS = 1 << 20,
    PAGE_OCTETS = 8192,
    READ_OCTETS = 65536, /* at once, where all of a folder is read */
    CHECKPOINT_OCTETS = 4 << 20,
    DIRECTORY_DEPTH = 2,
    RECORD_OCTETS_MAX = INDEX_BLOCK_OCTETS + 16 * INDEX_BLOCK_UIDS,
};

/* The block of a kind that was put into last. */
struct pending {
    bool is_open;
    bool changed; /* since it was read or written */
    uint32_t uidvalidity;
    uint32_t number;
    struct index_block block;
};

struct index {
    struct db *db;
    struct db_tree *tree;
    char *directory;
    int lock_fd;  /* the directory, flock(2)ed */
    bool writing; /* a transaction is open */
    bool spoilt;  /* a page contradicts itself */
    struct pending pending[INDEX_KINDS];
    struct buffer record; /* that is read or written */
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

/* What another version has left. */
static bool has_other_format(const struct index *index)
{
    return faccessat(index->lock_fd, "index-2.db", F_OK, 0) == 0
           || faccessat(index->lock_fd, "index-3.db", F_OK, 0) == 0;
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
    buffer_init(&opened->record, RECORD_OCTETS_MAX);
    for (int kind = 0; kind < INDEX_KINDS; kind++)
        index_block_init(&opened->pending[kind].block);
    opened->directory = strdup(directory);
    struct error why = {0};
    bool done = (opened->directory || error_memory(&why)) && lock(opened, directory, &why)
                && (!has_other_format(opened) || begin_anew(opened, directory, &why))
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
    if (index->db)
        index_flush(index, NULL);
    db_close(index->db);
    if (spoilt)
        maildir_remove_tree(AT_FDCWD, index->directory, DIRECTORY_DEPTH, NULL);
    for (int kind = 0; kind < INDEX_KINDS; kind++)
        index_block_clear(&index->pending[kind].block);
    buffer_clear(&index->record);
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
                             uint32_t number)
{
    put_big_endian(octets, uidvalidity);
    octets[4] = (uint8_t)kind;
    put_big_endian(octets + 5, number);
    return slice_of(octets, KEY_OCTETS);
}

/* Of that folder and kind? */
static bool parse_key(struct slice key, uint32_t uidvalidity, enum index_kind kind,
                      uint32_t *number)
{
    if (key.len != KEY_OCTETS || get_big_endian(key.ptr) != uidvalidity || key.ptr[4] != kind)
        return false;
    *number = get_big_endian(key.ptr + 5);
    return true;
}

/* Followed by the key. */
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

/* --- blocks --- */

/* One that is not there, or makes no sense, is empty. */
static bool load_block(struct index *index, uint32_t uidvalidity, enum index_kind kind,
                       uint32_t number, struct index_block *block, struct error *error)
{
    uint8_t key[KEY_OCTETS];
    struct error why = {0};
    bool found =
        db_get(index->tree, make_key(key, uidvalidity, kind, number), &index->record, &why);
    if (!found && why.kind != ERROR_NOT_FOUND)
        return fail(index, &why, error);
    struct slice record = found ? buffer_slice(&index->record) : SLICE("");
    index_block_parse(record, number * INDEX_BLOCK_UIDS, block);
    return true;
}

static bool begin_writing(struct index *index, struct error *error)
{
    if (!index->writing && !db_begin(index->db, error))
        return false;
    index->writing = true;
    return true;
}

static bool store_block(struct index *index, uint32_t uidvalidity, enum index_kind kind,
                        uint32_t number, const struct index_block *block, struct error *error)
{
    uint8_t octets[KEY_OCTETS];
    struct slice key = make_key(octets, uidvalidity, kind, number);
    struct error why = {0};
    if (!begin_writing(index, error))
        return false;
    buffer_reset(&index->record);
    index_block_format(block, &index->record);
    if (index->record.failed)
        return error_memory(error);
    bool stored = block->count > 0
                      ? db_put(index->tree, key, buffer_slice(&index->record), &why)
                      : db_delete(index->tree, key, &why) || why.kind == ERROR_NOT_FOUND;
    return stored || fail(index, &why, error);
}

/* Whatever fails, the block is as if it had been written: it is all that is lost. */
static bool write_pending(struct index *index, enum index_kind kind, struct error *error)
{
    struct pending *pending = &index->pending[kind];
    if (!pending->is_open || !pending->changed)
        return true;
    pending->changed = false;
    if (store_block(index, pending->uidvalidity, kind, pending->number, &pending->block, error))
        return true;
    pending->is_open = false;
    return false;
}

static bool is_pending(const struct index *index, uint32_t uidvalidity, enum index_kind kind,
                       uint32_t number)
{
    const struct pending *pending = &index->pending[kind];
    return pending->is_open && pending->uidvalidity == uidvalidity && pending->number == number;
}

/* --- writing --- */

static bool put(struct index *index, uint32_t uidvalidity, enum index_kind kind, uint32_t uid,
                struct slice text, struct error *error)
{
    struct pending *pending = &index->pending[kind];
    uint32_t number = uid / INDEX_BLOCK_UIDS;
    if (!is_pending(index, uidvalidity, kind, number)) {
        if (!write_pending(index, kind, error))
            return false;
        pending->is_open = false;
        if (!load_block(index, uidvalidity, kind, number, &pending->block, error))
            return false;
        pending->is_open = true;
        pending->uidvalidity = uidvalidity;
        pending->number = number;
    }
    pending->changed = true;
    index_block_put(&pending->block, uid, text);
    return true;
}

bool index_put_facts(struct index *index, uint32_t uidvalidity, uint32_t uid,
                     const struct index_facts *facts, struct error *error)
{
    uint8_t value[sizeof(struct stored_facts) + MAILDIR_KEY_MAX];
    struct stored_facts stored = {.internal_date = facts->internal_date,
                                  .crlf_octets = facts->crlf_octets,
                                  .sent_day = facts->sent_day,
                                  .sent_day_known = facts->sent_day_known};
    size_t key_octets = facts->key.len <= MAILDIR_KEY_MAX ? facts->key.len : 0;
    memcpy(value, &stored, sizeof(stored));
    if (key_octets > 0)
        memcpy(value + sizeof(stored), facts->key.ptr, key_octets);
    return put(index, uidvalidity, INDEX_FACTS, uid, slice_of(value, sizeof(stored) + key_octets),
               error);
}

bool index_put_text(struct index *index, uint32_t uidvalidity, uint32_t uid, enum index_kind kind,
                    struct slice text, struct error *error)
{
    return put(index, uidvalidity, kind, uid, text, error);
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

bool index_flush(struct index *index, struct error *error)
{
    bool written = true;
    for (enum index_kind kind = INDEX_FACTS; kind < INDEX_KINDS && written; kind++)
        written = write_pending(index, kind, error);
    return index_commit(index, written ? error : NULL) && written;
}

/* --- sweeping --- */

static void close_pending(struct index *index)
{
    for (int kind = 0; kind < INDEX_KINDS; kind++)
        index->pending[kind].is_open = false;
}

/* Those UIDs, of one block, from each kind's. */
static bool remove_from_blocks(struct index *index, uint32_t uidvalidity, const uint32_t *uids,
                               size_t count, struct error *error)
{
    struct index_block block;
    uint32_t number = uids[0] / INDEX_BLOCK_UIDS;
    bool removed = true;
    index_block_init(&block);
    for (enum index_kind kind = INDEX_FACTS; kind < INDEX_KINDS && removed; kind++) {
        removed = load_block(index, uidvalidity, kind, number, &block, error);
        uint32_t before = block.count;
        for (size_t i = 0; removed && i < count; i++)
            index_block_remove(&block, uids[i]);
        removed = removed
                  && (block.count == before
                      || store_block(index, uidvalidity, kind, number, &block, error));
    }
    index_block_clear(&block);
    return removed;
}

static bool remove_all(struct index *index, uint32_t uidvalidity, const uint32_t *uids,
                       size_t count, struct error *error)
{
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count; end++)
            if (uids[end] / INDEX_BLOCK_UIDS != uids[first] / INDEX_BLOCK_UIDS)
                break;
        if (!remove_from_blocks(index, uidvalidity, uids + first, end - first, error))
            return false;
    }
    return true;
}

/* Visits all facts of the folder, in the order of UIDs, until the visitor stops. */
typedef bool visit_entry(void *owner, uint32_t uid, struct slice value);
static bool visit_entries(struct index *index, uint32_t uidvalidity, visit_entry *visit,
                          void *owner, struct error *error)
{
    struct db_cursor cursor;
    struct index_block block;
    uint8_t from[KEY_OCTETS];
    struct slice key, value;
    uint32_t number;
    struct error why = {0};
    bool goes_on = true;
    index_block_init(&block);
    db_cursor_init(&cursor, index->tree, make_key(from, uidvalidity, INDEX_FACTS, 0), READ_OCTETS);
    while (goes_on && db_cursor_next(&cursor, &key, &value, &why)
           && parse_key(key, uidvalidity, INDEX_FACTS, &number)) {
        index_block_parse(value, number * INDEX_BLOCK_UIDS, &block);
        for (uint32_t i = 0; i < block.count && goes_on; i++)
            goes_on = index_block_find(&block, block.entries[i].uid, &value)
                      && visit(owner, block.entries[i].uid, value);
    }
    db_cursor_clear(&cursor);
    index_block_clear(&block);
    return why.kind == ERROR_NONE || why.kind == ERROR_NOT_FOUND || fail(index, &why, error);
}

struct dead {
    index_alive *is_alive;
    const void *owner;
    uint32_t *uids;
    size_t count;
    size_t limit;
};

static bool on_entry(void *owner, uint32_t uid, struct slice value)
{
    struct dead *dead = owner;
    (void)value;
    if (!dead->is_alive(dead->owner, uid))
        dead->uids[dead->count++] = uid;
    return dead->count < dead->limit;
}

bool index_sweep(struct index *index, uint32_t uidvalidity, index_alive *is_alive,
                 const void *owner, size_t limit, bool *swept, struct error *error)
{
    struct dead dead = {is_alive, owner, calloc(limit, sizeof(uint32_t)), 0, limit};
    if (!dead.uids)
        return error_memory(error);
    bool done = index_flush(index, error);
    close_pending(index);
    done = done && visit_entries(index, uidvalidity, on_entry, &dead, error)
           && remove_all(index, uidvalidity, dead.uids, dead.count, error);
    free(dead.uids);
    *swept = done && dead.count < limit;
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

struct facts_visit {
    index_visit *visit;
    void *owner;
};

static bool on_stored_facts(void *owner, uint32_t uid, struct slice value)
{
    const struct facts_visit *told = owner;
    struct index_facts facts;
    if (parse_facts(value, &facts))
        told->visit(told->owner, uid, &facts);
    return true;
}

bool index_visit_facts(struct index *index, uint32_t uidvalidity, index_visit *visit, void *owner,
                       struct error *error)
{
    struct facts_visit told = {visit, owner};
    return index_flush(index, error)
           && visit_entries(index, uidvalidity, on_stored_facts, &told, error);
}

void index_reader_init(struct index_reader *reader, struct index *index, uint32_t uidvalidity,
                       enum index_kind kind)
{
    *reader = (struct index_reader){.index = index, .uidvalidity = uidvalidity, .kind = kind};
    buffer_init(&reader->text, INDEX_BLOCK_OCTETS);
}

void index_reader_clear(struct index_reader *reader)
{
    if (reader->block)
        index_block_clear(reader->block);
    free(reader->block);
    reader->block = NULL;
    buffer_clear(&reader->text);
}

/* The block is in reader->block. */
static bool read_block(struct index_reader *reader, uint32_t number, struct error *error)
{
    if (reader->block && reader->number == number)
        return true;
    if (!reader->block) {
        reader->block = malloc(sizeof(*reader->block));
        if (!reader->block)
            return error_memory(error);
        index_block_init(reader->block);
    }
    reader->number = number;
    if (load_block(reader->index, reader->uidvalidity, reader->kind, number, reader->block, error))
        return true;
    index_reader_clear(reader);
    return false;
}

/* From the block being written: copied, since it may change. */
static bool copy_pending(struct index_reader *reader, uint32_t uid, struct slice *value)
{
    const struct pending *pending = &reader->index->pending[reader->kind];
    struct slice text;
    if (!index_block_find(&pending->block, uid, &text))
        return false;
    buffer_reset(&reader->text);
    buffer_append(&reader->text, text);
    *value = text.len > 0 ? buffer_slice(&reader->text) : SLICE("");
    return !reader->text.failed;
}

bool index_reader_find(struct index_reader *reader, uint32_t uid, struct slice *value,
                       struct error *error)
{
    uint32_t number = uid / INDEX_BLOCK_UIDS;
    bool found;
    if (is_pending(reader->index, reader->uidvalidity, reader->kind, number)) {
        found = copy_pending(reader, uid, value);
    } else {
        if (!read_block(reader, number, error))
            return false;
        found = index_block_find(reader->block, uid, value);
    }
    return found || error_set(error, ERROR_NOT_FOUND, "UID %u is not in the index", uid);
}

bool index_reader_find_block(struct index_reader *reader, uint32_t uid,
                             const struct index_block **block, struct error *error)
{
    uint32_t number = uid / INDEX_BLOCK_UIDS;
    if (is_pending(reader->index, reader->uidvalidity, reader->kind, number))
        return error_set(error, ERROR_NOT_FOUND, "block of UID %u is being put into", uid);
    if (!read_block(reader, number, error))
        return false;
    *block = reader->block;
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
