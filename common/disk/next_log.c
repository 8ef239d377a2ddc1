/* See next_log.h. */
#include "common/disk/next_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/disk/fd.h"

enum { BLOCK_OCTETS = 64 << 10, LONGEST_PATH = 4096 };

static const char finished[] = "next-log";
static const char unfinished[] = "next-log.part";

void next_log_clear(int directory_fd)
{
    unlinkat(directory_fd, finished, 0);
    unlinkat(directory_fd, unfinished, 0);
}

static bool fill(int fd, uint32_t octets, struct error *error)
{
    static const uint8_t zeros[BLOCK_OCTETS];
    for (uint32_t at = 0; at < octets; at += BLOCK_OCTETS) {
        uint32_t left = octets - at;
        struct slice block = slice_of(zeros, left < BLOCK_OCTETS ? left : BLOCK_OCTETS);
        if (!fd_pwrite_all(fd, block, at, error))
            return false;
    }
    return fsync(fd) == 0 || error_errno(error, "flush %s", unfinished);
}

static bool make(int directory_fd, uint32_t octets, struct error *error)
{
    int fd = openat(directory_fd, unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "create %s", unfinished);
    bool made = fill(fd, octets, error) && fd_close(&fd, error)
                && (renameat(directory_fd, unfinished, directory_fd, finished) == 0
                    || error_errno(error, "rename %s", unfinished));
    fd_discard(&fd);
    if (!made)
        unlinkat(directory_fd, unfinished, 0);
    return made;
}

bool next_log_make(const char *directory, uint32_t octets, struct error *error)
{
    int directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return error_errno(error, "open directory %s", directory);
    bool made =
        faccessat(directory_fd, finished, F_OK, 0) == 0 || make(directory_fd, octets, error);
    fd_discard(&directory_fd);
    return made;
}

static int open_directory_of(const char *path, const char *name)
{
    char directory[LONGEST_PATH];
    int octets = snprintf(directory, sizeof(directory), "%.*s.", (int)(name - path), path);
    if (octets < 0 || (size_t)octets >= sizeof(directory))
        return -1;
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool next_log_take(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    int directory_fd = open_directory_of(path, name);
    if (directory_fd < 0)
        return true; /* then nothing is taken */
    bool good = renameat2(directory_fd, finished, directory_fd, name, RENAME_NOREPLACE) != 0
                || fsync(directory_fd) == 0;
    int code = errno;
    fd_discard(&directory_fd);
    errno = code;
    return good;
}
