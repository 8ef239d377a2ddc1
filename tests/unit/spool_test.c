/* Promises of smtpd/queue/store/spool.h: a body that a writer can still reach is not taken, one
 * that was linked is there, one without a record goes. Both with unnamed and with named files. And
 * of smtpd/queue/store/spare_files.h: a file is used again only if nobody else has it, and nothing
 * of the last body is in it. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/role/sandbox.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/store/spool.h"

struct fixture {
    char directory[64];
    int home_fd;
    struct spool spool;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    make_test_directory(fixture->directory, sizeof(fixture->directory));
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

/* What the second thread does. */
static void remove_doomed(struct fixture *fixture)
{
    uint64_t ids[3];
    size_t count;
    while ((count = spool_take_doomed(&fixture->spool, ids, 3)) > 0)
        for (size_t i = 0; i < count; i++)
            assert_true(spool_unlink(&fixture->spool, ids[i], NULL));
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
    spool_remove(&fixture->spool, id);
    spool_remove(&fixture->spool, id);
    remove_doomed(fixture);
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
    remove_doomed(fixture);
    assert_int_equal(count_entries(), 0);
}

/* ---- spare files ---- */

/* As under load: whatever is removed is worth keeping. */
static void ask_often(struct fixture *fixture)
{
    struct spare_file none;
    for (int i = 0; i <= SPARE_FILES_FEW; i++)
        assert_false(spare_files_take(&fixture->spool.spares, &none));
}

/* A body under that id, not flushed. Its inode's number. */
static ino_t keep_body(struct fixture *fixture, uint64_t of, struct slice body)
{
    int write_fd;
    struct stat status;
    struct spool_file file = write_body(fixture, body, &write_fd);
    close(write_fd);
    assert_true(spool_seal(&fixture->spool, &file, body.len, NULL));
    assert_true(spool_link(&fixture->spool, &file, of, NULL));
    assert_int_equal(fstat(file.read_fd, &status), 0);
    spool_release(&file);
    return status.st_ino;
}

static void assert_body_is(struct fixture *fixture, uint64_t of, struct slice body)
{
    char octets[32];
    size_t got;
    assert_in_range(body.len, 0, sizeof(octets));
    int fd = spool_open_body(&fixture->spool, of, body.len, NULL);
    assert_true(fd >= 0);
    assert_true(fd_pread_full(fd, octets, body.len, 0, &got, NULL));
    assert_true(slice_equal(slice_of(octets, got), body));
    close(fd);
}

static void a_file_is_used_again(void **state)
{
    struct fixture *fixture = *state;
    ask_often(fixture);
    ino_t inode = keep_body(fixture, id, SLICE("a secret"));
    spool_remove(&fixture->spool, id);
    assert_int_equal(keep_body(fixture, id + 1, SLICE("body")), inode); /* shorter */
    assert_int_equal(count_entries(), 1);
    assert_body_is(fixture, id + 1, SLICE("body"));
    assert_body_is(fixture, id + 1, SLICE("body\0\0\0\0"));
    assert_int_equal(spool_open_body(&fixture->spool, id, 4, NULL), -1);
    spool_remove(&fixture->spool, id + 1);
    assert_int_equal(keep_body(fixture, id + 2, SLICE("a longer one")), inode);
    assert_body_is(fixture, id + 2, SLICE("a longer one"));
}

static void what_is_lent_again_is_wiped(void **state)
{
    struct fixture *fixture = *state;
    struct spool_file file;
    int write_fd;
    char octets[16];
    size_t got;
    ask_often(fixture);
    keep_body(fixture, id, SLICE("a secret"));
    spool_remove(&fixture->spool, id);
    assert_true(spool_create(&fixture->spool, &file, &write_fd, NULL));
    assert_true(fd_pread_full(write_fd, octets, sizeof(octets), 0, &got, NULL));
    assert_true(slice_equal(slice_of(octets, got), SLICE("\0\0\0\0\0\0\0\0")));

    /* Its writer may not make it shorter than it came, and is proved away like any other. */
    assert_true(fd_pwrite_all(write_fd, SLICE("body"), 0, NULL));
    struct error error = {0};
    assert_false(spool_seal(&fixture->spool, &file, 4, &error));
    assert_int_equal(error.kind, ERROR_PEER);
    assert_int_equal(ftruncate(write_fd, 4), 0);
    close(write_fd);
    assert_false(spool_seal(&fixture->spool, &file, 4, &error));
    assert_int_equal(error.kind, ERROR_PEER);
    spool_discard(&fixture->spool, &file);
    remove_doomed(fixture);
    assert_int_equal(count_entries(), 0);
}

static void assert_not_spared(struct fixture *fixture)
{
    spool_remove(&fixture->spool, id);
    assert_int_equal(fixture->spool.spares.count, 0);
    remove_doomed(fixture);
    assert_int_equal(count_entries(), 0);
}

static void what_somebody_can_still_read_is_not_used_again(void **state)
{
    struct fixture *fixture = *state;
    ask_often(fixture);
    keep_body(fixture, id, SLICE("body"));
    int fd = spool_open_body(&fixture->spool, id, 4, NULL);
    void *mapping = mmap(NULL, 4, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(mapping != MAP_FAILED);
    close(fd);
    assert_not_spared(fixture);
    assert_int_equal(munmap(mapping, 4), 0);

    keep_body(fixture, id, SLICE("body"));
    fd = spool_open_body(&fixture->spool, id, 4, NULL);
    assert_not_spared(fixture);
    close(fd);
}

static void what_is_in_a_backup_is_not_used_again(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mkdir("copy", 0700), 0);
    int copy_fd = open("copy", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ask_often(fixture);
    keep_body(fixture, id, SLICE("body"));
    assert_true(spool_link_all(&fixture->spool, copy_fd, NULL));
    close(copy_fd);
    assert_not_spared(fixture);
}

/* Such as a copy that an administrator makes of the state: the kernel breaks a lease by SIGIO. */
static void who_opens_a_file_ends_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct spare_files *spares = &fixture->spool.spares;
    struct spare_file spare;
    char path[32], text[QUEUE_ID_SIZE];
    snprintf(path, sizeof(path), "spool/%s", queue_id_format(id, text));
    keep_body(fixture, id, SLICE("body"));
    pid_t child = fork();
    while (child == 0) {
        int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0)
            close(fd);
        if (getppid() == 1)
            _exit(0);
    }
    for (int round = 0; round < 20000; round++) {
        ask_often(fixture);
        int fd = spool_open_body(&fixture->spool, id, 4, NULL);
        spare_files_keep(spares, id, fd);
        close(fd);
        spare_files_take(spares, &spare);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct sigaction action;
    assert_int_equal(sigaction(SIGIO, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_IGN);
}

static void spare_files_go_when_nobody_asks(void **state)
{
    struct fixture *fixture = *state;
    keep_body(fixture, id, SLICE("body"));
    assert_not_spared(fixture); /* few asked */

    for (int round = 0; round < 2; round++) {
        ask_often(fixture);
        keep_body(fixture, id, SLICE("body"));
        spool_remove(&fixture->spool, id);
        spool_tick(&fixture->spool, false);
        assert_int_equal(fixture->spool.spares.count, 1);
        spool_tick(&fixture->spool, round == 1); /* the second time since there is no room */
        if (round == 0)
            spool_tick(&fixture->spool, false);
        assert_int_equal(fixture->spool.spares.count, 0);
        remove_doomed(fixture);
        assert_int_equal(count_entries(), 0);
    }
}

static void a_long_file_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    ask_often(fixture);
    keep_body(fixture, id, SLICE("body"));
    char path[32], text[QUEUE_ID_SIZE];
    snprintf(path, sizeof(path), "spool/%s", queue_id_format(id, text));
    assert_int_equal(truncate(path, SPARE_FILE_OCTETS_MAX + 1), 0);
    assert_not_spared(fixture);
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
    static const struct sandbox walls = {.calls = SANDBOX_FILES | SANDBOX_FLUSH | SANDBOX_SENDFILE,
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
        cmocka_unit_test_setup_teardown(a_file_is_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_used_again, set_up_named, tear_down),
        cmocka_unit_test_setup_teardown(what_is_lent_again_is_wiped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_somebody_can_still_read_is_not_used_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_in_a_backup_is_not_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_opens_a_file_ends_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spare_files_go_when_nobody_asks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_file_is_not_kept, set_up, tear_down),
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
