/* Promises of common/disk/flusher.h: in order, off the loop, failures told, an orderly end. */
#include "tests/unit/test.h"

#include <pthread.h>
#include <unistd.h>

#include "common/disk/flusher.h"

struct numbered_job {
    struct flusher_job job; /* first: the callbacks get it */
    struct flusher *flusher;
    struct ev_loop *loop;
    pthread_t loop_thread;
    int number, *done;
    struct numbered_job *then;
};

static bool run_numbered(struct flusher_job *job, struct error *error)
{
    struct numbered_job *numbered = (struct numbered_job *)job;
    if (pthread_equal(pthread_self(), numbered->loop_thread))
        return error_set(error, ERROR_PERMANENT, "on the loop");
    if (numbered->number == 13)
        return error_set(error, ERROR_TEMPORARY, "thirteen");
    return true;
}

static void numbered_done(struct flusher_job *job)
{
    struct numbered_job *numbered = (struct numbered_job *)job;
    assert_true(pthread_equal(pthread_self(), numbered->loop_thread));
    assert_int_equal(job->succeeded, numbered->number != 13);
    if (!job->succeeded)
        assert_string_equal(job->error.text, "thirteen");
    assert_int_equal(numbered->number, (*numbered->done)++);
    if (numbered->then)
        flusher_submit(numbered->flusher, &numbered->then->job);
    else if (*numbered->done == 101)
        ev_break(numbered->loop, EVBREAK_ALL);
}

static void jobs_are_done_in_order(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct flusher *flusher;
    assert_true(flusher_start(loop, &flusher, NULL));
    static struct numbered_job jobs[101];
    int done = 0;
    for (int i = 0; i < 101; i++)
        jobs[i] = (struct numbered_job){.job = {.run = run_numbered, .done = numbered_done},
                                        .flusher = flusher,
                                        .loop = loop,
                                        .loop_thread = pthread_self(),
                                        .number = i,
                                        .done = &done};
    jobs[99].then = &jobs[100];
    for (int i = 0; i < 100; i++)
        flusher_submit(flusher, &jobs[i].job);
    ev_run(loop, 0);
    assert_int_equal(done, 101);
    flusher_stop(flusher);
    ev_loop_destroy(loop);
}

static bool run_slowly(struct flusher_job *job, struct error *error)
{
    (void)job;
    (void)error;
    usleep(50000);
    return true;
}

static void never_done(struct flusher_job *job)
{
    (void)job;
    fail();
}

static void stop_does_not_wait_for_the_line(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct flusher *flusher;
    assert_true(flusher_start(loop, &flusher, NULL));
    struct flusher_job jobs[100];
    for (int i = 0; i < 100; i++) {
        jobs[i] = (struct flusher_job){.run = run_slowly, .done = never_done};
        flusher_submit(flusher, &jobs[i]);
    }
    flusher_stop(flusher); /* at most the running one: else the test takes five seconds */
    flusher_stop(NULL);
    ev_loop_destroy(loop);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_are_done_in_order),
        cmocka_unit_test(stop_does_not_wait_for_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
