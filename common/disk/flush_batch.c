/* fsync of many files side by side; see flush_batch.h. */
#include "common/disk/flush_batch.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

void flush_batch_open(struct flush_batch *batch)
{
    *batch = (struct flush_batch){.context = 0};
    batch->concurrent = syscall(SYS_io_setup, FLUSH_BATCH_MAX, &batch->context) == 0;
}

void flush_batch_close(struct flush_batch *batch)
{
    if (batch->concurrent)
        syscall(SYS_io_destroy, batch->context);
    batch->concurrent = false;
}

void flush_batch_add(struct flush_batch *batch, int fd, int *code)
{
    if (batch->count == FLUSH_BATCH_MAX)
        flush_batch_run(batch);
    *code = EIO; /* until its flush is known to have succeeded */
    batch->codes[batch->count] = code;
    batch->requests[batch->count] = (struct iocb){
        .aio_data = batch->count, .aio_lio_opcode = IOCB_CMD_FSYNC, .aio_fildes = (unsigned)fd};
    batch->count++;
}

/* How many of the first ones the kernel took. */
static size_t submit(struct flush_batch *batch)
{
    struct iocb *requests[FLUSH_BATCH_MAX];
    if (!batch->concurrent || batch->count < 2)
        return 0;
    for (size_t i = 0; i < batch->count; i++)
        requests[i] = &batch->requests[i];
    long taken = syscall(SYS_io_submit, batch->context, batch->count, requests);
    return taken > 0 ? (size_t)taken : 0;
}

static void await(struct flush_batch *batch, size_t taken)
{
    struct io_event events[FLUSH_BATCH_MAX];
    while (taken > 0) {
        long got = syscall(SYS_io_getevents, batch->context, 1, taken, events, NULL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            batch->concurrent = false; /* what is still under way there counts as failed */
            return;
        }
        for (long i = 0; i < got; i++)
            *batch->codes[events[i].data] = events[i].res < 0 ? (int)-events[i].res : 0;
        taken -= (size_t)got;
    }
}

void flush_batch_run(struct flush_batch *batch)
{
    size_t taken = submit(batch);
    for (size_t i = taken; i < batch->count; i++)
        *batch->codes[i] = fsync((int)batch->requests[i].aio_fildes) == 0 ? 0 : errno;
    await(batch, taken);
    batch->count = 0;
}
