/* Reading a directory; see directory.h. */
#include "storage/directory.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* On the stack, which never shrinks: so small, as there is a process for each user. */
enum { READ_OCTETS = 16384 };

static bool visit_all(const uint8_t *records, size_t octets, directory_visitor *visit, void *owner,
                      struct error *error)
{
    for (size_t at = 0; at < octets;) {
        const struct dirent64 *entry = (const void *)(records + at);
        at += entry->d_reclen;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!visit(owner, entry->d_name, entry->d_type, error))
            return false;
    }
    return true;
}

bool directory_read(int fd, directory_visitor *visit, void *owner, struct error *error)
{
    _Alignas(struct dirent64) uint8_t records[READ_OCTETS];
    if (lseek(fd, 0, SEEK_SET) != 0)
        return error_errno(error, "rewind directory");
    for (;;) {
        ssize_t got = getdents64(fd, records, sizeof(records));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(error, "read directory");
        if (got == 0)
            return true;
        if (!visit_all(records, (size_t)got, visit, owner, error))
            return false;
    }
}
