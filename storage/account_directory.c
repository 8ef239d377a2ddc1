/* Opening the directory of an account; see account_directory.h. */
#include "storage/account_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"

enum { STEP_SIZE = 256, OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

static int open_or_make(int fd, const char *name, int flags)
{
    int opened = openat(fd, name, flags);
    if (opened >= 0 || errno != ENOENT)
        return opened;
    if (mkdirat(fd, name, 0700) != 0 && errno != EEXIST)
        return -1;
    return openat(fd, name, flags);
}

static bool walk(int place_fd, const char *path, int flags, int *fd, struct error *error)
{
    const char *rest = path;
    *fd = openat(place_fd, ".", flags);
    while (*fd >= 0 && *rest) {
        char step[STEP_SIZE];
        size_t length = strcspn(rest, "/");
        if (length >= sizeof(step)) {
            fd_discard(fd);
            return error_set(error, ERROR_PERMANENT, "path of mail %.100s is too long", path);
        }
        memcpy(step, rest, length);
        step[length] = '\0';
        int next = length > 0 ? open_or_make(*fd, step, flags) : fcntl(*fd, F_DUPFD_CLOEXEC, 0);
        fd_discard(fd);
        *fd = next;
        rest += length + (rest[length] == '/');
    }
    return *fd >= 0 || error_errno(error, "open directory of mail %.100s", path);
}

bool account_directory_open(int place_fd, const char *path, int *fd, struct error *error)
{
    return walk(place_fd, path, OPEN_DIRECTORY | O_NOFOLLOW, fd, error);
}

bool account_directory_open_system(int root_fd, const char *path, int *fd, struct error *error)
{
    return walk(root_fd, path, OPEN_DIRECTORY, fd, error);
}
