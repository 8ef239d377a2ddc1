/* Copying and removing trees; see tree.h. */
#include "common/disk/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"

enum { BLOCK_OCTETS = 64 << 10 };

int tree_open(int directory_fd, const char *name, struct error *error)
{
    int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        error_errno(error, "open directory %s", name);
    return fd;
}

int tree_make(int directory_fd, const char *name, struct error *error)
{
    if (mkdirat(directory_fd, name, 0700) != 0 && errno != EEXIST) {
        error_errno(error, "make directory %s", name);
        return -1;
    }
    return tree_open(directory_fd, name, error);
}

typedef bool entry_visit(int directory_fd, const char *name, void *context, struct error *error);

/* It may remove that entry. */
static bool for_each_entry(int directory_fd, entry_visit *visit, void *context, struct error *error)
{
    int scan_fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *scan = scan_fd < 0 ? NULL : fdopendir(scan_fd);
    if (!scan) {
        error_errno(error, "open directory");
        fd_discard(&scan_fd);
        return false;
    }
    bool good = true;
    struct dirent *entry;
    while (good && (errno = 0, entry = readdir(scan))) {
        struct slice name = slice_of_string(entry->d_name);
        if (!slice_equal(name, SLICE(".")) && !slice_equal(name, SLICE("..")))
            good = visit(directory_fd, entry->d_name, context, error);
    }
    if (good && errno != 0)
        good = error_errno(error, "read directory");
    closedir(scan);
    return good;
}

/* ---- copy ---- */

struct copying {
    int to_fd;
    const struct tree_owner *owner;
    unsigned depth;
};

static bool copy_octets(int from_fd, int to_fd, struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    size_t got;
    do {
        if (!fd_read_full(from_fd, block, sizeof(block), &got, error)
            || !fd_write_all(to_fd, slice_of(block, got), error))
            return false;
    } while (got > 0);
    return true;
}

static bool set_owner_and_mode(int fd, const struct stat *facts, const struct tree_owner *owner,
                               struct error *error)
{
    if (owner && owner->as_before && geteuid() == 0
        && fchown(fd, facts->st_uid, facts->st_gid) != 0)
        return error_errno(error, "set owner");
    if (owner && !owner->as_before && fchown(fd, owner->uid, owner->gid) != 0)
        return error_errno(error, "set owner");
    return fchmod(fd, facts->st_mode & 0777) == 0 || error_errno(error, "set mode");
}

bool tree_copy_file(int from_fd, const char *name, int to_fd, const char *new_name,
                    const struct tree_owner *owner, struct error *error)
{
    struct stat facts;
    bool copied = false;
    int out_fd = -1;
    /* A FIFO in its place must not make us wait. */
    int in_fd = openat(from_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (in_fd < 0 || fstat(in_fd, &facts) != 0) {
        error_errno(error, "open %s", name);
        goto done;
    }
    if (!S_ISREG(facts.st_mode)) {
        error_set(error, ERROR_PERMANENT, "%s is no regular file", name);
        goto done;
    }
    out_fd = openat(to_fd, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out_fd < 0) {
        error_errno(error, "create %s", new_name);
        goto done;
    }
    copied = copy_octets(in_fd, out_fd, error) && set_owner_and_mode(out_fd, &facts, owner, error)
             && fd_close(&out_fd, error);
    if (!copied)
        error_prefix(error, "copy %s", name);
done:
    fd_discard(&in_fd);
    fd_discard(&out_fd);
    return copied;
}

static bool copy_entry(int directory_fd, const char *name, void *context, struct error *error);

static bool copy_directory(int directory_fd, const char *name, const struct copying *copying,
                           struct error *error)
{
    struct stat facts;
    bool copied = false;
    struct copying inner = {-1, copying->owner, copying->depth + 1};
    int from_fd = tree_open(directory_fd, name, error);
    if (from_fd < 0)
        return false;
    inner.to_fd = tree_make(copying->to_fd, name, error);
    if (inner.to_fd < 0)
        goto done;
    if (inner.depth > TREE_DEPTH_MAX)
        error_set(error, ERROR_PERMANENT, "%s lies too deep", name);
    else if (fstat(from_fd, &facts) != 0)
        error_errno(error, "look at %s", name);
    else
        copied = set_owner_and_mode(inner.to_fd, &facts, copying->owner, error)
                 && for_each_entry(from_fd, copy_entry, &inner, error);
done:
    fd_discard(&from_fd);
    fd_discard(&inner.to_fd);
    return copied;
}

static bool copy_entry(int directory_fd, const char *name, void *context, struct error *error)
{
    const struct copying *copying = context;
    struct stat facts;
    if (fstatat(directory_fd, name, &facts, AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "look at %s", name);
    if (S_ISDIR(facts.st_mode))
        return copy_directory(directory_fd, name, copying, error);
    return tree_copy_file(directory_fd, name, copying->to_fd, name, copying->owner, error);
}

bool tree_copy(int from_fd, int to_fd, const struct tree_owner *owner, struct error *error)
{
    struct copying copying = {to_fd, owner, 0};
    return for_each_entry(from_fd, copy_entry, &copying, error);
}

/* ---- remove ---- */

static bool remove_entry(int directory_fd, const char *name, void *context, struct error *error)
{
    struct stat facts;
    const unsigned *depth = context;
    unsigned deeper = *depth + 1;
    if (fstatat(directory_fd, name, &facts, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || error_errno(error, "look at %s", name);
    if (S_ISDIR(facts.st_mode)) {
        if (deeper > TREE_DEPTH_MAX)
            return error_set(error, ERROR_PERMANENT, "%s lies too deep", name);
        int fd = tree_open(directory_fd, name, error);
        bool emptied = fd >= 0 && for_each_entry(fd, remove_entry, &deeper, error);
        fd_discard(&fd);
        if (!emptied)
            return false;
    }
    return unlinkat(directory_fd, name, S_ISDIR(facts.st_mode) ? AT_REMOVEDIR : 0) == 0
           || errno == ENOENT || error_errno(error, "remove %s", name);
}

bool tree_remove(int directory_fd, const char *name, struct error *error)
{
    unsigned depth = 0;
    return remove_entry(directory_fd, name, &depth, error);
}
