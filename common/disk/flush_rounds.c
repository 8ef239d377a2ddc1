/* The rounds of flush_rounds.h. */
#include "common/disk/flush_rounds.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"

enum { AT_ONCE = 32 }; /* the host has 65 536 for all its processes (fs.aio-max-nr) */

void flush_rounds_open(struct flush_rounds *rounds)
{
    *rounds = (struct flush_rounds){.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (rounds->event_fd >= 0 && syscall(SYS_io_setup, AT_ONCE, &rounds->context) != 0)
        rounds->context = 0;
}

void flush_rounds_close(struct flush_rounds *rounds)
{
    flush_rounds_stop(rounds);
    if (rounds->context)
        syscall(SYS_io_destroy, rounds->context);
    rounds->context = 0;
    if (rounds->event_fd > 0)
        fd_discard(&rounds->event_fd);
}

/* ---- what a round flushes ---- */

static bool reserve(struct flush_rounds *rounds, size_t count)
{
    if (count <= rounds->capacity)
        return true;
    struct flush_file *files = reallocarray(rounds->files, count, sizeof(*files));
    if (!files)
        return false;
    rounds->files = files;
    rounds->capacity = count;
    return true;
}

static struct flush_file *find_directory(const struct flush_rounds *rounds, int fd)
{
    for (size_t i = 0; i < rounds->directories; i++) {
        if (rounds->files[i].fd == fd)
            return &rounds->files[i];
    }
    return NULL;
}

/* Each counts as failed until its flush is known to have succeeded. */
static void add_file(struct flush_rounds *rounds, int fd)
{
    rounds->files[rounds->count++] = (struct flush_file){.fd = fd, .code = EIO};
}

/* False: no memory. */
static bool list_files(struct flush_rounds *rounds)
{
    struct flush_job *job;
    size_t most = 0;
    rounds->count = rounds->directories = rounds->submitted = rounds->finished = 0;
    DL_FOREACH (rounds->under_way, job)
        most += job->count + 1;
    if (!reserve(rounds, most))
        return false;
    DL_FOREACH (rounds->under_way, job) {
        if (job->directory_fd < 0 || find_directory(rounds, job->directory_fd))
            continue;
        add_file(rounds, job->directory_fd);
        rounds->directories++;
    }
    DL_FOREACH (rounds->under_way, job) {
        for (size_t i = 0; i < job->count; i++)
            add_file(rounds, job->fds[i]);
    }
    return true;
}

/* ---- flushing ---- */

static void flush_here(struct flush_rounds *rounds)
{
    struct flush_file *file = &rounds->files[rounds->submitted++];
    file->code = fsync(file->fd) == 0 ? 0 : errno;
    rounds->finished++;
}

/* How many more the kernel took. */
static size_t submit(struct flush_rounds *rounds)
{
    struct iocb requests[AT_ONCE], *list[AT_ONCE];
    size_t room = AT_ONCE - (rounds->submitted - rounds->finished);
    size_t count = rounds->count - rounds->submitted;
    if (count > room)
        count = room;
    for (size_t i = 0; i < count; i++) {
        size_t at = rounds->submitted + i;
        requests[i] = (struct iocb){.aio_data = at,
                                    .aio_lio_opcode = IOCB_CMD_FSYNC,
                                    .aio_fildes = (unsigned)rounds->files[at].fd,
                                    .aio_flags = IOCB_FLAG_RESFD,
                                    .aio_resfd = (unsigned)rounds->event_fd};
        list[i] = &requests[i];
    }
    long taken = count ? syscall(SYS_io_submit, rounds->context, count, list) : 0;
    rounds->submitted += taken > 0 ? (size_t)taken : 0;
    return taken > 0 ? (size_t)taken : 0;
}

/* Files the kernel does not take are flushed here; otherwise a completion continues with the
 * rest. */
static void go_on(struct flush_rounds *rounds)
{
    while (rounds->submitted < rounds->count) {
        bool taken = rounds->context && submit(rounds) > 0;
        if (!taken && rounds->submitted > rounds->finished)
            return;
        if (!taken)
            flush_here(rounds);
    }
}

/* The context is lost: what is still under way there counts as failed. */
static void give_up(struct flush_rounds *rounds)
{
    rounds->context = 0;
    rounds->finished = rounds->submitted;
}

/* `least`: how many completions to wait for, 0 or 1. */
static void collect(struct flush_rounds *rounds, long least)
{
    struct io_event events[AT_ONCE];
    struct timespec none = {0, 0};
    long got = syscall(SYS_io_getevents, rounds->context, least, AT_ONCE, events,
                       least > 0 ? NULL : &none);
    if (got < 0 && errno != EINTR)
        give_up(rounds);
    for (long i = 0; i < got; i++)
        rounds->files[events[i].data].code = events[i].res < 0 ? (int)-events[i].res : 0;
    rounds->finished += got > 0 ? (size_t)got : 0;
}

/* ---- rounds ---- */

static int code_of(const struct flush_rounds *rounds, const struct flush_job *job, size_t first)
{
    int code = 0;
    for (size_t i = 0; i < job->count && code == 0; i++)
        code = rounds->files[first + i].code;
    if (code == 0 && job->directory_fd >= 0)
        code = find_directory(rounds, job->directory_fd)->code;
    return code;
}

/* The results first: a job that is done may close its descriptors, and others get their numbers. */
static void end_round(struct flush_rounds *rounds, bool listed)
{
    struct flush_job *job, *ended = rounds->under_way;
    size_t first = rounds->directories;
    DL_FOREACH (ended, job) {
        job->code = listed ? code_of(rounds, job, first) : ENOMEM;
        first += job->count;
    }
    rounds->under_way = NULL;
    while (ended) {
        job = ended;
        DL_DELETE(ended, job);
        job->done(job);
    }
}

static bool is_over(const struct flush_rounds *rounds)
{
    return rounds->finished == rounds->count;
}

/* Begins rounds until one is under way or nothing is left. */
static void begin_rounds(struct flush_rounds *rounds)
{
    while (!rounds->under_way && rounds->waiting) {
        rounds->under_way = rounds->waiting;
        rounds->waiting = NULL;
        bool listed = list_files(rounds);
        if (listed)
            go_on(rounds);
        if (!listed || is_over(rounds))
            end_round(rounds, listed);
    }
}

static void take_results(struct flush_rounds *rounds, long least)
{
    collect(rounds, least);
    go_on(rounds);
    if (is_over(rounds)) {
        end_round(rounds, true);
        begin_rounds(rounds);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct flush_rounds *rounds = watcher->data;
    eventfd_t ignored;
    eventfd_read(rounds->event_fd, &ignored);
    if (rounds->under_way)
        take_results(rounds, 0);
}

static void on_turn_end(struct deferred *deferred)
{
    begin_rounds((void *)((uint8_t *)deferred - offsetof(struct flush_rounds, at_turn_end)));
}

void flush_rounds_start(struct flush_rounds *rounds, struct turn *turn)
{
    rounds->turn = turn;
    rounds->at_turn_end.run = on_turn_end;
    if (!rounds->context)
        return;
    ev_io_init(&rounds->readable, on_readable, rounds->event_fd, EV_READ);
    rounds->readable.data = rounds;
    ev_io_start(turn->loop, &rounds->readable);
    ev_unref(turn->loop);
}

void flush_rounds_stop(struct flush_rounds *rounds)
{
    if (!rounds->turn)
        return;
    begin_rounds(rounds);
    while (rounds->under_way)
        take_results(rounds, 1);
    turn_cancel(&rounds->at_turn_end);
    if (ev_is_active(&rounds->readable)) {
        ev_ref(rounds->turn->loop);
        ev_io_stop(rounds->turn->loop, &rounds->readable);
    }
    free(rounds->files);
    rounds->files = NULL;
    rounds->capacity = 0;
    rounds->turn = NULL;
}

void flush_rounds_add(struct flush_rounds *rounds, struct flush_job *job)
{
    DL_APPEND(rounds->waiting, job);
    turn_defer(rounds->turn, &rounds->at_turn_end);
}
