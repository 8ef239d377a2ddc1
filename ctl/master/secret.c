/* Secrets on disk; see secret.h. */
#include "ctl/master/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"

static bool make_octets(uint8_t octets[MASTER_SECRET_OCTETS], struct error *error)
{
    return getrandom(octets, MASTER_SECRET_OCTETS, 0) == MASTER_SECRET_OCTETS
           || error_errno(error, "random octets");
}

static bool flush(int fd, const char *name, struct error *error)
{
    return fsync(fd) == 0 || error_errno(error, "flush %s", name);
}

/* All of it or nothing, and on disk before it is used: what it signed must verify later. */
static bool write_file(int state_fd, const char *name, struct slice octets, struct error *error)
{
    char fresh[64];
    snprintf(fresh, sizeof(fresh), "%s.new", name);
    int fd = openat(state_fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "create %s", fresh);
    bool written = fd_write_all(fd, octets, error) && flush(fd, fresh, error);
    fd_discard(&fd);
    if (!written)
        return false;
    if (renameat(state_fd, fresh, state_fd, name) != 0)
        return error_errno(error, "rename %s", fresh);
    return flush(state_fd, "the state directory", error);
}

static bool read_file(int fd, const char *name, uint8_t octets[MASTER_SECRET_OCTETS],
                      struct error *error)
{
    struct stat facts;
    size_t got = 0;
    if (fstat(fd, &facts) != 0 || !fd_pread_full(fd, octets, MASTER_SECRET_OCTETS, 0, &got, error))
        return error_errno(error, "read %s", name);
    if (facts.st_size == MASTER_SECRET_OCTETS && got == MASTER_SECRET_OCTETS)
        return true;
    return error_set(error, ERROR_PERMANENT,
                     "%s in the state directory is damaged: restore it, or remove it for a new one",
                     name);
}

bool secret_load(int state_fd, const char *name, uint8_t octets[MASTER_SECRET_OCTETS],
                 struct error *error)
{
    int fd = openat(state_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return make_octets(octets, error)
               && write_file(state_fd, name, slice_of(octets, MASTER_SECRET_OCTETS), error);
    if (fd < 0)
        return error_errno(error, "open %s", name);
    bool read = read_file(fd, name, octets, error);
    fd_discard(&fd);
    return read;
}
