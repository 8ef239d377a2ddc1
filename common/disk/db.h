/*
 * The one place where the project meets Berkeley DB 5.3: transactional B-trees in an environment
 * that exactly one process opens (DB_PRIVATE), recovered each time it is opened. Users: `queue`
 * (two threads), `mailbox` (the index of one user), `journal`.
 *
 * One thread owns the environment: it opens trees, reads, and has at most one transaction open, in
 * which all its writes take place. A second thread may call db_checkpoint(), db_prepare_log() and
 * db_tree_compact(), and nothing else, if the options said `threads`.
 *
 * Kinds of failure:
 *
 *   ERROR_TEMPORARY  the call did nothing: abort the transaction and go on. The same call may
 *                    succeed later (ENOSPC, EDQUOT, EIO, ENOMEM, in error.code)
 *   ERROR_NOT_FOUND  there is no such key, or no further one
 *   ERROR_PERMANENT  the files on disk contradict themselves. From db_open() and db_tree_open()
 *                    alone; the caller may db_set_aside() the files and begin anew
 *
 * After any failure ask db_usable(): if it says no, the process has to end and open again.
 */
#ifndef COMMON_DISK_DB_H
#define COMMON_DISK_DB_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/slice.h"

struct db;      /* an open environment */
struct db_tree; /* one open B-tree of it; keys are ordered as memcmp does */

struct db_options {
    const char *directory;    /* holds trees and log; "." after a chroot; exists */
    uint32_t cache_octets;    /* of pages, 64 KiB and more */
    uint32_t log_file_octets; /* size of one log file, 64 KiB and more; 0: 10 MiB */
    bool threads;             /* a second thread does checkpoints */

    /* True: db_commit() returns when the disk has it. False: when the kernel has it; then a power
     * cut may take the last transactions, whole and in order. */
    bool flush_commits;

    /* True: before recovery flush what the kernel has of the files and make it forget them, so that
     * recovery reads the disk. After a failed flush the kernel calls pages clean that never reached
     * it; recovery would see them, do nothing, and they would be lost with the next eviction. */
    bool reread_disk;

    /* What Berkeley DB has to say, a line without newline each; it never prints by itself. Called
     * by the thread that failed. NULL: nobody wants to know. */
    void (*on_message)(void *context, const char *message);
    void *context;
};

/* Opens, creating what is missing, and recovers: every committed transaction is there, of no other
 * anything. Ends with a checkpoint. ERROR_PERMANENT: log or trees are corrupt. */
bool db_open(const struct db_options *options, struct db **db, struct error *error);

/* Aborts an open transaction, closes trees and environment; no checkpoint. NULL is fine. */
void db_close(struct db *db);

/* False after a failed flush anywhere in this process (never retried: the kernel forgets what it
 * could not write, and a second fsync would call that a success) or after Berkeley DB gave up. No
 * commit succeeds from then on. Any thread. */
bool db_usable(const struct db *db);

/* Moves every file of an environment that is not open (trees, logs) below `directory`/`name`, which
 * it creates; `name` must not exist (ERROR_EXISTS). Nothing is deleted. */
bool db_set_aside(const char *directory, const char *name, struct error *error);

/* One transaction, the owner's; everything between is done or, after db_abort, a failed commit or a
 * crash, not done at all. Keep the pages that one transaction touches below some ten thousand. */
bool db_begin(struct db *db, struct error *error);
/* On failure it is aborted. */
bool db_commit(struct db *db, struct error *error);
/* Fine where none is open. */
void db_abort(struct db *db);

/* Writes what was committed into the trees' files and drops the logs no longer needed. Does nothing
 * where nothing was committed since the last one, unless `force`. Any thread. */
bool db_checkpoint(struct db *db, bool force, struct error *error);

/* Octets of log since the last checkpoint. Any thread. */
uint64_t db_log_octets(const struct db *db);

/* Makes the file in which the log goes on (next_log.h), at most once for each. The library makes
 * one that grows where there is none. (second thread) */
bool db_prepare_log(struct db *db, struct error *error);

/* Whether the present one is half full and no next one was prepared. Any thread. */
bool db_wants_log(const struct db *db);

/* `file` is a name in the environment's directory. `page_octets` counts when it is created: a power
 * of two, 512..65536. No transaction may be open. Pages carry checksums. */
bool db_tree_open(struct db *db, const char *file, uint32_t page_octets, struct db_tree **tree,
                  struct error *error);

/* *value is replaced; it is the caller's. Fails too where the value passes value->limit. */
bool db_get(struct db_tree *tree, struct slice key, struct buffer *value, struct error *error);

/* Replaces what the key held. Within a transaction, as the next. */
bool db_put(struct db_tree *tree, struct slice key, struct slice value, struct error *error);
bool db_delete(struct db_tree *tree, struct slice key, struct error *error);

/* The greatest key that is below `key`, into *found, which is the caller's; its value is not read.
 * False with ERROR_NOT_FOUND: there is none. */
bool db_get_before(struct db_tree *tree, struct slice key, struct buffer *found,
                   struct error *error);

/* Numbers as keys are ordered: the highest octet first, `octets` of them, at most 8. */
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

/* Gives pages that are free back to the file system; for a tree that is nearly empty. Any thread;
 * the owner's transactions go first. */
bool db_tree_compact(struct db_tree *tree, struct error *error);

/*
 * Reading in the order of keys, many at a time. Nothing stays locked between two calls, and the
 * tree may change meanwhile: up to `bulk` octets of what follows may have been read before the
 * change.
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
    struct buffer key;   /* where to go on reading */
    struct buffer block; /* what was read at once */
    size_t bulk;         /* octets of it that the library may fill */
    void *position;      /* in block; NULL: nothing left there */
};

/* Begins at the first key that is not below `from`, which is copied. `bulk`: a multiple of 1024 and
 * at least the page size of the tree; longer values enlarge it, up to 64 MiB. Cannot fail: a lack
 * of memory is told by db_cursor_next. */
void db_cursor_init(struct db_cursor *cursor, struct db_tree *tree, struct slice from, size_t bulk);
/* Borrowed until the next call. False with ERROR_NOT_FOUND at the end. */
bool db_cursor_next(struct db_cursor *cursor, struct slice *key, struct slice *value,
                    struct error *error);
void db_cursor_clear(struct db_cursor *cursor); /* may run twice */

#endif
