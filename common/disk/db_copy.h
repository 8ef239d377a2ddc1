/*
 * A copy of an environment of common/disk/db while it is in use, in small steps between other work.
 * Opening the copy recovers it to what was committed when the last step returned.
 *
 * The trees are copied first, then the log with all that was done to them meanwhile. That holds as
 * long as the log since the beginning is all there and no page is written while it is read. So the
 * caller, who owns the environment, makes a checkpoint right before db_copy_begin(), lets none
 * happen until the last step and compacts no tree, and calls these functions on the thread of its
 * transactions; the second thread writes pages only in checkpoints and compaction.
 */
#ifndef COMMON_DISK_DB_COPY_H
#define COMMON_DISK_DB_COPY_H

#include "common/buffer.h"
#include "common/error.h"

struct db_copy {
    int from_fd, to_fd;  /* directories; -1: not begun */
    int in_fd, out_fd;   /* the file that is being copied; -1: none */
    struct buffer names; /* of files to come, NUL after each */
    bool is_at_logs;
    bool is_newest;    /* the log that is being copied is the last */
    uint64_t last_log; /* its number */
};

#define DB_COPY_NONE                                                                               \
    {                                                                                              \
        .from_fd = -1, .to_fd = -1, .in_fd = -1, .out_fd = -1                                      \
    }

/* From the environment in `directory` into the directory `target_fd`, which is empty. */
bool db_copy_begin(struct db_copy *copy, const char *directory, int target_fd, struct error *error);

/* Copies some `octets`; at the end a whole log file, which the environment's options bound. *done:
 * that was the last. After a failure the copy is worth nothing. */
bool db_copy_step(struct db_copy *copy, size_t octets, bool *done, struct error *error);

void db_copy_end(struct db_copy *copy); /* may run twice */

#endif
