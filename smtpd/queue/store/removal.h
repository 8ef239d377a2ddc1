/*
 * Removes files of the spool that nobody needs any more, in the second thread, since removing waits
 * for the disk; a few at a time, so that bodies that clients wait for are flushed in between.
 */
#ifndef SMTPD_QUEUE_STORE_REMOVAL_H
#define SMTPD_QUEUE_STORE_REMOVAL_H

#include <stdint.h>

#include "common/disk/flusher.h"

struct queue;

enum { REMOVAL_AT_ONCE = 4 };

struct removal {
    struct flusher_job job;
    uint64_t ids[REMOVAL_AT_ONCE];
    size_t count;
};

void removal_init(struct queue *queue);

/* At the end of the turn. */
void removal_run(struct queue *queue);

bool removal_is_busy(const struct queue *queue);

#endif
