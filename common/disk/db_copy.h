/*
 * Copies an environment of common/disk/db while it is in use, in small steps between other work.
 * Opening the copy recovers it to the state committed when the last step returned.
 *
 * The trees are copied first, then the log with all changes made meanwhile. This is correct as long
 * as the log since the beginning is complete and no page is written while it is read. So the
 * caller, who owns the environment, makes a checkpoint right before db_copy_begin(), allows no
 * other until the last step, compacts no tree, and calls these functions on the thread of its
 * transactions; the second thread writes pages only in checkpoints and compaction.
 */
#ifndef COMMON_DISK_DB_COPY_H
#define COMMON_DISK_DB_COPY_H

#include "common/buffer.h"
#include "common/error.h"

struct db_copy {
    int from_fd, to_fd;  /* directories; -1: not begun */
    int in_fd, out_fd;   /* the file being copied; -1: none */
    struct buffer names; /* names of files still to copy, each followed by NUL */
    bool is_at_logs;
    bool is_newest;    /* the log being copied is the last one */
    uint64_t last_log; /* number of the last log */
};

#define DB_COPY_NONE                                                                               \
    {                                                                                              \
        .from_fd = -1, .to_fd = -1, .in_fd = -1, .out_fd = -1                                      \
    }

/* Begins a copy of the environment in `directory` into the empty directory `target_fd`. */
bool db_copy_begin(struct db_copy *copy, const char *directory, int target_fd, struct error *error);

/* Copies about `octets` octets; the last step copies a whole log file, whose size the environment's
 * options bound. *done: this was the last step. After a failure the copy is unusable. */
bool db_copy_step(struct db_copy *copy, size_t octets, bool *done, struct error *error);

void db_copy_end(struct db_copy *copy); /* may run twice */

#endif
