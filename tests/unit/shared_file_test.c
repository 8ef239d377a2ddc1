/* Promises of common/auth/shared_file.h: changes are seen, edits are whole and one after another.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/auth/shared_file.h"
#include "common/disk/fd.h"

struct fixture {
    char directory[64];
    char path[96];
    int dir_fd;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    make_test_directory(fixture->directory, sizeof(fixture->directory));
    snprintf(fixture->path, sizeof(fixture->path), "%s/map", fixture->directory);
    fixture->dir_fd = open(fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fixture->dir_fd >= 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"map", "map.lock", "map.new", "link"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlinkat(fixture->dir_fd, names[i], 0);
    fd_discard(&fixture->dir_fd);
    rmdir(fixture->directory);
    free(fixture);
    return 0;
}

static void put(const struct fixture *fixture, const char *text)
{
    struct error error;
    int fd = open(fixture->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && fd_write_all(fd, slice_of_string(text), &error));
    fd_discard(&fd);
}

static enum shared_file_news look(struct shared_file *file, const char *expected)
{
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    struct error error;
    enum shared_file_news news = shared_file_look(file, &text, &error);
    if (news == SHARED_FILE_CHANGED)
        assert_slice_is(buffer_slice(&text), expected);
    buffer_clear(&text);
    return news;
}

/* As long as the file's times may hide a change, a look reads it again. */
static enum shared_file_news look_when_settled(struct shared_file *file, const char *expected)
{
    while (!file->settled)
        look(file, expected);
    return look(file, expected);
}

static void changes_are_seen_once(void **state)
{
    struct fixture *fixture = *state;
    struct shared_file file;
    shared_file_init(&file, fixture->dir_fd, "map");
    assert_int_equal(look(&file, NULL), SHARED_FILE_FAILED);
    assert_int_equal(look(&file, NULL), SHARED_FILE_SAME);
    put(fixture, "one");
    assert_int_equal(look(&file, "one"), SHARED_FILE_CHANGED);
    put(fixture, "two"); /* same size, perhaps within one tick of the clock */
    assert_int_equal(look(&file, "two"), SHARED_FILE_CHANGED);
    assert_int_equal(look_when_settled(&file, "two"), SHARED_FILE_SAME);
    unlink(fixture->path);
    assert_int_equal(look(&file, NULL), SHARED_FILE_FAILED);
    put(fixture, "back");
    assert_int_equal(look(&file, "back"), SHARED_FILE_CHANGED);
    unlink(fixture->path);
    assert_int_equal(mkdirat(fixture->dir_fd, "map", 0700), 0);
    assert_int_equal(look(&file, NULL), SHARED_FILE_FAILED);
    unlinkat(fixture->dir_fd, "map", AT_REMOVEDIR);
    shared_file_clear(&file);
    shared_file_clear(&file);
}

static void a_file_too_large_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct shared_file file;
    struct buffer text = BUFFER_WITH_LIMIT(3);
    struct error error;
    shared_file_init(&file, fixture->dir_fd, "map");
    put(fixture, "12345");
    assert_int_equal(shared_file_look(&file, &text, &error), SHARED_FILE_FAILED);
    assert_int_equal(text.len, 0);
    shared_file_clear(&file);
}

static bool append(struct slice old, struct buffer *text, void *context, struct error *error)
{
    (void)error;
    buffer_append(text, old);
    buffer_append_string(text, context);
    return true;
}

static bool refuse(struct slice old, struct buffer *text, void *context, struct error *error)
{
    (void)context;
    buffer_append(text, old);
    return error_set(error, ERROR_EXISTS, "no");
}

static void edits_keep_mode_and_follow_links(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    struct stat status;
    char text[] = "a\n";
    char link[96];
    assert_true(shared_file_edit(fixture->path, (gid_t)-1, append, text, &error));
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(chmod(fixture->path, 0604), 0);
    snprintf(link, sizeof(link), "%s/link", fixture->directory);
    assert_int_equal(symlink("map", link), 0);
    assert_true(shared_file_edit(link, (gid_t)-1, append, text, &error));
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(link, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0604);
    assert_int_equal(status.st_size, 4);
}

static void a_refused_edit_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    struct stat before;
    struct stat after;
    put(fixture, "old");
    assert_int_equal(stat(fixture->path, &before), 0);
    assert_false(shared_file_edit(fixture->path, (gid_t)-1, refuse, NULL, &error));
    assert_int_equal(error.kind, ERROR_EXISTS);
    assert_int_equal(stat(fixture->path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_false(shared_file_edit(fixture->directory, (gid_t)-1, append, NULL, &error));
}

enum { WRITERS = 4, EDITS = 25 };

static void edit_often(const struct fixture *fixture)
{
    struct error error;
    char line[] = "line\n";
    for (int i = 0; i < EDITS; i++)
        if (!shared_file_edit(fixture->path, (gid_t)-1, append, line, &error))
            _exit(1);
    _exit(0);
}

static void writers_at_once_lose_nothing(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < WRITERS; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            edit_often(fixture);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    struct stat status;
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_size, WRITERS * EDITS * 5);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(changes_are_seen_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_too_large_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(edits_keep_mode_and_follow_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_edit_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writers_at_once_lose_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
