/*
 * Flushes files while the event loop goes on (group commit). Jobs added in one turn, or while a
 * round is under way, form the next round: the kernel flushes all their files concurrently
 * (io_submit(2), IOCB_CMD_FSYNC), which costs little more than one file; a directory that several
 * jobs share is flushed once. If the kernel refuses, the files are flushed one after the other at
 * the end of the turn. One loop, one thread.
 *
 *      add ──> waiting ──(the round before is over, the turn at its end)──> under way ──> done()
 */
#ifndef COMMON_DISK_FLUSH_ROUNDS_H
#define COMMON_DISK_FLUSH_ROUNDS_H

#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stddef.h>

#include <ev.h>

#include "common/role/turn.h"

/* Embedded in an object of the caller, and not freed before done(). */
struct flush_job {
    const int *fds; /* borrowed, and open, until done() */
    size_t count;
    int directory_fd; /* flushed with them, once for all jobs of a round that name it; -1: none */
    /* On the loop. May add, and may free the job. */
    void (*done)(struct flush_job *job);
    int code; /* then: 0, or the errno of the first flush that failed, of those above alone */
    struct flush_job *prev, *next;
};

struct flush_file {
    int fd;
    int code;
};

struct flush_rounds {
    struct turn *turn;     /* borrowed; NULL: not started */
    aio_context_t context; /* 0: the kernel has lent none */
    int event_fd;
    ev_io readable;
    struct deferred at_turn_end;
    struct flush_job *waiting;
    struct flush_job *under_way;
    /* Of the round that is under way: first the jobs' directories, each once, then their files in
     * order. */
    struct flush_file *files;
    size_t capacity;
    size_t count;
    size_t directories;
    size_t submitted;
    size_t finished;
};

/* Before the sandbox is entered, which forbids io_setup even with SANDBOX_FLUSH. That the kernel
 * refuses it is no failure. */
void flush_rounds_open(struct flush_rounds *rounds);
/* May run twice, and on a zeroed struct. What is still to be flushed is waited for, and done. */
void flush_rounds_close(struct flush_rounds *rounds);

/* A loop that waits for nothing else returns. */
void flush_rounds_start(struct flush_rounds *rounds, struct turn *turn);
/* Waits for all that was added, and ends what start began. May run twice. */
void flush_rounds_stop(struct flush_rounds *rounds);

/* What failed is never flushed again: the kernel may have dropped the pages. */
void flush_rounds_add(struct flush_rounds *rounds, struct flush_job *job);

#endif
