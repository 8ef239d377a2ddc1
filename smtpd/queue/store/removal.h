/*
 * Removes spool files that are no longer needed, in the second thread, since removing waits for the
 * disk; a few at a time, so that bodies of waiting clients are flushed in between.
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

/* Starts a job if there is something to remove; called at the end of the turn. */
void removal_run(struct queue *queue);

bool removal_is_busy(const struct queue *queue);

#endif
