/* Promises of smtpd/queue/spool.h: a body that a writer can still reach is not taken, one that was
 * linked is there, one without a record goes. Both with unnamed and with named files. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/sandbox.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/spool.h"

struct fixture {
    char directory[64];
    int home_fd;
    struct spool spool;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/staffetta-spool-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->home_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(chdir(fixture->directory), 0);
    spool_prepare(&fixture->spool);
    assert_true(spool_open(&fixture->spool, NULL));
    *state = fixture;
    return 0;
}

static int set_up_named(void **state)
{
    set_up(state);
    struct fixture *fixture = *state;
    fixture->spool.unnamed = false;
    return 0;
}

static int set_up_without_leases(void **state)
{
    set_up(state);
    struct fixture *fixture = *state;
    fixture->spool.leases = false;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    spool_close(&fixture->spool);
    spool_close(&fixture->spool);
    assert_int_equal(fchdir(fixture->home_fd), 0);
    close(fixture->home_fd);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static int count_entries(void)
{
    DIR *scan = opendir("spool");
    assert_non_null(scan);
    int count = 0;
    while (readdir(scan))
        count++;
    closedir(scan);
    return count - 2;
}

static const uint64_t id = UINT64_C(0x0010000000000042);

static struct spool_file write_body(struct fixture *fixture, struct slice body, int *write_fd)
{
    struct spool_file file;
    assert_true(spool_create(&fixture->spool, &file, write_fd, NULL));
    assert_true(fd_write_all(*write_fd, body, NULL));
    return file;
}

static void a_body_is_sealed_linked_and_read(void **state)
{
    struct fixture *fixture = *state;
    int write_fd;
    struct spool_file file = write_body(fixture, SLICE("body"), &write_fd);
    close(write_fd);
    assert_true(spool_seal(&fixture->spool, &file, 4, NULL));
    assert_true(spool_link(&fixture->spool, &file, id, NULL));
    spool_flush_file(&fixture->spool, &file);
    assert_true(spool_flush(&fixture->spool, NULL));
    assert_true(spool_flushed(&file, NULL));
    spool_release(&file);
    spool_discard(&fixture->spool, &file);
    assert_int_equal(count_entries(), 1);

    char octets[8];
    size_t got;
    struct error error = {0};
    int fd = spool_open_body(&fixture->spool, id, 4, NULL);
    assert_true(fd_read_full(fd, octets, sizeof(octets), &got, NULL));
    assert_slice_is(slice_of(octets, got), "body");
    close(fd);
    assert_int_equal(spool_open_body(&fixture->spool, id, 5, &error), -1);
    assert_int_equal(error.kind, ERROR_PERMANENT);
    assert_true(spool_remove(&fixture->spool, id, NULL));
    assert_true(spool_remove(&fixture->spool, id, NULL));
    assert_int_equal(spool_open_body(&fixture->spool, id, 4, &error), -1);
    assert_int_equal(error.kind, ERROR_PERMANENT);
}

static void a_discarded_body_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    int write_fd;
    struct spool_file file = write_body(fixture, SLICE("body"), &write_fd);
    close(write_fd);
    spool_discard(&fixture->spool, &file);
    file = write_body(fixture, SLICE("body"), &write_fd);
    close(write_fd);
    assert_true(spool_seal(&fixture->spool, &file, 4, NULL));
    assert_true(spool_link(&fixture->spool, &file, id, NULL));
    spool_discard(&fixture->spool, &file);
    spool_discard(&fixture->spool, &file);
    assert_int_equal(count_entries(), 0);
}

static void who_can_still_write_is_refused(void **state)
{
    struct fixture *fixture = *state;
    int write_fd;
    struct error error = {0};
    struct spool_file file = write_body(fixture, SLICE("body"), &write_fd);
    assert_false(spool_seal(&fixture->spool, &file, 4, &error));
    assert_int_equal(error.kind, ERROR_PEER);

    /* A mapping counts as a descriptor does, also in another process. */
    void *mapping = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, write_fd, 0);
    assert_true(mapping != MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    close(write_fd);
    assert_int_equal(munmap(mapping, 4), 0);
    assert_false(spool_seal(&fixture->spool, &file, 4, &error));
    assert_int_equal(error.kind, ERROR_PEER);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(spool_seal(&fixture->spool, &file, 4, NULL));
    spool_discard(&fixture->spool, &file);
}

static void another_length_is_refused(void **state)
{
    struct fixture *fixture = *state;
    int write_fd;
    struct error error = {0};
    struct spool_file file = write_body(fixture, SLICE("body"), &write_fd);
    close(write_fd);
    assert_false(spool_seal(&fixture->spool, &file, 3, &error));
    assert_int_equal(error.kind, ERROR_PEER);
    assert_false(spool_seal(&fixture->spool, &file, 5, &error));
    assert_int_equal(error.kind, ERROR_PEER);
    spool_discard(&fixture->spool, &file);
}

static void without_leases_a_copy_is_taken(void **state)
{
    struct fixture *fixture = *state;
    int write_fd;
    struct spool_file file = write_body(fixture, SLICE("body"), &write_fd);
    assert_true(spool_seal(&fixture->spool, &file, 4, NULL));
    assert_true(fd_pwrite_all(write_fd, SLICE("evil"), 0, NULL));
    close(write_fd);
    char octets[8];
    size_t got;
    assert_true(fd_pread_full(file.read_fd, octets, sizeof(octets), 0, &got, NULL));
    assert_slice_is(slice_of(octets, got), "body");
    spool_discard(&fixture->spool, &file);
}

static bool is_even(void *context, uint64_t candidate, bool *wanted, struct error *error)
{
    (void)error;
    ++*(int *)context;
    *wanted = candidate % 2 == 0;
    return true;
}

static bool cannot_tell(void *context, uint64_t candidate, bool *wanted, struct error *error)
{
    (void)context;
    (void)candidate;
    (void)wanted;
    return error_set(error, ERROR_TEMPORARY, "no memory");
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void the_sweep_takes_what_has_no_record(void **state)
{
    struct fixture *fixture = *state;
    char path[32], text[QUEUE_ID_SIZE];
    for (uint64_t i = 0; i < 20; i++) {
        snprintf(path, sizeof(path), "spool/%s", queue_id_format(i, text));
        touch(path);
    }
    touch("spool/new-17");
    touch("spool/README");
    int asked = 0;
    struct error error = {0};
    assert_false(spool_sweep(&fixture->spool, cannot_tell, NULL, &error));
    assert_int_equal(error.kind, ERROR_TEMPORARY);
    assert_true(spool_sweep(&fixture->spool, is_even, &asked, NULL));
    assert_int_equal(asked, 20);
    assert_int_equal(count_entries(), 12);
    spool_close(&fixture->spool);
    spool_prepare(&fixture->spool);
    assert_true(spool_open(&fixture->spool, NULL)); /* takes new-17 */
    assert_int_equal(count_entries(), 11);
}

static void the_spool_goes_aside_whole(void **state)
{
    struct fixture *fixture = *state;
    touch("spool/x");
    spool_close(&fixture->spool);
    assert_int_equal(mkdir("aside", 0700), 0);
    assert_true(spool_set_aside("aside", NULL));
    assert_true(spool_set_aside("aside", NULL)); /* nothing there: fine */
    assert_int_equal(access("aside/spool/x", F_OK), 0);
    spool_prepare(&fixture->spool);
    assert_true(spool_open(&fixture->spool, NULL));
    assert_int_equal(count_entries(), 0);
}

/* What the real process is: chrooted where we may, Landlock, not dumpable, seccomp. */
static int deliver_from_the_sandbox(struct fixture *fixture)
{
    static const struct sandbox walls = {.calls = SANDBOX_FILES | SANDBOX_LEASE | SANDBOX_FLUSH,
                                         .files = SANDBOX_WRITE_FILES};
    bool landlocked, unnamed = fixture->spool.unnamed;
    int directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    spool_close(&fixture->spool);
    spool_prepare(&fixture->spool); /* "self" is this process */
    const struct sandbox_directories directories = {.own = directory};
    if (!sandbox_enter(&walls, &directories, geteuid() == 0, STDERR_FILENO, &landlocked, NULL))
        return 1;
    if (!spool_open(&fixture->spool, NULL))
        return 6;
    fixture->spool.unnamed = fixture->spool.unnamed && unnamed;
    struct spool_file file;
    int write_fd;
    if (!spool_create(&fixture->spool, &file, &write_fd, NULL)
        || !fd_write_all(write_fd, SLICE("body"), NULL))
        return 2;
    close(write_fd);
    if (!spool_seal(&fixture->spool, &file, 4, NULL))
        return 3;
    if (!spool_link(&fixture->spool, &file, id, NULL))
        return 4;
    spool_flush_file(&fixture->spool, &file);
    if (!spool_flush(&fixture->spool, NULL) || !spool_flushed(&file, NULL))
        return 7;
    return spool_open_body(&fixture->spool, id, 4, NULL) >= 0 ? 0 : 5;
}

static void all_of_it_works_within_the_walls(void **state)
{
    pid_t child = fork();
    if (child == 0)
        _exit(deliver_from_the_sandbox(*state));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(count_entries(), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_body_is_sealed_linked_and_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_is_sealed_linked_and_read, set_up_named, tear_down),
        cmocka_unit_test_setup_teardown(a_discarded_body_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_discarded_body_leaves_nothing, set_up_named, tear_down),
        cmocka_unit_test_setup_teardown(who_can_still_write_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_can_still_write_is_refused, set_up_named, tear_down),
        cmocka_unit_test_setup_teardown(another_length_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_leases_a_copy_is_taken, set_up_without_leases,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_sweep_takes_what_has_no_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_spool_goes_aside_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_of_it_works_within_the_walls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_of_it_works_within_the_walls, set_up_named, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
