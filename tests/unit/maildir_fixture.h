/* An account's directory, and the few lines that storage tests share. */
#ifndef TESTS_UNIT_MAILDIR_FIXTURE_H
#define TESTS_UNIT_MAILDIR_FIXTURE_H

#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "storage/maildir.h"
#include "storage/maildir_scan.h"

struct account {
    char path[64];
    int fd;
    struct maildir inbox;
    struct error error;
};

static inline int account_open(void **state)
{
    struct account *account = calloc(1, sizeof(*account));
    if (!account)
        return -1;
    make_test_directory(account->path, sizeof(account->path));
    account->fd = open(account->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = account;
    return maildir_open_inbox(account->fd, &account->inbox, &account->error) ? 0 : -1;
}

static inline int account_close(void **state)
{
    struct account *account = *state;
    maildir_close(&account->inbox);
    close(account->fd);
    bool removed = maildir_remove_tree(AT_FDCWD, account->path, 8, &account->error);
    free(account);
    return removed ? 0 : -1;
}

/* A failing call of storage, with its text. */
#define assert_ok(account, call)                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, (account)->error.text);                                      \
    } while (0)

#define assert_fails(account, error_kind, call)                                                    \
    do {                                                                                           \
        assert_false(call);                                                                        \
        assert_int_equal((account)->error.kind, error_kind);                                       \
    } while (0)

static inline void put_file(int dir_fd, const char *name, const char *text)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_true(fd_write_all(fd, slice_of_string(text), NULL));
    close(fd);
}

static inline bool has_file(int dir_fd, const char *name)
{
    struct stat status;
    return fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline void assert_content(int dir_fd, const char *name, const char *text)
{
    char octets[4096];
    size_t got;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("no file %s", name);
    assert_true(fd_read_full(fd, octets, sizeof(octets), &got, NULL));
    close(fd);
    assert_slice_is(slice_of(octets, got), text);
}

static inline void age_file(int dir_fd, const char *name, int64_t seconds)
{
    struct timespec then = {time(NULL) - seconds, 0};
    const struct timespec times[2] = {then, then};
    assert_int_equal(utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static inline size_t count_messages(const struct maildir *box)
{
    struct maildir_list list;
    maildir_list_init(&list);
    assert_true(maildir_scan(box, &list, NULL));
    size_t count = list.count;
    maildir_list_clear(&list);
    return count;
}

#endif
