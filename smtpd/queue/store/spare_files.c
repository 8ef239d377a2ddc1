/* The last one in is the first one out: its pages are likely to be in memory still. */
#include "smtpd/queue/store/spare_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/disk/fd.h"

enum { WIPE_OCTETS = 64 << 10 };

static size_t room(const struct spare_files *spares)
{
    size_t asked = spares->asked + spares->asked_before;
    if (asked <= SPARE_FILES_FEW)
        return 0;
    return asked < SPARE_FILES_MAX ? asked : SPARE_FILES_MAX;
}

bool spare_files_wanted(const struct spare_files *spares)
{
    return spares->count < room(spares);
}

/* Closing the descriptor ends the lease. */
static bool is_ours_alone(int fd, const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_nlink == 1 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
}

bool spare_files_keep(struct spare_files *spares, uint64_t id, int fd)
{
    struct stat status;
    if (!spare_files_wanted(spares) || fstat(fd, &status) != 0
        || status.st_size > SPARE_FILE_OCTETS_MAX || !is_ours_alone(fd, &status))
        return false;
    uint64_t octets = (uint64_t)status.st_size;
    if (spares->octets + octets > SPARE_OCTETS_MAX)
        return false;
    spares->files[spares->count++] = (struct spare_file){id, octets};
    spares->octets += octets;
    return true;
}

static bool pop(struct spare_files *spares, struct spare_file *spare)
{
    if (spares->count == 0)
        return false;
    *spare = spares->files[--spares->count];
    spares->octets -= spare->octets;
    return true;
}

bool spare_files_take(struct spare_files *spares, struct spare_file *spare)
{
    spares->asked++;
    return pop(spares, spare);
}

bool spare_file_wipe(const struct spare_file *spare, int write_fd)
{
    static const uint8_t zeros[WIPE_OCTETS];
    for (uint64_t at = 0; at < spare->octets; at += sizeof(zeros)) {
        uint64_t left = spare->octets - at;
        size_t octets = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
        if (!fd_pwrite_all(write_fd, slice_of(zeros, octets), at, NULL))
            return false;
    }
    return true;
}

void spare_files_tick(struct spare_files *spares)
{
    spares->asked_before = spares->asked;
    spares->asked = 0;
}

bool spare_files_drop(struct spare_files *spares, bool scarce, uint64_t *id)
{
    struct spare_file spare;
    if (spares->count <= (scarce ? 0 : room(spares)) || !pop(spares, &spare))
        return false;
    *id = spare.id;
    return true;
}
