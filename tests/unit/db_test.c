/* Promises of common/disk/db.h: transactions are whole or nothing, also after SIGKILL; a failed
 * flush ends all trust; a full disk ends nothing; corrupt files are told from everything else. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/disk/db.h"
#include "common/disk/fd.h"

enum { PAGE = 4096, CACHE = 256 << 10 };

struct fixture {
    char directory[64];
    struct db *db;
    struct db_tree *tree;
};

static void count_message(void *context, const char *message)
{
    (void)message;
    if (context)
        ++*(int *)context;
}

static bool open_with(struct fixture *fixture, struct db_options options, struct error *error)
{
    options.directory = fixture->directory;
    options.cache_octets = CACHE;
    options.on_message = count_message;
    fixture->tree = NULL;
    if (!db_open(&options, &fixture->db, error))
        return false;
    if (db_tree_open(fixture->db, "rows.db", PAGE, &fixture->tree, error))
        return true;
    db_close(fixture->db);
    fixture->db = NULL;
    return false;
}

static const struct db_options flushed = {.flush_commits = true, .reread_disk = true};

/* The smallest that the library takes. */
enum { SMALL_LOG = 256 << 10 };
static const struct db_options small_logs = {
    .flush_commits = true, .reread_disk = true, .log_file_octets = SMALL_LOG};

static int set_up_with(void **state, struct db_options options)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    make_test_directory(fixture->directory, sizeof(fixture->directory));
    struct error error = {0};
    assert_true(open_with(fixture, options, &error));
    *state = fixture;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, flushed);
}

static int set_up_small_logs(void **state)
{
    return set_up_with(state, small_logs);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    db_close(fixture->db);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static void reopen(struct fixture *fixture)
{
    struct error error = {0};
    db_close(fixture->db);
    fixture->db = NULL;
    if (!open_with(fixture, flushed, &error))
        fail_msg("%s", error.text);
}

static struct slice number_key(uint8_t octets[8], uint64_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 8)
        octets[i] = (uint8_t)number;
    return slice_of(octets, 8);
}

static bool put_number(struct fixture *fixture, uint64_t number, struct slice value,
                       struct error *error)
{
    uint8_t key[8];
    return db_put(fixture->tree, number_key(key, number), value, error);
}

static void commits_last_and_aborts_do_not(void **state)
{
    struct fixture *fixture = *state;
    struct buffer value = BUFFER_WITH_LIMIT(1 << 20);
    assert_true(db_begin(fixture->db, NULL));
    assert_true(db_put(fixture->tree, SLICE("kept"), SLICE("one"), NULL));
    assert_true(db_commit(fixture->db, NULL));
    assert_true(db_begin(fixture->db, NULL));
    assert_true(db_put(fixture->tree, SLICE("kept"), SLICE("two"), NULL));
    assert_true(db_get(fixture->tree, SLICE("kept"), &value, NULL));
    assert_slice_is(buffer_slice(&value), "two");
    db_abort(fixture->db);
    db_abort(fixture->db);
    reopen(fixture);
    assert_true(db_get(fixture->tree, SLICE("kept"), &value, NULL));
    assert_slice_is(buffer_slice(&value), "one");

    struct error error = {0};
    assert_true(db_begin(fixture->db, NULL));
    assert_true(db_delete(fixture->tree, SLICE("kept"), NULL));
    assert_false(db_delete(fixture->tree, SLICE("kept"), &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    assert_true(db_commit(fixture->db, NULL));
    assert_false(db_get(fixture->tree, SLICE("kept"), &value, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    buffer_clear(&value);
}

static void values_obey_the_limit_of_the_buffer(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t large[100000];
    struct buffer value = BUFFER_WITH_LIMIT(sizeof(large) - 1);
    assert_true(db_begin(fixture->db, NULL));
    assert_true(db_put(fixture->tree, SLICE("large"), slice_of(large, sizeof(large)), NULL));
    assert_true(db_put(fixture->tree, SLICE("none"), SLICE(""), NULL));
    assert_true(db_commit(fixture->db, NULL));
    struct error error = {0};
    assert_false(db_get(fixture->tree, SLICE("large"), &value, &error));
    assert_int_equal(error.kind, ERROR_TEMPORARY);
    value.limit++;
    assert_true(db_get(fixture->tree, SLICE("large"), &value, NULL));
    assert_int_equal(value.len, sizeof(large));
    assert_true(db_get(fixture->tree, SLICE("none"), &value, NULL));
    assert_int_equal(value.len, 0);
    buffer_clear(&value);
}

/* Every size of block; one value is longer than the smallest of them. */
static void cursor_reads_all_in_order(void **state)
{
    struct fixture *fixture = *state;
    enum { ROWS = 3000 };
    static const uint8_t zeros[20000];
    struct error error = {0};
    assert_true(db_begin(fixture->db, NULL));
    for (uint64_t i = ROWS; i-- > 0;)
        assert_true(put_number(fixture, i, slice_of(zeros, i == 700 ? 20000 : i % 100), NULL));
    assert_true(db_commit(fixture->db, NULL));
    static const size_t blocks[] = {4096, 8192, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        struct db_cursor cursor;
        struct slice key, value;
        uint8_t expected[8];
        uint64_t number = 5;
        db_cursor_init(&cursor, fixture->tree, number_key(expected, number), blocks[i]);
        while (db_cursor_next(&cursor, &key, &value, &error)) {
            assert_slice_equal(key, number_key(expected, number));
            assert_int_equal(value.len, number == 700 ? 20000 : number % 100);
            number++;
        }
        assert_int_equal(error.kind, ERROR_NOT_FOUND);
        assert_int_equal(number, ROWS);
        db_cursor_clear(&cursor);
    }
}

static void tree_may_change_under_a_cursor(void **state)
{
    struct fixture *fixture = *state;
    db_close(fixture->db);
    struct db_options options = flushed;
    options.threads = true; /* with locks: the cursor must hold none between two steps */
    assert_true(open_with(fixture, options, NULL));
    assert_true(db_begin(fixture->db, NULL));
    for (uint64_t i = 0; i < 2000; i++)
        assert_true(put_number(fixture, i, SLICE("some octets"), NULL));
    assert_true(db_commit(fixture->db, NULL));
    struct db_cursor cursor;
    struct slice key, value;
    struct error error = {0};
    int read = 0;
    db_cursor_init(&cursor, fixture->tree, SLICE(""), PAGE);
    while (db_cursor_next(&cursor, &key, &value, &error)) {
        read++;
        assert_true(db_begin(fixture->db, NULL));
        assert_true(db_delete(fixture->tree, key, NULL));
        assert_true(db_commit(fixture->db, NULL));
    }
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    assert_int_equal(read, 2000);
    db_cursor_clear(&cursor);
}

static void large_transactions_have_locks_enough(void **state)
{
    struct fixture *fixture = *state;
    db_close(fixture->db);
    struct db_options options = flushed;
    options.threads = true;
    assert_true(open_with(fixture, options, NULL));
    static const uint8_t body[3000]; /* one to a page */
    struct error error = {0};
    assert_true(db_begin(fixture->db, NULL));
    for (uint64_t i = 0; i < 20000; i++)
        if (!put_number(fixture, i, slice_of(body, sizeof(body)), &error))
            fail_msg("%s", error.text);
    assert_true(db_commit(fixture->db, NULL));
}

static off_t file_octets(const struct fixture *fixture, const char *name)
{
    char path[128];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void compaction_gives_the_disk_back(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t body[3000];
    for (int deleting = 0; deleting < 2; deleting++) {
        assert_true(db_begin(fixture->db, NULL));
        for (uint64_t i = 0; i < 2000; i++) {
            uint8_t key[8];
            assert_true(deleting ? db_delete(fixture->tree, number_key(key, i), NULL)
                                 : put_number(fixture, i, slice_of(body, sizeof(body)), NULL));
        }
        assert_true(db_commit(fixture->db, NULL));
    }
    assert_true(db_log_octets(fixture->db) > 6000000);
    assert_true(db_checkpoint(fixture->db, false, NULL));
    assert_true(db_log_octets(fixture->db) < 10000);
    assert_true(file_octets(fixture, "rows.db") > 6000000);
    assert_true(db_tree_compact(fixture->tree, NULL));
    assert_true(db_checkpoint(fixture->db, true, NULL));
    assert_in_range(file_octets(fixture, "rows.db"), PAGE, 8 * PAGE);
}

/* ---- crashes ---- */

/* Commits ascending numbers, three a transaction, telling the pipe after each commit. */
static void write_until_killed(struct fixture *fixture, int acknowledge_fd)
{
    static const uint8_t body[2000];
    for (uint64_t i = 0;; i += 3) {
        if (!db_begin(fixture->db, NULL))
            _exit(1);
        for (uint64_t part = 0; part < 3; part++)
            if (!put_number(fixture, i + part, slice_of(body, sizeof(body)), NULL))
                _exit(2);
        if (!db_commit(fixture->db, NULL))
            _exit(3);
        if (i % 150 == 0 && !db_checkpoint(fixture->db, true, NULL))
            _exit(4);
        if (db_wants_log(fixture->db) && !db_prepare_log(fixture->db, NULL))
            _exit(7);
        if (write(acknowledge_fd, &i, sizeof(i)) != sizeof(i))
            _exit(5);
    }
}

static uint64_t count_rows(struct fixture *fixture)
{
    struct db_cursor cursor;
    struct slice key, value;
    struct error error = {0};
    uint64_t rows = 0;
    uint8_t expected[8];
    db_cursor_init(&cursor, fixture->tree, SLICE(""), 1 << 20);
    while (db_cursor_next(&cursor, &key, &value, &error))
        assert_slice_equal(key, number_key(expected, rows++));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    db_cursor_clear(&cursor);
    return rows;
}

static void a_kill_loses_nothing_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    for (int round = 0; round < 8; round++) {
        db_close(fixture->db);
        fixture->db = NULL;
        int pipe_fds[2];
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        pid_t child = fork();
        if (child == 0) {
            if (!open_with(fixture, small_logs, NULL))
                _exit(6);
            write_until_killed(fixture, pipe_fds[1]);
        }
        close(pipe_fds[1]);
        uint64_t acknowledged = 0, number;
        for (int i = 0; i < 20 + 37 * round; i++) {
            assert_int_equal(read(pipe_fds[0], &number, sizeof(number)), sizeof(number));
            acknowledged = number + 3;
        }
        kill(child, SIGKILL);
        while (read(pipe_fds[0], &number, sizeof(number)) == sizeof(number))
            acknowledged = number + 3;
        close(pipe_fds[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        reopen(fixture);
        uint64_t rows = count_rows(fixture);
        assert_int_equal(rows % 3, 0);
        assert_in_range(rows, acknowledged, acknowledged + 3);
    }
}

/* ---- logs made in advance ---- */

static bool has_file(const struct fixture *fixture, const char *name, struct stat *status)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    return stat(path, status) == 0;
}

static void commit_row(struct fixture *fixture, uint64_t number)
{
    static const uint8_t body[2000];
    assert_true(db_begin(fixture->db, NULL));
    assert_true(put_number(fixture, number, slice_of(body, sizeof(body)), NULL));
    assert_true(db_commit(fixture->db, NULL));
}

static void the_log_goes_on_where_it_was_prepared(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    uint64_t rows = 0;
    assert_false(db_wants_log(fixture->db));
    while (!db_wants_log(fixture->db))
        commit_row(fixture, rows++);
    assert_in_range(rows, 1, SMALL_LOG / 2000);
    assert_true(db_prepare_log(fixture->db, NULL));
    assert_false(db_wants_log(fixture->db));
    assert_true(has_file(fixture, "next-log", &status));
    assert_int_equal(status.st_size, SMALL_LOG);
    ino_t prepared = status.st_ino;
    while (!has_file(fixture, "log.0000000002", &status))
        commit_row(fixture, rows++);
    assert_int_equal(status.st_ino, prepared);
    assert_false(has_file(fixture, "next-log", &status));
    /* The one after that is made by the library. */
    while (!has_file(fixture, "log.0000000003", &status))
        commit_row(fixture, rows++);
    reopen(fixture);
    assert_int_equal(count_rows(fixture), rows);
}

/* A power cut may leave the name of one that is in use. */
static void no_prepared_log_is_left_to_the_next_life(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    uint64_t rows = 0;
    while (!db_wants_log(fixture->db))
        commit_row(fixture, rows++);
    assert_true(db_prepare_log(fixture->db, NULL));
    assert_true(has_file(fixture, "next-log", &status));
    reopen(fixture);
    assert_false(has_file(fixture, "next-log", &status));
    assert_int_equal(count_rows(fixture), rows);
}

/* ---- disks that fail ---- */

static void run_in_child(struct fixture *fixture, int (*body)(struct fixture *fixture))
{
    db_close(fixture->db);
    fixture->db = NULL;
    pid_t child = fork();
    if (child == 0)
        _exit(open_with(fixture, flushed, NULL) ? body(fixture) : 99);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("child ended with status %x", (unsigned)status);
}

static bool let_flushes_fail(int call)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool loaded = filter && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EIO), call, 0) == 0
                  && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return loaded;
}

static int commit_without_flush(struct fixture *fixture)
{
    struct error error = {0};
    if (!db_begin(fixture->db, NULL) || !put_number(fixture, 1, SLICE("kept"), NULL)
        || !db_commit(fixture->db, NULL) || !let_flushes_fail(SCMP_SYS(fdatasync)))
        return 1;
    if (!db_begin(fixture->db, NULL) || !put_number(fixture, 2, SLICE("lost"), NULL))
        return 2;
    if (db_commit(fixture->db, &error) || error.kind != ERROR_TEMPORARY || error.code != EIO)
        return 3;
    if (db_usable(fixture->db) || db_begin(fixture->db, NULL))
        return 4;
    return db_checkpoint(fixture->db, true, NULL) ? 5 : 0;
}

static void a_failed_flush_is_final(void **state)
{
    struct fixture *fixture = *state;
    run_in_child(fixture, commit_without_flush);
    reopen(fixture);
    uint8_t key[8];
    struct buffer value = BUFFER_WITH_LIMIT(100);
    assert_true(db_get(fixture->tree, number_key(key, 1), &value, NULL));
    assert_true(db_checkpoint(fixture->db, true, NULL));
    buffer_clear(&value);
}

/* No file may grow past 3 MiB: first the log, then the tree cannot. */
static int fill_the_disk(struct fixture *fixture)
{
    static const uint8_t body[30000];
    struct rlimit limit = {3 << 20, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    uint64_t number = 0;
    struct error error = {0};
    for (;; number++) {
        if (!db_begin(fixture->db, NULL))
            return 2;
        bool put = put_number(fixture, number, slice_of(body, sizeof(body)), &error);
        if (!put)
            db_abort(fixture->db);
        if (!put || !db_commit(fixture->db, &error))
            break;
    }
    if (error.kind != ERROR_TEMPORARY || !db_usable(fixture->db) || number < 50)
        return 3;
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 4;
    if (!db_begin(fixture->db, NULL)
        || !put_number(fixture, number, slice_of(body, sizeof(body)), NULL)
        || !db_commit(fixture->db, NULL) || !db_checkpoint(fixture->db, true, NULL))
        return 5;
    return count_rows(fixture) == number + 1 ? 0 : 6;
}

static int prepare_without_space(struct fixture *fixture)
{
    struct error error = {0};
    struct stat status;
    struct rlimit limit = {SMALL_LOG / 2, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    if (db_prepare_log(fixture->db, &error) || error.kind != ERROR_TEMPORARY)
        return 2;
    if (!db_usable(fixture->db) || has_file(fixture, "next-log.part", &status))
        return 3;
    return db_begin(fixture->db, NULL) && put_number(fixture, 1, SLICE("kept"), NULL)
                   && db_commit(fixture->db, NULL)
               ? 0
               : 4;
}

static void a_log_that_cannot_be_prepared_ends_nothing(void **state)
{
    run_in_child(*state, prepare_without_space);
}

/* The file has its new name in memory; who knows what the disk has. */
static int take_without_flush(struct fixture *fixture)
{
    struct stat status;
    struct error error = {0};
    uint64_t rows = 0;
    db_close(fixture->db);
    if (!open_with(fixture, small_logs, NULL))
        return 4;
    while (!db_wants_log(fixture->db))
        commit_row(fixture, rows++);
    if (!db_prepare_log(fixture->db, NULL) || !let_flushes_fail(SCMP_SYS(fsync)))
        return 1;
    while (db_begin(fixture->db, &error) && put_number(fixture, rows++, SLICE("lost"), &error)
           && db_commit(fixture->db, &error))
        if (!has_file(fixture, "next-log", &status))
            return 2;
    return db_usable(fixture->db) ? 3 : 0;
}

static void a_log_without_a_name_on_disk_is_not_used(void **state)
{
    run_in_child(*state, take_without_flush);
}

static void a_full_disk_ends_nothing(void **state)
{
    struct fixture *fixture = *state;
    run_in_child(fixture, fill_the_disk);
    reopen(fixture);
    assert_true(count_rows(fixture) > 50);
}

static void overwrite(const struct fixture *fixture, const char *name, off_t offset, size_t octets)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = 0; i < octets; i++)
        assert_int_equal(pwrite(fd, "\xa5", 1, offset + (off_t)i), 1);
    close(fd);
}

static void write_rows_and_close(struct fixture *fixture)
{
    assert_true(db_begin(fixture->db, NULL));
    for (uint64_t i = 0; i < 500; i++)
        assert_true(put_number(fixture, i, SLICE("value"), NULL));
    assert_true(db_commit(fixture->db, NULL));
    assert_true(db_checkpoint(fixture->db, true, NULL));
    db_close(fixture->db);
    fixture->db = NULL;
}

/* In a child: the library leaks what it had when it gave up. */
static int read_corrupt_page(struct fixture *fixture)
{
    struct db_cursor cursor;
    struct slice key, value;
    struct error error = {0};
    db_cursor_init(&cursor, fixture->tree, SLICE(""), 1 << 20);
    while (db_cursor_next(&cursor, &key, &value, &error))
        ;
    db_cursor_clear(&cursor);
    if (error.kind != ERROR_PERMANENT || db_usable(fixture->db))
        return 1;
    error.kind = ERROR_NONE;
    return db_begin(fixture->db, &error) || error.kind != ERROR_PERMANENT ? 2 : 0;
}

static void a_corrupt_page_is_permanent_once_read(void **state)
{
    struct fixture *fixture = *state;
    write_rows_and_close(fixture);
    overwrite(fixture, "rows.db", 3 * PAGE, PAGE);
    run_in_child(fixture, read_corrupt_page);
}

static void corruption_is_permanent_and_set_aside(void **state)
{
    struct fixture *fixture = *state;
    write_rows_and_close(fixture);
    overwrite(fixture, "rows.db", 0, PAGE);
    struct error error = {0};
    assert_false(open_with(fixture, flushed, &error));
    assert_int_equal(error.kind, ERROR_PERMANENT);

    assert_true(db_set_aside(fixture->directory, "corrupt-1", NULL));
    assert_false(db_set_aside(fixture->directory, "corrupt-1", &error));
    assert_int_equal(error.kind, ERROR_EXISTS);
    assert_true(file_octets(fixture, "corrupt-1/rows.db") > PAGE);
    assert_int_equal(file_octets(fixture, "rows.db"), -1);
    assert_true(open_with(fixture, flushed, &error));
    assert_int_equal(count_rows(fixture), 0);
}

static void what_surrounds_the_files_is_temporary(void **state)
{
    (void)state;
    struct error error = {0};
    struct db_options options = {.directory = "/nonexistent", .cache_octets = CACHE};
    struct db *db;
    assert_false(db_open(&options, &db, &error));
    assert_null(db);
    assert_int_equal(error.kind, ERROR_TEMPORARY);
}

static void expect_before(struct fixture *fixture, const char *key, const char *wanted)
{
    struct error error = {0};
    struct buffer found = BUFFER_WITH_LIMIT(1024);
    bool got = db_get_before(fixture->tree, slice_of_string(key), &found, &error);
    assert_true(got == (wanted != NULL));
    if (got)
        assert_slice_is(buffer_slice(&found), wanted);
    else
        assert_int_equal(error.kind, ERROR_NOT_FOUND);
    buffer_clear(&found);
}

static void finds_the_key_before(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    expect_before(fixture, "b", NULL);
    assert_true(db_begin(fixture->db, &error));
    assert_true(db_put(fixture->tree, SLICE("b"), SLICE("1"), &error));
    assert_true(db_put(fixture->tree, SLICE("d"), SLICE("2"), &error));
    expect_before(fixture, "d", "b");
    assert_true(db_commit(fixture->db, &error));
    expect_before(fixture, "b", NULL);
    expect_before(fixture, "c", "b");
    expect_before(fixture, "dd", "d");
    expect_before(fixture, "", NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_the_key_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(commits_last_and_aborts_do_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_obey_the_limit_of_the_buffer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cursor_reads_all_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tree_may_change_under_a_cursor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_transactions_have_locks_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(compaction_gives_the_disk_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kill_loses_nothing_acknowledged, set_up_small_logs,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_log_goes_on_where_it_was_prepared, set_up_small_logs,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_prepared_log_is_left_to_the_next_life, set_up_small_logs,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_log_that_cannot_be_prepared_ends_nothing,
                                        set_up_small_logs, tear_down),
        cmocka_unit_test_setup_teardown(a_log_without_a_name_on_disk_is_not_used, set_up_small_logs,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failed_flush_is_final, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_ends_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_corrupt_page_is_permanent_once_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(corruption_is_permanent_and_set_aside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_surrounds_the_files_is_temporary, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
