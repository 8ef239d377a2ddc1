/*
 * Implements db.h with Berkeley DB 5.3. It has had no upstream since 2013, so its faults are worked
 * around here, each with the reason beside it.
 *
 * The library's own flush repeats a failed fdatasync up to a hundred times, and a commit whose
 * record is written but not flushed can still be reported as done. Both turn a lost page into an
 * acknowledged one. Therefore flush_once() takes the place of its flush: it fails for good. And
 * give_way() takes the place of its way to sleep, open_file() of its way to open.
 */
#include "common/disk/db.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <db.h>
#include <utlist.h>

#include "common/disk/fd.h"
#include "common/disk/next_log.h"
#include "common/size.h"

struct db_tree {
    struct db *db;
    DB *handle;
    struct db_tree *prev, *next;
};

struct db {
    DB_ENV *environment;
    DB_TXN *transaction; /* the owner's, or NULL */
    struct db_tree *trees;
    bool threads;
    _Atomic uint32_t prepared; /* the log whose successor was prepared; 0: none */
    _Atomic int panic;         /* the errno or code that made the library give up; 0: it has not */
    void (*on_message)(void *context, const char *message);
    void *context;
};

enum {
    DEFAULT_LOG_FILE_OCTETS = 10 << 20,
    LONGEST_BLOCK = 64 << 20,
    LONGEST_KEY = 4608,
    /* One batch of the queue is at most some thousand rows, each with its pages locked. */
    MOST_LOCKS = 40000,
    /* Their hash table. The library would make it for MOST_LOCKS: 3 MiB, all of it written. */
    LOCK_BUCKETS = 1021,
    /* One for each simultaneous read, transaction and compaction, allocated in advance: the library
     * mishandles a failure to allocate one. */
    LOCKERS = 256,
    /* In a deadlock the lower priority yields: compaction has the library's default of 100. */
    OWNER_PRIORITY = 1000,
};

/* The one mutable global: the library's hook has no context, and what it records is a fact about
 * the whole process, whose page cache can no longer be trusted. It is only ever set. */
static _Atomic bool flush_failed;

static int flush_once(int fd)
{
    if (atomic_load(&flush_failed))
        return EIO;
    int failed;
    do
        failed = fdatasync(fd);
    while (failed != 0 && errno == EINTR);
    if (failed == 0)
        return 0;
    int code = errno;
    atomic_store(&flush_failed, true);
    return code;
}

/* The library sleeps by select(), which our sandboxes forbid; it does so only between two tries of
 * a mutex, and in checkpoints. */
static int give_way(u_long seconds, u_long microseconds)
{
    const struct timespec nap = {.tv_sec = (time_t)seconds,
                                 .tv_nsec = (long)(microseconds % 1000000) * 1000};
    if (seconds == 0 && microseconds == 0)
        sched_yield();
    else
        nanosleep(&nap, NULL);
    return 0;
}

static bool is_log(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slice_starts_with(slice_of_string(slash ? slash + 1 : path), SLICE("log."));
}

/* The log goes on in the file that was prepared, which has its name on disk before the first octet
 * is written to it. */
static int open_file(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    if ((flags & O_CREAT) && is_log(path) && !next_log_take(path)) {
        atomic_store(&flush_failed, true);
        return -1;
    }
    return open(path, flags, mode);
}

bool db_usable(const struct db *db)
{
    return !atomic_load(&flush_failed) && atomic_load(&db->panic) == 0;
}

/* ---- errors ---- */

static void on_library_message(const DB_ENV *environment, const char *prefix, const char *message)
{
    (void)prefix;
    const struct db *db = environment->app_private;
    if (db->on_message)
        db->on_message(db->context, message);
}

static void on_library_event(DB_ENV *environment, u_int32_t event, void *info)
{
    struct db *db = environment->app_private;
    if (event != DB_EVENT_PANIC)
        return;
    int cause = info ? *(const int *)info : 0;
    int none = 0;
    /* The first cause counts; later ones are just DB_RUNRECOVERY. */
    atomic_compare_exchange_strong(&db->panic, &none, cause ? cause : DB_RUNRECOVERY);
}

/* Whether a call failed for a reason outside of the files' contents. */
static bool is_outer_cause(int code)
{
    static const int causes[] = {ENOSPC,
                                 EDQUOT,
                                 EIO,
                                 ENOMEM,
                                 EACCES,
                                 EPERM,
                                 EROFS,
                                 EMFILE,
                                 ENFILE,
                                 EFBIG,
                                 EBUSY,
                                 EAGAIN,
                                 EINTR,
                                 ELOOP,
                                 ENXIO,
                                 ENODEV,
                                 ESTALE,
                                 ETXTBSY,
                                 DB_LOCK_DEADLOCK,
                                 DB_LOCK_NOTGRANTED};
    for (size_t i = 0; i < ARRAY_LENGTH(causes); i++)
        if (code == causes[i])
            return true;
    return false;
}

static bool fail_unflushed(struct error *error, const char *what)
{
    errno = EIO;
    return error_errno(error, "%s: a flush to disk failed", what);
}

/* False always. `code` is a positive errno or one of the library's negative ones; of a full disk in
 * the middle of recovery it says DB_RUNRECOVERY as it does of corrupt files, so the first cause of
 * the panic counts. */
static bool fail(const struct db *db, struct error *error, int code, const char *what)
{
    if (atomic_load(&flush_failed))
        return fail_unflushed(error, what);
    int panic = atomic_load(&db->panic);
    if (panic != 0)
        code = panic;
    enum error_kind kind = code == DB_NOTFOUND                            ? ERROR_NOT_FOUND
                           : is_outer_cause(code) || (code > 0 && !panic) ? ERROR_TEMPORARY
                                                                          : ERROR_PERMANENT;
    error_set(error, kind, "%s: %s", what, db_strerror(code));
    if (error && code > 0)
        error->code = code;
    return false;
}

/* Opening existing files fails for their contents or for an outer cause: EINVAL and ENOENT mean a
 * log that contradicts the trees. */
static bool fail_open(const struct db *db, struct error *error, int code, const char *what)
{
    fail(db, error, code, what);
    if (error && error->kind == ERROR_TEMPORARY && error->code != 0 && !is_outer_cause(error->code))
        error->kind = ERROR_PERMANENT;
    return false;
}

/* ---- files ---- */

static bool is_environment_file(const char *name)
{
    struct slice file = slice_of_string(name);
    return slice_starts_with(file, SLICE("log.")) || slice_starts_with(file, SLICE("__db."))
           || slice_ends_with(file, SLICE(".db"));
}

static bool for_each_file(int directory_fd, const char *directory,
                          bool (*visit)(int directory_fd, const char *name, int target_fd,
                                        struct error *error),
                          int target_fd, struct error *error)
{
    int scan_fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *scan = scan_fd < 0 ? NULL : fdopendir(scan_fd);
    if (!scan) {
        error_errno(error, "open directory %s", directory);
        fd_discard(&scan_fd);
        return false;
    }
    bool good = true;
    struct dirent *entry;
    while (good && (errno = 0, entry = readdir(scan)))
        if (is_environment_file(entry->d_name))
            good = visit(directory_fd, entry->d_name, target_fd, error);
    if (good && errno != 0)
        good = error_errno(error, "read directory %s", directory);
    closedir(scan);
    return good;
}

static bool forget_cached_pages(int directory_fd, const char *name, int unused, struct error *error)
{
    (void)unused;
    int fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "open %s", name);
    /* Dirty pages cannot be dropped, and need not be: they were never marked clean. */
    bool flushed = fdatasync(fd) == 0 || error_errno(error, "flush %s", name);
    if (flushed)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    fd_discard(&fd);
    return flushed;
}

static bool move_file(int directory_fd, const char *name, int target_fd, struct error *error)
{
    if (renameat(directory_fd, name, target_fd, name) != 0)
        return error_errno(error, "set %s aside", name);
    return true;
}

bool db_set_aside(const char *directory, const char *name, struct error *error)
{
    bool moved = false;
    int target_fd = -1;
    int directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return error_errno(error, "open directory %s", directory);
    if (mkdirat(directory_fd, name, 0700) != 0) {
        error_errno(error, "create %s/%s", directory, name);
        goto done;
    }
    target_fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target_fd < 0) {
        error_errno(error, "open %s/%s", directory, name);
        goto done;
    }
    if (!for_each_file(directory_fd, directory, move_file, target_fd, error))
        goto done;
    moved = (fsync(target_fd) == 0 && fsync(directory_fd) == 0)
            || error_errno(error, "flush %s/%s", directory, name);
done:
    fd_discard(&target_fd);
    fd_discard(&directory_fd);
    return moved;
}

/* ---- environment ---- */

/* 0 or the library's code. */
static int configure(struct db *db, const struct db_options *options)
{
    DB_ENV *environment = db->environment;
    environment->app_private = db;
    environment->set_errcall(environment, on_library_message);
    u_int32_t log_octets =
        options->log_file_octets ? options->log_file_octets : DEFAULT_LOG_FILE_OCTETS;
    int code = environment->set_event_notify(environment, on_library_event);
    if (code == 0)
        code = environment->set_cachesize(environment, 0, options->cache_octets, 1);
    if (code == 0)
        code = environment->set_lg_max(environment, log_octets);
    if (code == 0)
        code = environment->log_set_config(environment, DB_LOG_AUTO_REMOVE, 1);
    if (code == 0 && !options->flush_commits)
        code = environment->set_flags(environment, DB_TXN_WRITE_NOSYNC, 1);
    if (code != 0 || !options->threads)
        return code;
    code = environment->set_lk_detect(environment, DB_LOCK_DEFAULT);
    if (code == 0)
        code = environment->set_lk_max_locks(environment, MOST_LOCKS);
    if (code == 0)
        code = environment->set_lk_max_objects(environment, MOST_LOCKS);
    if (code == 0)
        code = environment->set_lk_tablesize(environment, LOCK_BUCKETS);
    if (code == 0)
        code = environment->set_memory_init(environment, DB_MEM_LOCKER, LOCKERS);
    return code;
}

static bool open_environment(struct db *db, const struct db_options *options, struct error *error)
{
    int code = db_env_set_func_fsync(flush_once);
    if (code == 0)
        code = db_env_set_func_yield(give_way);
    if (code == 0)
        code = db_env_set_func_open(open_file);
    if (code == 0)
        code = db_env_create(&db->environment, 0);
    if (code != 0)
        return fail(db, error, code, "create environment");
    code = configure(db, options);
    if (code != 0)
        return fail(db, error, code, "configure environment");
    u_int32_t flags =
        DB_CREATE | DB_PRIVATE | DB_RECOVER | DB_INIT_TXN | DB_INIT_LOG | DB_INIT_MPOOL;
    if (options->threads)
        flags |= DB_THREAD | DB_INIT_LOCK;
    code = db->environment->open(db->environment, options->directory, flags, 0600);
    if (code != 0)
        return fail_open(db, error, code, "recover environment");
    return true;
}

static bool prepare_directory(const struct db_options *options, struct error *error)
{
    int fd = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        error_errno(error, "open directory %s", options->directory);
        if (error)
            error->kind = ERROR_TEMPORARY;
        return false;
    }
    next_log_clear(fd);
    bool good = !options->reread_disk
                || for_each_file(fd, options->directory, forget_cached_pages, -1, error);
    fd_discard(&fd);
    return good;
}

bool db_open(const struct db_options *options, struct db **result, struct error *error)
{
    *result = NULL;
    if (!prepare_directory(options, error))
        return error_prefix(error, "database in %s", options->directory);
    struct db *db = calloc(1, sizeof(*db));
    if (!db)
        return error_memory(error);
    db->threads = options->threads;
    db->on_message = options->on_message;
    db->context = options->context;
    if (!open_environment(db, options, error)) {
        db_close(db);
        return error_prefix(error, "database in %s", options->directory);
    }
    *result = db;
    return true;
}

static void close_tree(struct db_tree *tree)
{
    /* No flush: the log has all that was committed. */
    if (tree->handle)
        tree->handle->close(tree->handle, DB_NOSYNC);
    free(tree);
}

void db_close(struct db *db)
{
    if (!db)
        return;
    db_abort(db);
    struct db_tree *tree, *next;
    DL_FOREACH_SAFE (db->trees, tree, next) {
        DL_DELETE(db->trees, tree);
        close_tree(tree);
    }
    if (db->environment)
        db->environment->close(db->environment, 0);
    free(db);
}

/* ---- transactions ---- */

bool db_begin(struct db *db, struct error *error)
{
    assert(!db->transaction);
    if (!db_usable(db))
        return fail(db, error, DB_RUNRECOVERY, "begin transaction");
    int code = db->environment->txn_begin(db->environment, NULL, &db->transaction, 0);
    if (code == 0 && db->threads)
        code = db->transaction->set_priority(db->transaction, OWNER_PRIORITY);
    if (code == 0)
        return true;
    db_abort(db);
    return fail(db, error, code, "begin transaction");
}

bool db_commit(struct db *db, struct error *error)
{
    DB_TXN *transaction = db->transaction;
    assert(transaction);
    db->transaction = NULL;
    int code = transaction->commit(transaction, 0);
    return (code == 0 && !atomic_load(&flush_failed)) || fail(db, error, code, "commit");
}

void db_abort(struct db *db)
{
    DB_TXN *transaction = db->transaction;
    db->transaction = NULL;
    /* If this fails the library gives up, and db_usable() returns false. */
    if (transaction)
        transaction->abort(transaction);
}

bool db_checkpoint(struct db *db, bool force, struct error *error)
{
    int code = db->environment->txn_checkpoint(db->environment, 0, 0, force ? DB_FORCE : 0);
    return (code == 0 && !atomic_load(&flush_failed)) || fail(db, error, code, "checkpoint");
}

/* All zeros where there is no memory for it. */
static DB_LOG_STAT log_statistics(const struct db *db)
{
    DB_LOG_STAT *found = NULL, statistics = {0};
    if (db->environment->log_stat(db->environment, &found, 0) == 0)
        statistics = *found;
    free(found);
    return statistics;
}

uint64_t db_log_octets(const struct db *db)
{
    DB_LOG_STAT log = log_statistics(db);
    return ((uint64_t)log.st_wc_mbytes << 20) + log.st_wc_bytes;
}

bool db_wants_log(const struct db *db)
{
    DB_LOG_STAT log = log_statistics(db);
    return log.st_cur_offset > log.st_lg_size / 2 && log.st_cur_file != atomic_load(&db->prepared);
}

bool db_prepare_log(struct db *db, struct error *error)
{
    const char *directory;
    DB_LOG_STAT log = log_statistics(db);
    atomic_store(&db->prepared, log.st_cur_file);
    int code = db->environment->get_home(db->environment, &directory);
    return code == 0 ? next_log_make(directory, log.st_lg_size, error)
                     : fail(db, error, code, "find directory");
}

/* ---- trees ---- */

bool db_tree_open(struct db *db, const char *file, uint32_t page_octets, struct db_tree **result,
                  struct error *error)
{
    assert(!db->transaction);
    *result = NULL;
    struct db_tree *tree = calloc(1, sizeof(*tree));
    if (!tree)
        return error_memory(error);
    tree->db = db;
    int code = db_create(&tree->handle, db->environment, 0);
    if (code == 0)
        code = tree->handle->set_pagesize(tree->handle, page_octets);
    if (code == 0)
        code = tree->handle->set_flags(tree->handle, DB_CHKSUM);
    if (code == 0)
        code = tree->handle->open(tree->handle, NULL, file, NULL, DB_BTREE,
                                  DB_CREATE | DB_AUTO_COMMIT | (db->threads ? DB_THREAD : 0), 0600);
    if (code != 0) {
        close_tree(tree);
        return fail_open(db, error, code, file);
    }
    DL_APPEND(db->trees, tree);
    *result = tree;
    return true;
}

/* The library does not write to its input. */
static DBT dbt_of(struct slice octets)
{
    DBT dbt = {.size = (u_int32_t)octets.len};
    memcpy(&dbt.data, &octets.ptr, sizeof(dbt.data));
    return dbt;
}

bool db_get(struct db_tree *tree, struct slice key, struct buffer *value, struct error *error)
{
    DB *handle = tree->handle;
    DBT key_dbt = dbt_of(key);
    buffer_reset(value);
    for (;;) {
        DBT value_dbt = {.data = value->ptr, .flags = DB_DBT_USERMEM};
        value_dbt.ulen = value->capacity < UINT32_MAX ? (u_int32_t)value->capacity : UINT32_MAX;
        int code = handle->get(handle, tree->db->transaction, &key_dbt, &value_dbt, 0);
        if (code == 0) {
            buffer_commit(value, value_dbt.size);
            return true;
        }
        if (code != DB_BUFFER_SMALL)
            return fail(tree->db, error, code, "read record");
        if (!buffer_reserve(value, value_dbt.size))
            return error_set(error, ERROR_TEMPORARY, "read record: no memory for %u octets",
                             (unsigned)value_dbt.size);
    }
}

bool db_put(struct db_tree *tree, struct slice key, struct slice value, struct error *error)
{
    assert(tree->db->transaction);
    DB *handle = tree->handle;
    DBT key_dbt = dbt_of(key), value_dbt = dbt_of(value);
    int code = handle->put(handle, tree->db->transaction, &key_dbt, &value_dbt, 0);
    return code == 0 || fail(tree->db, error, code, "write record");
}

bool db_delete(struct db_tree *tree, struct slice key, struct error *error)
{
    assert(tree->db->transaction);
    DB *handle = tree->handle;
    DBT key_dbt = dbt_of(key);
    int code = handle->del(handle, tree->db->transaction, &key_dbt, 0);
    return code == 0 || fail(tree->db, error, code, "delete record");
}

bool db_tree_compact(struct db_tree *tree, struct error *error)
{
    int code = tree->handle->compact(tree->handle, NULL, NULL, NULL, NULL, DB_FREE_SPACE, NULL);
    return (code == 0 && !atomic_load(&flush_failed)) || fail(tree->db, error, code, "compact");
}

/* ---- reading in order ---- */

/* 0 or the library's code. The key is replaced by the one that is found. */
static int read_before(DBC *position, DBT *key)
{
    DBT nothing = {.flags = DB_DBT_USERMEM | DB_DBT_PARTIAL};
    int code = position->get(position, key, &nothing, DB_SET_RANGE);
    if (code == DB_NOTFOUND)
        return position->get(position, key, &nothing, DB_LAST);
    return code == 0 ? position->get(position, key, &nothing, DB_PREV) : code;
}

bool db_get_before(struct db_tree *tree, struct slice key, struct buffer *found,
                   struct error *error)
{
    DB *handle = tree->handle;
    DBC *position;
    uint8_t octets[LONGEST_KEY];
    if (key.len > sizeof(octets))
        return error_set(error, ERROR_PERMANENT, "key is too long");
    memcpy(octets, key.ptr, key.len);
    DBT at = {.data = octets,
              .size = (u_int32_t)key.len,
              .ulen = sizeof(octets),
              .flags = DB_DBT_USERMEM};
    int code = handle->cursor(handle, tree->db->transaction, &position, 0);
    if (code == 0) {
        code = read_before(position, &at);
        int close_code = position->close(position);
        code = code != 0 ? code : close_code;
    }
    if (code != 0)
        return fail(tree->db, error, code, "read a record");
    buffer_reset(found);
    buffer_append(found, slice_of(octets, at.size));
    return !found->failed || error_memory(error);
}

void db_cursor_init(struct db_cursor *cursor, struct db_tree *tree, struct slice from, size_t bulk)
{
    assert(bulk % 1024 == 0 && bulk <= LONGEST_BLOCK);
    *cursor = (struct db_cursor){.tree = tree, .bulk = bulk};
    buffer_init(&cursor->key, LONGEST_KEY);
    buffer_init(&cursor->block, LONGEST_BLOCK);
    buffer_append(&cursor->key, from);
}

void db_cursor_clear(struct db_cursor *cursor)
{
    buffer_clear(&cursor->key);
    buffer_clear(&cursor->block);
    cursor->position = NULL;
}

/* 0 or the library's code. */
static int read_block(const struct db_cursor *cursor, DBT *block)
{
    DB *handle = cursor->tree->handle;
    DBC *position;
    int code = handle->cursor(handle, cursor->tree->db->transaction, &position, DB_CURSOR_BULK);
    if (code != 0)
        return code;
    /* The library puts the key it found in place of the one it looked for. */
    uint8_t octets[LONGEST_KEY];
    DBT key = {.data = octets,
               .size = (u_int32_t)cursor->key.len,
               .ulen = sizeof(octets),
               .flags = DB_DBT_USERMEM};
    if (key.size > 0)
        memcpy(octets, cursor->key.ptr, key.size);
    code = position->get(position, &key, block, DB_SET_RANGE | DB_MULTIPLE_KEY);
    int close_code = position->close(position);
    return code != 0 ? code : close_code;
}

static bool fill_block(struct db_cursor *cursor, struct error *error)
{
    for (;;) {
        buffer_reset(&cursor->block);
        if (cursor->key.failed || !buffer_reserve(&cursor->block, cursor->bulk))
            return error_memory(error);
        DBT block = {
            .data = cursor->block.ptr, .ulen = (u_int32_t)cursor->bulk, .flags = DB_DBT_USERMEM};
        int code = read_block(cursor, &block);
        if (code == 0) {
            DB_MULTIPLE_INIT(cursor->position, &block);
            return true;
        }
        if (code != DB_BUFFER_SMALL)
            return fail(cursor->tree->db, error, code, "read records");
        cursor->bulk *= 2; /* a value longer than the whole block */
    }
}

bool db_cursor_next(struct db_cursor *cursor, struct slice *key, struct slice *value,
                    struct error *error)
{
    for (;;) {
        if (!cursor->position && !fill_block(cursor, error))
            return false;
        DBT block = {.data = cursor->block.ptr, .ulen = (u_int32_t)cursor->bulk};
        void *key_octets = NULL, *value_octets = NULL;
        u_int32_t key_len = 0, value_len = 0;
        DB_MULTIPLE_KEY_NEXT(cursor->position, &block, key_octets, key_len, value_octets,
                             value_len);
        if (!cursor->position)
            continue;
        *key = slice_of(key_octets, key_len);
        *value = slice_of(value_octets, value_len);
        /* The next block begins with the smallest key above this one: itself and a zero. */
        buffer_reset(&cursor->key);
        buffer_append(&cursor->key, *key);
        buffer_append_octet(&cursor->key, 0);
        return true;
    }
}
