/* Promises of common/disk/db_copy.h and common/disk/tree.h: a copy made while transactions go on,
 * trees grow and logs roll over holds what was committed when its last step returned; trees are
 * copied and removed without following links. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/db.h"
#include "common/disk/db_copy.h"
#include "common/disk/fd.h"
#include "common/disk/tree.h"

enum { CACHE = 64 << 10, LOG_FILE = 128 << 10, PAGE = 4096, VALUE = 1000 };

static struct error test_error;

static void check_ok(bool succeeded, const char *file, int line)
{
    if (succeeded)
        return;
    print_error("%s\n", test_error.text);
    _fail(file, line);
}

#define assert_ok(call) check_ok((call), __FILE__, __LINE__)

struct fixture {
    char directory[64];
    int fd;
    struct db *db;
    struct db_tree *tree;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    make_test_directory(fixture->directory, sizeof(fixture->directory));
    fixture->fd = open(fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fixture->fd >= 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    db_close(fixture->db);
    fd_discard(&fixture->fd);
    assert_ok(tree_remove(AT_FDCWD, fixture->directory, &test_error));
    assert_int_equal(access(fixture->directory, F_OK), -1);
    free(fixture);
    return 0;
}

static void open_db(struct fixture *fixture, const char *directory)
{
    const struct db_options options = {
        .directory = directory, .cache_octets = CACHE, .log_file_octets = LOG_FILE};
    assert_ok(db_open(&options, &fixture->db, &test_error));
    assert_ok(db_tree_open(fixture->db, "rows.db", PAGE, &fixture->tree, &test_error));
}

/* Rows lie scattered, so that old pages change as well as new ones come; the last commit's number
 * stands in each. */
static void commit_rows(struct fixture *fixture, uint32_t round)
{
    uint8_t value[VALUE] = {0};
    memcpy(value, &round, sizeof(round));
    assert_ok(db_begin(fixture->db, &test_error));
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t key = (round * 20 + i) * 2654435761U % 3000;
        assert_ok(db_put(fixture->tree, slice_of(&key, sizeof(key)), slice_of(value, VALUE),
                         &test_error));
    }
    assert_ok(db_put(fixture->tree, SLICE("last"), slice_of(&round, sizeof(round)), &test_error));
    assert_ok(db_commit(fixture->db, &test_error));
}

static void expect_rows(struct fixture *fixture, uint32_t rounds)
{
    struct buffer value = BUFFER_WITH_LIMIT(VALUE);
    uint32_t expected[3000] = {0};
    for (uint32_t round = 1; round <= rounds; round++)
        for (uint32_t i = 0; i < 20; i++)
            expected[(round * 20 + i) * 2654435761U % 3000] = round;
    for (uint32_t key = 0; key < 3000; key++) {
        uint32_t round = 0;
        if (!db_get(fixture->tree, slice_of(&key, sizeof(key)), &value, &test_error))
            assert_int_equal(test_error.kind, ERROR_NOT_FOUND);
        else
            memcpy(&round, value.ptr, sizeof(round));
        assert_int_equal(round, expected[key]);
    }
    buffer_clear(&value);
}

static void a_copy_has_all_that_was_committed(void **state)
{
    struct fixture *fixture = *state;
    struct db_copy copy;
    char path[128];
    uint32_t round = 0;
    bool done = false;
    open_db(fixture, fixture->directory);
    while (round < 100)
        commit_rows(fixture, ++round);
    assert_ok(db_checkpoint(fixture->db, true, &test_error));
    int target_fd = tree_make(fixture->fd, "copy", &test_error);
    assert_true(target_fd >= 0);
    assert_ok(db_copy_begin(&copy, fixture->directory, target_fd, &test_error));
    /* The log grows by some 20 KiB a round, and is caught up with in the end. */
    for (uint32_t steps = 0; !done && steps < 10000; steps++) {
        assert_ok(db_copy_step(&copy, 64 << 10, &done, &test_error));
        if (!done)
            commit_rows(fixture, ++round);
    }
    assert_true(done);
    assert_true(round > 110);
    db_copy_end(&copy);
    fd_discard(&target_fd);
    uint32_t committed = round;
    while (round < committed + 10)
        commit_rows(fixture, ++round); /* too late for the copy */
    db_close(fixture->db);
    snprintf(path, sizeof(path), "%s/copy", fixture->directory);
    open_db(fixture, path);
    expect_rows(fixture, committed);
}

static void nothing_is_no_copy(void **state)
{
    struct fixture *fixture = *state;
    struct db_copy copy;
    bool done = false;
    int target_fd = tree_make(fixture->fd, "copy", &test_error);
    assert_ok(db_copy_begin(&copy, fixture->directory, target_fd, &test_error));
    assert_false(db_copy_step(&copy, 1000, &done, &test_error));
    assert_false(done);
    db_copy_end(&copy);
    db_copy_end(&copy);
    fd_discard(&target_fd);
}

static void links_are_not_followed(void **state)
{
    struct fixture *fixture = *state;
    int from_fd = tree_make(fixture->fd, "from", &test_error);
    int to_fd = tree_make(fixture->fd, "to", &test_error);
    assert_int_equal(symlinkat("/etc", from_fd, "link"), 0);
    assert_false(tree_copy(from_fd, to_fd, NULL, &test_error));
    assert_int_equal(faccessat(to_fd, "link", F_OK, AT_SYMLINK_NOFOLLOW), -1);
    assert_ok(tree_remove(from_fd, "link", &test_error));
    assert_int_equal(access("/etc/passwd", F_OK), 0);
    assert_int_equal(mkfifoat(from_fd, "pipe", 0600), 0);
    assert_false(tree_copy(from_fd, to_fd, NULL, &test_error));
    fd_discard(&from_fd);
    assert_int_equal(symlinkat("/etc", fixture->fd, "outside"), 0);
    assert_int_equal(tree_open(fixture->fd, "outside", &test_error), -1);
    fd_discard(&to_fd);
}

static void modes_and_depth_are_kept(void **state)
{
    struct fixture *fixture = *state;
    struct stat facts;
    int from_fd = tree_make(fixture->fd, "from", &test_error);
    int to_fd = tree_make(fixture->fd, "to", &test_error);
    int inner_fd = tree_make(from_fd, "inner", &test_error);
    int file_fd = openat(inner_fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
    assert_ok(fd_write_all(file_fd, SLICE("octets"), &test_error));
    fd_discard(&file_fd);
    assert_ok(tree_copy(from_fd, to_fd, NULL, &test_error));
    assert_int_equal(fstatat(to_fd, "inner/file", &facts, 0), 0);
    assert_int_equal(facts.st_mode & 07777, 0400);
    assert_int_equal(facts.st_size, 6);
    fd_discard(&inner_fd);
    fd_discard(&from_fd);
    fd_discard(&to_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_has_all_that_was_committed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_no_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_are_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(modes_and_depth_are_kept, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
