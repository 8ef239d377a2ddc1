/* Promises of common/disk/flush_rounds.h: each job has the result of its own files and directory
 * alone; what comes while a round is under way waits for the next; nothing is lost at the end. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/disk/flush_rounds.h"
#include "common/size.h"

enum { FILES_MAX = 100 };

struct asked {
    struct flush_job job;
    int fds[FILES_MAX];
    int code;           /* -1: not done yet */
    struct asked *then; /* added when this one is done */
    struct flush_rounds *rounds;
};

struct fixture {
    struct ev_loop *loop;
    struct turn turn;
    struct flush_rounds rounds;
    int good;
    int bad; /* a pipe: EINVAL */
    int pipe_end;
    int directory;
};

static void set_up_rounds(struct fixture *f)
{
    int pipes[2];
    f->loop = ev_loop_new(0);
    turn_init(&f->turn, f->loop);
    flush_rounds_open(&f->rounds);
    assert_true(f->rounds.context);
    flush_rounds_start(&f->rounds, &f->turn);
    f->good = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    f->directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->good >= 0 && f->directory >= 0);
    assert_int_equal(write(f->good, "x", 1), 1);
    assert_int_equal(pipe(pipes), 0);
    f->bad = pipes[0];
    f->pipe_end = pipes[1];
}

static int set_up(void **state)
{
    static struct fixture fixture;
    set_up_rounds(&fixture);
    *state = &fixture;
    return 0;
}

/* The kernel lends no context: as if fs.aio-max-nr were reached. */
static int set_up_without_kernel(void **state)
{
    set_up(state);
    struct fixture *f = *state;
    flush_rounds_close(&f->rounds);
    flush_rounds_start(&f->rounds, &f->turn);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    flush_rounds_close(&f->rounds);
    flush_rounds_close(&f->rounds);
    turn_clear(&f->turn);
    ev_loop_destroy(f->loop);
    close(f->good);
    close(f->bad);
    close(f->pipe_end);
    close(f->directory);
    return 0;
}

static void ask(struct flush_rounds *rounds, struct asked *asked)
{
    asked->rounds = rounds;
    asked->code = -1;
    flush_rounds_add(rounds, &asked->job);
}

static void on_done(struct flush_job *job)
{
    struct asked *asked = (void *)job;
    asked->code = job->code;
    if (asked->then)
        ask(asked->rounds, asked->then);
}

static struct asked make(int fd, size_t count, int directory)
{
    struct asked asked = {.job = {.count = count, .directory_fd = directory, .done = on_done}};
    for (size_t i = 0; i < count; i++)
        asked.fds[i] = fd;
    return asked;
}

static void run_until_done(struct fixture *f, const struct asked *asked)
{
    for (int turns = 0; turns < 1000 && asked->code < 0; turns++)
        ev_run(f->loop, EVRUN_ONCE | EVRUN_NOWAIT), usleep(1000);
    assert_true(asked->code >= 0);
}

static void each_job_has_its_own_result(void **state)
{
    struct fixture *f = *state;
    const struct {
        struct asked asked;
        int code;
    } cases[] = {
        {make(f->good, 2, f->directory), 0}, {make(f->bad, 1, f->directory), EINVAL},
        {make(f->good, 1, -1), 0},           {make(f->good, 1, f->bad), EINVAL},
        {make(f->good, 3, f->directory), 0}, {make(-1, 0, f->bad), EINVAL},
        {make(-1, 0, f->directory), 0},      {make(-1, 2, -1), EBADF},
    };
    static struct asked asked[ARRAY_LENGTH(cases)];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
            asked[i] = cases[i].asked;
            asked[i].job.fds = asked[i].fds;
            ask(&f->rounds, &asked[i]);
        }
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
            run_until_done(f, &asked[i]);
            assert_int_equal(asked[i].code, cases[i].code);
        }
    }
}

static void more_than_go_at_once_are_flushed_too(void **state)
{
    struct fixture *f = *state;
    static struct asked good, bad;
    good = make(f->good, FILES_MAX, f->directory);
    bad = make(f->good, FILES_MAX, f->directory);
    bad.fds[FILES_MAX - 1] = f->bad;
    good.job.fds = good.fds;
    bad.job.fds = bad.fds;
    ask(&f->rounds, &bad);
    ask(&f->rounds, &good);
    run_until_done(f, &good);
    assert_int_equal(good.code, 0);
    assert_int_equal(bad.code, EINVAL);
}

static void what_is_left_at_the_end_is_waited_for(void **state)
{
    struct fixture *f = *state;
    static struct asked first, second;
    first = make(f->good, 1, f->directory);
    second = make(f->bad, 1, f->directory);
    first.job.fds = first.fds;
    second.job.fds = second.fds;
    first.then = &second;
    ask(&f->rounds, &first);
    ev_run(f->loop, EVRUN_NOWAIT); /* the turn's end: it is under way */
    flush_rounds_stop(&f->rounds);
    assert_int_equal(first.code, 0);
    assert_int_equal(second.code, EINVAL);
}

/* A context that the kernel does not know: nothing counts as flushed that fsync has not flushed. */
static void a_lost_context_is_no_failure(void **state)
{
    struct fixture *f = *state;
    static struct asked asked;
    aio_context_t context = f->rounds.context;
    f->rounds.context = 1;
    asked = make(f->good, 3, f->directory);
    asked.job.fds = asked.fds;
    ask(&f->rounds, &asked);
    run_until_done(f, &asked);
    assert_int_equal(asked.code, 0);
    f->rounds.context = context;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_job_has_its_own_result, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_job_has_its_own_result, set_up_without_kernel,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_than_go_at_once_are_flushed_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_go_at_once_are_flushed_too, set_up_without_kernel,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_left_at_the_end_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_left_at_the_end_is_waited_for,
                                        set_up_without_kernel, tear_down),
        cmocka_unit_test_setup_teardown(a_lost_context_is_no_failure, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
