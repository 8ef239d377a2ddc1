/* Watching and replacing small text files; see shared_file.h. */
#include "common/auth/shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"

enum {
    /* Times in inodes stand still for a tick of the kernel, up to 10 ms: a file read so soon after
     * its change could change again without showing it. */
    SETTLING_NS = 50 * 1000 * 1000,
    MODE_OF_NEW_FILE = 0640,
};

void shared_file_init(struct shared_file *file, int dir_fd, const char *name)
{
    *file = (struct shared_file){.dir_fd = dir_fd, .name = name, .fd = -1};
}

void shared_file_clear(struct shared_file *file)
{
    fd_discard(&file->fd);
    shared_file_init(file, file->dir_fd, file->name);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size
           && same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

static bool has_settled(const struct stat *status)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_ns = (now.tv_sec - status->st_ctim.tv_sec) * INT64_C(1000000000)
                     + (now.tv_nsec - status->st_ctim.tv_nsec);
    return age_ns < 0
           || age_ns > SETTLING_NS; /* below 0: the clock was set back; no reason to wait */
}

static bool is_at_end(int fd, struct error *error)
{
    uint8_t beyond;
    size_t got;
    if (!fd_read_full(fd, &beyond, 1, &got, error))
        return false;
    return got == 0 ? true : error_set(error, ERROR_TEMPORARY, "it is too large");
}

static bool read_all(int fd, struct buffer *text, struct error *error)
{
    enum { PIECE = 65536 };
    while (text->len < text->limit) {
        size_t room = text->limit - text->len;
        size_t piece = room < PIECE ? room : PIECE;
        size_t got;
        if (!buffer_reserve(text, piece))
            return error_memory(error);
        if (!fd_read_full(fd, text->ptr + text->len, piece, &got, error))
            return false;
        buffer_commit(text, got);
        if (got < piece)
            return true;
    }
    return is_at_end(fd, error);
}

static bool reopen(struct shared_file *file, struct buffer *text, struct error *error)
{
    fd_discard(&file->fd);
    /* O_NONBLOCK: what if it is a FIFO. */
    file->fd = openat(file->dir_fd, file->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file->fd < 0)
        return error_errno(error, "open %s", file->name);
    if (fstat(file->fd, &file->read_as) != 0)
        return error_errno(error, "stat %s", file->name);
    file->settled = has_settled(&file->read_as);
    if (!S_ISREG(file->read_as.st_mode))
        return error_set(error, ERROR_PERMANENT, "%s is not a file", file->name);
    if (!read_all(file->fd, text, error))
        return error_prefix(error, "read %s", file->name);
    return true;
}

enum shared_file_news shared_file_look(struct shared_file *file, struct buffer *text,
                                       struct error *error)
{
    struct stat now;
    if (fstatat(file->dir_fd, file->name, &now, 0) != 0)
        now = (struct stat){0}; /* opening it below says what is wrong */
    if (file->looked && same_file(&now, &file->read_as) && file->settled)
        return SHARED_FILE_SAME;
    file->looked = true;
    file->settled = true;
    file->read_as = now;
    if (reopen(file, text, error))
        return SHARED_FILE_CHANGED;
    buffer_clear(text);
    return SHARED_FILE_FAILED;
}

bool shared_file_locate(const char *path, int *dir_fd, char **name, struct error *error)
{
    bool located = false;
    char *real = realpath(path, NULL);
    char *copy = real ? real : strdup(path);
    *dir_fd = -1;
    *name = NULL;
    if (!copy)
        return error_memory(error);
    char *slash = strrchr(copy, '/');
    *name = strdup(slash ? slash + 1 : copy);
    if (slash)
        slash[1] = '\0';
    if (!*name) {
        error_memory(error);
        goto done;
    }
    if (**name == '\0') {
        error_set(error, ERROR_PERMANENT, "%s names a directory, not a file", path);
        goto done;
    }
    *dir_fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    located = *dir_fd >= 0 || error_errno(error, "open directory %s", slash ? copy : ".");
done:
    free(copy);
    if (!located) {
        free(*name);
        *name = NULL;
    }
    return located;
}

void shared_file_release(int *dir_fd, char **name)
{
    fd_discard(dir_fd);
    free(*name);
    *name = NULL;
}

/* One edit under way: everything is empty until it is there. */
struct edit {
    int dir_fd;
    char *name;
    char *new_name;  /* the text on its way */
    char *lock_name; /* stays: removing it would let two hold two of them */
    int lock_fd;
    int fd;
    bool exists; /* whether there is an old file; then status is its */
    struct stat status;
    struct buffer old;
    struct buffer text;
};

static void edit_clear(struct edit *edit)
{
    if (edit->fd >= 0)
        unlinkat(edit->dir_fd, edit->new_name, 0);
    fd_discard(&edit->fd);
    fd_discard(&edit->lock_fd); /* and gives the lock back */
    shared_file_release(&edit->dir_fd, &edit->name);
    free(edit->new_name);
    free(edit->lock_name);
    buffer_clear(&edit->old);
    buffer_clear(&edit->text);
}

/* Before anything is made beside it. */
static bool check_place(const struct edit *edit, struct error *error)
{
    struct stat status;
    if (fstatat(edit->dir_fd, edit->name, &status, 0) == 0 && !S_ISREG(status.st_mode))
        return error_set(error, ERROR_PERMANENT, "%s is not a file", edit->name);
    return true;
}

static bool lock(struct edit *edit, struct error *error)
{
    edit->lock_fd =
        openat(edit->dir_fd, edit->lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (edit->lock_fd < 0)
        return error_errno(error, "open %s", edit->lock_name);
    while (flock(edit->lock_fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return error_errno(error, "lock %s", edit->lock_name);
    return true;
}

static bool read_old(struct edit *edit, struct error *error)
{
    int fd = openat(edit->dir_fd, edit->name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? true : error_errno(error, "open %s", edit->name);
    edit->exists = true;
    bool done = fstat(fd, &edit->status) == 0 ? read_all(fd, &edit->old, error)
                                              : error_errno(error, "stat %s", edit->name);
    fd_discard(&fd);
    return done;
}

static bool write_new(struct edit *edit, gid_t new_group, struct error *error)
{
    unlinkat(edit->dir_fd, edit->new_name, 0); /* left by an edit that was killed */
    edit->fd = openat(edit->dir_fd, edit->new_name,
                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (edit->fd < 0)
        return error_errno(error, "create %s", edit->new_name);
    uid_t owner = edit->exists ? edit->status.st_uid : (uid_t)-1;
    gid_t group = edit->exists ? edit->status.st_gid : new_group;
    mode_t mode = edit->exists ? edit->status.st_mode & 07777U : (mode_t)MODE_OF_NEW_FILE;
    if (fchown(edit->fd, owner, group) != 0)
        return error_errno(error, "give %s its owner and group", edit->new_name);
    if (fchmod(edit->fd, mode) != 0)
        return error_errno(error, "give %s its mode", edit->new_name);
    if (!fd_write_all(edit->fd, buffer_slice(&edit->text), error))
        return error_prefix(error, "%s", edit->new_name);
    return fsync(edit->fd) == 0 ? true : error_errno(error, "flush %s", edit->new_name);
}

static bool put_in_place(struct edit *edit, struct error *error)
{
    if (renameat(edit->dir_fd, edit->new_name, edit->dir_fd, edit->name) != 0)
        return error_errno(error, "rename %s to %s", edit->new_name, edit->name);
    fd_discard(&edit->fd); /* flushed above: nothing that close could still report */
    return fsync(edit->dir_fd) == 0 ? true
                                    : error_errno(error, "flush directory of %s", edit->name);
}

static char *with_suffix(const char *name, const char *suffix)
{
    char *result = NULL;
    return asprintf(&result, "%s%s", name, suffix) < 0 ? NULL : result;
}

bool shared_file_edit(const char *path, gid_t new_group, shared_file_editor *editor, void *context,
                      struct error *error)
{
    struct edit edit = {
        .dir_fd = -1,
        .lock_fd = -1,
        .fd = -1,
        .old = BUFFER_WITH_LIMIT(SHARED_FILE_MAX),
        .text = BUFFER_WITH_LIMIT(SHARED_FILE_MAX),
    };
    bool done = false;
    if (!shared_file_locate(path, &edit.dir_fd, &edit.name, error))
        goto done;
    edit.new_name = with_suffix(edit.name, ".new");
    edit.lock_name = with_suffix(edit.name, ".lock");
    if (!edit.new_name || !edit.lock_name) {
        error_memory(error);
        goto done;
    }
    if (!check_place(&edit, error) || !lock(&edit, error) || !read_old(&edit, error)
        || !editor(buffer_slice(&edit.old), &edit.text, context, error))
        goto done;
    if (edit.text.failed) {
        error_set(error, ERROR_TEMPORARY, "the new text exceeds %d octets", SHARED_FILE_MAX);
        goto done;
    }
    done = write_new(&edit, new_group, error) && put_in_place(&edit, error);
done:
    edit_clear(&edit);
    return done;
}
