/* Promises of common/disk/flush_batch.h: each file has its own result, however many there are, and
 * whether or not the kernel flushes several at once. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/disk/flush_batch.h"
#include "common/size.h"

static int set_up(void **state)
{
    static struct flush_batch batch;
    flush_batch_open(&batch);
    assert_true(batch.concurrent);
    *state = &batch;
    return 0;
}

static int set_up_without_kernel(void **state)
{
    set_up(state);
    flush_batch_close(*state);
    return 0;
}

static int tear_down(void **state)
{
    flush_batch_close(*state);
    flush_batch_close(*state);
    return 0;
}

static int open_file(void)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    return fd;
}

static void each_has_its_own_result(void **state)
{
    struct flush_batch *batch = *state;
    int good = open_file(), directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int pipes[2], codes[6] = {-1, -1, -1, -1, -1, -1};
    assert_int_equal(pipe(pipes), 0);
    const int fds[] = {good, pipes[0], good, -1, directory, pipes[1]};
    const int wanted[] = {0, EINVAL, 0, EBADF, 0, EINVAL};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
            flush_batch_add(batch, fds[i], &codes[i]);
        flush_batch_run(batch);
        for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
            assert_int_equal(codes[i], wanted[i]);
    }
    close(good);
    close(directory);
    close(pipes[0]);
    close(pipes[1]);
}

static void more_than_fit_are_flushed_too(void **state)
{
    enum { COUNT = 2 * FLUSH_BATCH_MAX + 3 };
    struct flush_batch *batch = *state;
    int fd = open_file(), codes[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        flush_batch_add(batch, fd, &codes[i]);
    flush_batch_run(batch);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(codes[i], 0);
    flush_batch_run(batch); /* none is no failure */
    close(fd);
}

/* A context that the kernel does not know: nothing counts as flushed that fsync has not flushed. */
static void a_lost_context_is_no_failure(void **state)
{
    struct flush_batch *batch = *state;
    int fd = open_file(), codes[3];
    flush_batch_close(batch);
    batch->concurrent = true;
    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
        flush_batch_add(batch, fd, &codes[i]);
    flush_batch_run(batch);
    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
        assert_int_equal(codes[i], 0);
    batch->concurrent = false;
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_has_its_own_result, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_has_its_own_result, set_up_without_kernel, tear_down),
        cmocka_unit_test_setup_teardown(more_than_fit_are_flushed_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_fit_are_flushed_too, set_up_without_kernel,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lost_context_is_no_failure, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
