/* Opening folders and their files, and keeping tmp/ clean; see maildir.h. */
#include "storage/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "storage/directory.h"
#include "storage/folders.h"
#include "storage/tombstone.h"

enum {
    LITTER_SECONDS = 36 * 3600, /* as every Maildir program since qmail */
    OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

/* ---- opening ---- */

static bool open_part(int folder_fd, const char *name, int *fd, struct error *error)
{
    *fd = openat(folder_fd, name, OPEN_DIRECTORY);
    if (*fd < 0 && errno == ENOENT) {
        if (mkdirat(folder_fd, name, 0700) != 0 && errno != EEXIST)
            return error_errno(error, "create %s/", name);
        *fd = openat(folder_fd, name, OPEN_DIRECTORY);
    }
    return *fd >= 0 || error_errno(error, "open %s/", name);
}

bool maildir_open(int account_fd, const char *folder, struct maildir *box, struct error *error)
{
    *box = MAILDIR_CLOSED;
    box->fd = openat(account_fd, folder, OPEN_DIRECTORY);
    if (box->fd < 0)
        return error_errno(error, "open folder %.100s", folder);
    if (open_part(box->fd, "new", &box->new_fd, error)
        && open_part(box->fd, "cur", &box->cur_fd, error)
        && open_part(box->fd, "tmp", &box->tmp_fd, error))
        return true;
    maildir_close(box);
    return error_prefix(error, "folder %.100s", folder);
}

void maildir_close(struct maildir *box)
{
    fd_discard(&box->tmp_fd);
    fd_discard(&box->cur_fd);
    fd_discard(&box->new_fd);
    fd_discard(&box->fd);
}

bool maildir_is_still(int account_fd, const char *folder, const struct maildir *box,
                      struct error *error)
{
    struct stat named, open;
    if (fstatat(account_fd, folder, &named, AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "look for folder %.100s", folder);
    if (fstat(box->fd, &open) != 0)
        return error_errno(error, "look at folder %.100s", folder);
    return (named.st_dev == open.st_dev && named.st_ino == open.st_ino)
           || error_set(error, ERROR_NOT_FOUND, "folder %.100s is another one now", folder);
}

bool maildir_open_file(const struct maildir *box, enum maildir_place place, const char *name,
                       int *fd, struct stat *status, struct error *error)
{
    /* O_NONBLOCK: opening a FIFO would wait for its other end. */
    enum { FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
    int dir_fd = maildir_place_fd(box, place);
    *fd = openat(dir_fd, name, FLAGS | O_NOATIME); /* reading a folder shall write no inodes */
    if (*fd < 0 && errno == EPERM)                 /* another user's file */
        *fd = openat(dir_fd, name, FLAGS);
    if (*fd < 0)
        return error_errno(error, "open message %.100s", name);
    if (fstat(*fd, status) != 0)
        error_errno(error, "look at message %.100s", name);
    else if (!S_ISREG(status->st_mode))
        error_set(error, ERROR_PERMANENT, "message %.100s is no regular file", name);
    else
        return true;
    fd_discard(fd);
    return false;
}

/* ---- removing ---- */

struct removal {
    int fd;
    unsigned depth;
};

static bool remove_below(void *owner, const char *name, unsigned char type, struct error *error)
{
    const struct removal *removal = owner;
    (void)type; /* DT_UNKNOWN is possible: let unlinkat tell */
    if (unlinkat(removal->fd, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR)
        return error_errno(error, "remove %.100s", name);
    return maildir_remove_tree(removal->fd, name, removal->depth, error);
}

bool maildir_remove_tree(int dir_fd, const char *name, unsigned depth, struct error *error)
{
    if (depth == 0)
        return error_set(error, ERROR_PERMANENT, "directory %.100s is nested too deeply", name);
    int fd = openat(dir_fd, name, OPEN_DIRECTORY);
    if (fd < 0)
        return error_errno(error, "open directory %.100s", name);
    struct removal removal = {fd, depth - 1};
    /* Names that went by while others were removed are still there for the second reading. */
    bool empty = true;
    for (unsigned reading = 0; empty && reading < 2; reading++)
        empty = directory_read(fd, remove_below, &removal, error);
    fd_discard(&fd);
    if (empty && unlinkat(dir_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return error_errno(error, "remove directory %.100s", name);
    return empty;
}

/* ---- sweeping ---- */

struct sweep {
    int tmp_fd;
    int64_t now;
};

static int64_t seconds_since_touched(const struct stat *status, int64_t now)
{
    int64_t touched = status->st_mtim.tv_sec > status->st_ctim.tv_sec ? status->st_mtim.tv_sec
                                                                      : status->st_ctim.tv_sec;
    return now - touched;
}

static bool sweep_one(void *owner, const char *name, unsigned char type, struct error *error)
{
    const struct sweep *sweep = owner;
    (void)type;
    (void)error; /* what resists is left for the next time */
    struct stat status;
    if (fstatat(sweep->tmp_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    if (S_ISDIR(status.st_mode)) {
        /* Made by folders_delete alone, which was cut short if it is not removing right now. */
        if (folders_is_deleted_name(name)
            && seconds_since_touched(&status, sweep->now) > LITTER_SECONDS)
            maildir_remove_tree(sweep->tmp_fd, name, FOLDERS_DELETED_DEPTH, NULL);
        return true;
    }
    int64_t lifetime = tombstone_is_name(name) ? TOMBSTONE_SECONDS : LITTER_SECONDS;
    if (seconds_since_touched(&status, sweep->now) > lifetime)
        unlinkat(sweep->tmp_fd, name, 0);
    return true;
}

void maildir_sweep(const struct maildir *box, int64_t now)
{
    struct sweep sweep = {box->tmp_fd, now};
    directory_read(box->tmp_fd, sweep_one, &sweep, NULL);
}
