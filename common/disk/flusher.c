/*
 * The second thread of flusher.h. The mutex guards the two lists and `stopping`; a job itself
 * belongs to one thread at a time and needs no guard.
 *
 *   submit ──> waiting ──(second thread: run)──> finished ──(ev_async, loop: done)──> owner
 */
#include "common/disk/flusher.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <utlist.h>

enum { STACK_OCTETS = 1 << 20 };

struct flusher {
    struct ev_loop *loop;
    ev_async wake;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t has_work;
    struct flusher_job *waiting;
    struct flusher_job *finished;
    bool stopping;
};

/* The next job, or NULL when it is time to end. */
static struct flusher_job *wait_for_job(struct flusher *flusher)
{
    pthread_mutex_lock(&flusher->mutex);
    while (!flusher->waiting && !flusher->stopping)
        pthread_cond_wait(&flusher->has_work, &flusher->mutex);
    struct flusher_job *job = flusher->stopping ? NULL : flusher->waiting;
    if (job)
        DL_DELETE(flusher->waiting, job);
    pthread_mutex_unlock(&flusher->mutex);
    return job;
}

static void *run_jobs(void *argument)
{
    struct flusher *flusher = argument;
    struct flusher_job *job;
    while ((job = wait_for_job(flusher))) {
        job->succeeded = job->run(job, &job->error);
        pthread_mutex_lock(&flusher->mutex);
        DL_APPEND(flusher->finished, job);
        pthread_mutex_unlock(&flusher->mutex);
        ev_async_send(flusher->loop, &flusher->wake);
    }
    return NULL;
}

static void on_wake(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    struct flusher *flusher = watcher->data;
    pthread_mutex_lock(&flusher->mutex);
    struct flusher_job *finished = flusher->finished;
    flusher->finished = NULL;
    pthread_mutex_unlock(&flusher->mutex);
    while (finished) {
        struct flusher_job *job = finished;
        DL_DELETE(finished, job);
        job->under_way = false;
        job->done(job);
    }
}

/* Signals are the loop thread's; SIGSYS is the thread's own, for the sandbox. 0 or an errno. */
static int start_thread(struct flusher *flusher)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int code = pthread_attr_init(&attributes);
    if (code != 0)
        return code;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    code = pthread_attr_setstacksize(&attributes, STACK_OCTETS);
    if (code == 0)
        code = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (code == 0) {
        code = pthread_create(&flusher->thread, &attributes, run_jobs, flusher);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    return code;
}

bool flusher_start(struct ev_loop *loop, struct flusher **result, struct error *error)
{
    struct flusher *flusher = calloc(1, sizeof(*flusher));
    if (!flusher)
        return error_memory(error);
    flusher->loop = loop;
    pthread_mutex_init(&flusher->mutex, NULL);
    pthread_cond_init(&flusher->has_work, NULL);
    ev_async_init(&flusher->wake, on_wake);
    flusher->wake.data = flusher;
    ev_async_start(loop, &flusher->wake);
    int code = start_thread(flusher);
    if (code != 0) {
        ev_async_stop(loop, &flusher->wake);
        free(flusher);
        errno = code;
        return error_errno(error, "start second thread");
    }
    *result = flusher;
    return true;
}

void flusher_stop(struct flusher *flusher)
{
    if (!flusher)
        return;
    pthread_mutex_lock(&flusher->mutex);
    flusher->stopping = true;
    pthread_cond_signal(&flusher->has_work);
    pthread_mutex_unlock(&flusher->mutex);
    pthread_join(flusher->thread, NULL);
    ev_async_stop(flusher->loop, &flusher->wake);
    pthread_cond_destroy(&flusher->has_work);
    pthread_mutex_destroy(&flusher->mutex);
    free(flusher);
}

void flusher_submit(struct flusher *flusher, struct flusher_job *job)
{
    assert(!job->under_way);
    job->under_way = true;
    job->succeeded = false;
    job->error = (struct error){0};
    pthread_mutex_lock(&flusher->mutex);
    DL_APPEND(flusher->waiting, job);
    pthread_cond_signal(&flusher->has_work);
    pthread_mutex_unlock(&flusher->mutex);
}
