/*
 * The second thread of queue and journal, for jobs that wait for the disk and must not block the
 * loop: checkpoints, flushing long bodies, syncfs. Jobs run one after the other, in their order.
 *
 * A failed flush is never repeated: the kernel may have dropped the pages and would call a second
 * flush a success.
 */
#ifndef COMMON_DISK_FLUSHER_H
#define COMMON_DISK_FLUSHER_H

#include <ev.h>

#include "common/error.h"

/* Embedded in an object of the caller. The loop's thread does not touch it between flusher_submit()
 * and done(). */
struct flusher_job {
    bool (*run)(struct flusher_job *job, struct error *error); /* in the second thread */
    void (*done)(struct flusher_job *job); /* on the loop; may submit, may free the job */
    void *owner;                           /* theirs */
    bool succeeded;                        /* what run() said */
    struct error error;
    struct flusher_job *prev, *next;
    bool under_way; /* between submit and done */
};

struct flusher;

bool flusher_start(struct ev_loop *loop, struct flusher **flusher, struct error *error);

/* Waits for the job that runs; jobs after it are neither run nor done. NULL is fine. */
void flusher_stop(struct flusher *flusher);

/* Loop's thread. The job is not under way. */
void flusher_submit(struct flusher *flusher, struct flusher_job *job);

#endif
