/* A session that waits for the disk; see session.h. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/disk/fd.h"
#include "imapd/mailbox.h"
#include "imapd/session/session.h"

/* On the heap, with descriptors of its own: it outlives a client that goes meanwhile. */
struct session_flush {
    struct flush_job job;
    struct session *session; /* NULL: the command has ended */
    session_flushed *flushed;
    int fds[SESSION_FLUSH_MAX];
};

static void free_flush(struct session_flush *flush)
{
    for (size_t i = 0; i < flush->job.count; i++)
        fd_discard(&flush->fds[i]);
    free(flush);
}

static void on_done(struct flush_job *job)
{
    struct session_flush *flush = (void *)((uint8_t *)job - offsetof(struct session_flush, job));
    struct session *session = flush->session;
    session_flushed *flushed = flush->flushed;
    struct error error;
    errno = job->code;
    if (job->code != 0)
        error_errno(&error, "flush");
    bool failed = job->code != 0;
    free_flush(flush);
    if (!session)
        return;
    session->flush = NULL;
    flushed(session, failed ? &error : NULL);
    session_resume(session);
}

/* Nothing is done here before that: it is no step that a turn could call. */
static void stay(struct session *session)
{
    (void)session;
}

static bool duplicate(struct session_flush *flush, const int *fds, size_t count,
                      struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        flush->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (flush->fds[i] < 0)
            return error_errno(error, "duplicate descriptor");
        flush->job.count++;
    }
    return true;
}

void session_wait_for_flush(struct session *session, const int *fds, size_t count,
                            session_flushed *flushed)
{
    struct error error;
    struct session_flush *flush = calloc(1, sizeof(*flush));
    if (!flush) {
        error_memory(&error);
        flushed(session, &error);
        return;
    }
    if (!duplicate(flush, fds, count, &error)) {
        free_flush(flush);
        flushed(session, &error);
        return;
    }
    flush->session = session;
    flush->flushed = flushed;
    flush->job.fds = flush->fds;
    flush->job.directory_fd = -1;
    flush->job.done = on_done;
    session->flush = flush;
    session_wait(session, stay);
    flush_rounds_add(session->mailbox->flushes, &flush->job);
}

void session_forget_flush(struct session *session)
{
    if (session->flush)
        session->flush->session = NULL;
    session->flush = NULL;
}
