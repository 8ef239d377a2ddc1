/* Whole reads and writes on descriptors; see fd.h. Any process. */
#include "common/disk/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

bool fd_write_all(int fd, struct slice octets, struct error *error)
{
    while (octets.len > 0) {
        ssize_t written = write(fd, octets.ptr, octets.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return error_errno(error, "write");
        if (written == 0)
            return error_set(error, ERROR_TEMPORARY, "write: no progress");
        octets = slice_from(octets, (size_t)written);
    }
    return true;
}

bool fd_pwrite_all(int fd, struct slice octets, uint64_t offset, struct error *error)
{
    while (octets.len > 0) {
        ssize_t written = pwrite(fd, octets.ptr, octets.len, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return error_errno(error, "write");
        if (written == 0)
            return error_set(error, ERROR_TEMPORARY, "write: no progress");
        octets = slice_from(octets, (size_t)written);
        offset += (uint64_t)written;
    }
    return true;
}

bool fd_read_full(int fd, void *octets, size_t size, size_t *got, struct error *error)
{
    *got = 0;
    while (*got < size) {
        ssize_t count = read(fd, (uint8_t *)octets + *got, size - *got);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(error, "read");
        if (count == 0)
            break;
        *got += (size_t)count;
    }
    return true;
}

bool fd_pread_full(int fd, void *octets, size_t size, uint64_t offset, size_t *got,
                   struct error *error)
{
    *got = 0;
    while (*got < size) {
        ssize_t count =
            pread(fd, (uint8_t *)octets + *got, size - *got, (off_t)(offset + (uint64_t)*got));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(error, "read");
        if (count == 0)
            break;
        *got += (size_t)count;
    }
    return true;
}

bool fd_read_all(int fd, struct buffer *octets, struct error *error)
{
    size_t got = 1;
    while (got > 0) {
        size_t room = octets->limit - octets->len < 4096 ? octets->limit - octets->len : 4096;
        uint8_t past_limit;
        if (room > 0 && !buffer_reserve(octets, room))
            return error_memory(error);
        if (!fd_read_full(fd, room > 0 ? octets->ptr + octets->len : &past_limit,
                          room > 0 ? room : 1, &got, error))
            return false;
        if (got > 0 && room == 0)
            return error_set(error, ERROR_PERMANENT, "file is longer than %zu octets",
                             octets->limit);
        buffer_commit(octets, got);
    }
    return true;
}

bool fd_sync_filesystem(int fd, struct error *error)
{
    struct statvfs status;
    if (syncfs(fd) != 0 || fsync(fd) != 0 || fstatvfs(fd, &status) != 0)
        return error_errno(error, "flush the file system");
    if ((status.f_flag & ST_RDONLY) == 0)
        return true;
    errno = EROFS;
    return error_errno(error, "flush the file system");
}

bool fd_close(int *fd, struct error *error)
{
    int closing = *fd;
    *fd = -1;
    /* EINTR: Linux has closed it all the same; a retry could close a stranger's descriptor. */
    if (closing >= 0 && close(closing) != 0 && errno != EINTR)
        return error_errno(error, "close");
    return true;
}

void fd_discard(int *fd)
{
    int code = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = code;
}

bool fd_set_nonblocking(int fd, struct error *error)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return error_errno(error, "set descriptor non-blocking");
    return true;
}
