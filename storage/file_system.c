/* The table of file systems; see file_system.h. */
#include "storage/file_system.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "common/disk/fd.h"
#include "common/size.h"

static const struct {
    unsigned long type;
    const char *name;
    bool syncfs;
    bool inotify;
} table[] = {
    {EXT4_SUPER_MAGIC, "ext4", true, true},
    {XFS_SUPER_MAGIC, "xfs", true, true},
    {BTRFS_SUPER_MAGIC, "btrfs", true, true},
    /* Nothing on it outlives the host, flushed or not: syncfs loses nothing more than fsync. */
    {TMPFS_MAGIC, "tmpfs", true, true},
};

static bool has_tmpfile(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    bool made = fd >= 0;
    fd_discard(&fd);
    return made;
}

bool file_system_probe(int dir_fd, struct file_system *fs, struct error *error)
{
    struct statfs status;
    if (fstatfs(dir_fd, &status) != 0)
        return error_errno(error, "look at the file system");
    *fs = (struct file_system){.name = "unknown"};
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++)
        if ((unsigned long)status.f_type == table[i].type)
            *fs = (struct file_system){table[i].name, table[i].syncfs, table[i].inotify, false};
    fs->tmpfile = has_tmpfile(dir_fd);
    return true;
}
