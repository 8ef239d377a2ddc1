/* Loading and replacing small text files; see text_file.h. */
#include "storage/text_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"

enum { NAME_SIZE = 256 };

static bool read_whole(int fd, const char *name, struct buffer *text, struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_errno(error, "look at %s", name);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_PERMANENT, "%s is no regular file", name);
    if ((uint64_t)status.st_size > text->limit - text->len)
        return error_set(error, ERROR_PERMANENT, "%s has %lld octets, more than %zu", name,
                         (long long)status.st_size, text->limit);
    size_t size = (size_t)status.st_size;
    if (!buffer_reserve(text, size))
        return error_memory(error);
    size_t got;
    if (!fd_read_full(fd, text->ptr + text->len, size, &got, error))
        return error_prefix(error, "%s", name);
    buffer_commit(text, got);
    return true;
}

bool text_file_load(int dir_fd, const char *name, struct buffer *text, struct error *error)
{
    /* O_NONBLOCK: another program may have put a FIFO there. */
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "open %s", name);
    bool loaded = read_whole(fd, name, text, error);
    fd_discard(&fd);
    return loaded;
}

static bool write_flushed(int dir_fd, const char *name, struct slice text, struct error *error)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "create %s", name);
    bool written = fd_write_all(fd, text, error);
    if (written && fsync(fd) != 0)
        written = error_errno(error, "flush");
    if (written)
        written = fd_close(&fd, error);
    fd_discard(&fd);
    return written || error_prefix(error, "%s", name);
}

bool text_file_replace(int dir_fd, const char *name, struct slice text, struct error *error)
{
    char temporary[NAME_SIZE];
    int length = snprintf(temporary, sizeof(temporary), "%s.new", name);
    if (length < 0 || (size_t)length >= sizeof(temporary))
        return error_set(error, ERROR_PERMANENT, "name %.100s... is too long", name);
    bool replaced = write_flushed(dir_fd, temporary, text, error);
    if (replaced && renameat(dir_fd, temporary, dir_fd, name) != 0)
        replaced = error_errno(error, "rename %s to %s", temporary, name);
    if (!replaced) {
        unlinkat(dir_fd, temporary, 0);
        return false;
    }
    return fsync(dir_fd) == 0 || error_errno(error, "flush directory of %s", name);
}
