/*
 * The only interface to Berkeley DB 5.3: transactional B-trees in an environment that exactly one
 * process opens (DB_PRIVATE), recovered each time it is opened. Users: `queue` (two threads),
 * `mailbox` (the index of one user), `journal`.
 *
 * One thread owns the environment: it opens trees, reads, and makes all writes in a transaction, of
 * which at most one is open. With options.threads a second thread may call db_checkpoint(),
 * db_prepare_log(), db_tree_compact() and functions marked "any thread", and nothing else.
 *
 * Kinds of failure:
 *
 *   ERROR_TEMPORARY  the call did nothing: abort the transaction and go on. The same call may
 *                    succeed later (ENOSPC, EDQUOT, EIO, ENOMEM, in error.code)
 *   ERROR_NOT_FOUND  there is no such key, or no further one
 *   ERROR_PERMANENT  the files on disk contradict themselves. From db_open() and db_tree_open()
 *                    alone; the caller may db_set_aside() the files and begin anew
 *
 * After any failure check db_usable(): if it returns false, the process must exit and reopen the
 * environment.
 */
#ifndef COMMON_DISK_DB_H
#define COMMON_DISK_DB_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/slice.h"

struct db;      /* an open environment */
struct db_tree; /* an open B-tree in an environment; keys are in memcmp order */

struct db_options {
    const char *directory;    /* holds trees and log; "." after a chroot; must exist */
    uint32_t cache_octets;    /* page cache, at least 64 KiB */
    uint32_t log_file_octets; /* size of one log file, at least 64 KiB; 0: 10 MiB */
    bool threads;             /* a second thread makes checkpoints */

    /* True: db_commit() returns once the transaction is on disk. False: once the kernel has it; a
     * power cut may then lose the last transactions, each whole, latest first. */
    bool flush_commits;

    /* True: flush the files and drop them from the page cache before recovery, so that recovery
     * reads the disk. After a failed flush the kernel marks pages clean that never reached the
     * disk; recovery would read them, do nothing, and they would be lost at the next eviction. */
    bool reread_disk;

    /* Receives Berkeley DB's messages, one line each without newline; it never prints itself.
     * Called by the thread that failed. NULL: messages are dropped. */
    void (*on_message)(void *context, const char *message);
    void *context;
};

/* Opens, creating what is missing, and recovers: the result holds every committed transaction and
 * nothing else. Ends with a checkpoint. ERROR_PERMANENT: log or trees are corrupt. */
bool db_open(const struct db_options *options, struct db **db, struct error *error);

/* Aborts an open transaction, closes trees and environment; no checkpoint. NULL is fine. */
void db_close(struct db *db);

/* False after a failed flush anywhere in this process (never retried: the kernel forgets what it
 * could not write, and a second fsync would call that a success) or after Berkeley DB gave up. No
 * commit succeeds from then on. Any thread. */
bool db_usable(const struct db *db);

/* Moves every file (trees, logs) of an environment that is not open into `directory`/`name`, which
 * it creates; `name` must not exist (ERROR_EXISTS). Nothing is deleted. */
bool db_set_aside(const char *directory, const char *name, struct error *error);

/* Begins the owner's transaction. It takes effect as a whole or, after db_abort, a failed commit or
 * a crash, not at all. One transaction should touch fewer than some ten thousand pages. */
bool db_begin(struct db *db, struct error *error);
/* A failed commit aborts the transaction. */
bool db_commit(struct db *db, struct error *error);
/* Does nothing if no transaction is open. */
void db_abort(struct db *db);

/* Writes committed changes into the trees' files and removes logs no longer needed. Does nothing if
 * nothing was committed since the last checkpoint, unless `force`. Any thread. */
bool db_checkpoint(struct db *db, bool force, struct error *error);

/* Octets of log since the last checkpoint. Any thread. */
uint64_t db_log_octets(const struct db *db);

/* Preallocates the next log file (next_log.h), at most once for each. Without it the library
 * creates one that grows. (second thread) */
bool db_prepare_log(struct db *db, struct error *error);

/* Whether the current log file is half full and no next one was prepared. Any thread. */
bool db_wants_log(const struct db *db);

/* `file` is a name in the environment's directory. `page_octets` is used only at creation: a power
 * of two, 512..65536. No transaction may be open. Pages carry checksums. */
bool db_tree_open(struct db *db, const char *file, uint32_t page_octets, struct db_tree **tree,
                  struct error *error);

/* Replaces *value, which the caller owns. Also fails if the value exceeds value->limit. */
bool db_get(struct db_tree *tree, struct slice key, struct buffer *value, struct error *error);

/* Replaces any previous value of the key. This and db_delete require a transaction. */
bool db_put(struct db_tree *tree, struct slice key, struct slice value, struct error *error);
bool db_delete(struct db_tree *tree, struct slice key, struct error *error);

/* Puts the greatest key less than `key` into *found, which the caller owns; its value is not read.
 * False with ERROR_NOT_FOUND: there is none. */
bool db_get_before(struct db_tree *tree, struct slice key, struct buffer *found,
                   struct error *error);

/* Numbers in keys are big-endian, so that they sort by value; `octets` is at most 8. */
static inline void db_append_number(struct buffer *key, uint64_t number, unsigned octets)
{
    for (unsigned i = octets; i-- > 0;)
        buffer_append_octet(key, (uint8_t)(number >> (8 * i)));
}

static inline uint64_t db_parse_number(struct slice octets)
{
    uint64_t number = 0;
    for (size_t i = 0; i < octets.len; i++)
        number = number << 8 | octets.ptr[i];
    return number;
}

/* Returns free pages to the file system; for a nearly empty tree. Any thread; the owner's
 * transactions take precedence. */
bool db_tree_compact(struct db_tree *tree, struct error *error);

/*
 * Reads in key order, many entries at a time. No lock is held between calls, so the tree may change
 * meanwhile: up to `bulk` octets of following entries may have been read before the change.
 *
 *     struct db_cursor cursor;
 *     db_cursor_init(&cursor, tree, SLICE(""), 1 << 20);
 *     while (db_cursor_next(&cursor, &key, &value, &error))
 *         ...
 *     if (error.kind != ERROR_NOT_FOUND) ...
 *     db_cursor_clear(&cursor);
 */
struct db_cursor {
    struct db_tree *tree;
    struct buffer key;   /* where reading continues */
    struct buffer block; /* entries read in one call */
    size_t bulk;         /* octets of `block` that the library may fill */
    void *position;      /* in `block`; NULL: nothing left there */
};

/* Begins at the first key not less than `from`, which is copied. `bulk`: a multiple of 1024 and at
 * least the page size of the tree; longer values enlarge it, up to 64 MiB. Cannot fail:
 * db_cursor_next reports a lack of memory. */
void db_cursor_init(struct db_cursor *cursor, struct db_tree *tree, struct slice from, size_t bulk);
/* *key and *value are borrowed until the next call. False with ERROR_NOT_FOUND at the end. */
bool db_cursor_next(struct db_cursor *cursor, struct slice *key, struct slice *value,
                    struct error *error);
void db_cursor_clear(struct db_cursor *cursor); /* may run twice */

#endif
