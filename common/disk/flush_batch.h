/*
 * Flushes several files at once. Sequential fsyncs cost a cache flush of the disk each; concurrent
 * ones share it, and the commit of the file system's journal: ten files of 100 KiB take 3 ms
 * instead of 40. One thread can do that by io_submit(2), IOCB_CMD_FSYNC; if the kernel refuses, the
 * files are flushed one after the other.
 *
 * One thread at a time.
 */
#ifndef COMMON_DISK_FLUSH_BATCH_H
#define COMMON_DISK_FLUSH_BATCH_H

#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stddef.h>

enum { FLUSH_BATCH_MAX = 64 };

struct flush_batch {
    aio_context_t context;
    bool concurrent; /* the kernel has lent us a context */
    size_t count;
    struct iocb requests[FLUSH_BATCH_MAX];
    int *codes[FLUSH_BATCH_MAX];
};

/* Before the sandbox is entered, which forbids io_setup. That the kernel refuses it is no failure.
 */
void flush_batch_open(struct flush_batch *batch);
void flush_batch_close(struct flush_batch *batch); /* may run twice */

/* The file is flushed now or with the next ones, by flush_batch_run at the latest; until that has
 * returned fd stays open, and then *code is 0 or the errno of this file's flush. Whatever failed is
 * never flushed again: the kernel may have dropped the pages. */
void flush_batch_add(struct flush_batch *batch, int fd, int *code);
void flush_batch_run(struct flush_batch *batch);

#endif
