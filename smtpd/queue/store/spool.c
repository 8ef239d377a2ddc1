/*
 * Files of long bodies; see spool.h.
 *
 * Why a lease: a session that wrote the body might keep a descriptor or a mapping and change what
 * was accepted. F_SETLEASE with F_RDLCK is refused while any process has the file open for writing.
 * Once granted it is given back at once: the file is the queue's and only the queue's directory
 * leads to it, so no new writer can come.
 *
 * Why /proc/self/fd and not AT_EMPTY_PATH: that wants CAP_DAC_READ_SEARCH before Linux 6.10.
 */
#include "smtpd/queue/store/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/store/spare_files.h"

static const char directory_name[] = "spool";
static const char unfinished[] = "new-"; /* followed by a number: a named file without a record */

enum {
    FILE_MODE = 0600,
    IDS_MAX = 64 << 20, /* octets of ids */
};

/* ---- the directory ---- */

void spool_prepare(struct spool *spool)
{
    *spool = (struct spool){.directory_fd = -1};
    buffer_init(&spool->kept, IDS_MAX);
    buffer_init(&spool->doomed, IDS_MAX);
    spool->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* The kernel sends a signal when another process opens a file we have leased; by default that
     * would end this process. A program that copies the state waits at most until we close the
     * file. */
    signal(SIGIO, SIG_IGN);
    flush_batch_open(&spool->flushes);
}

static bool open_directory(struct spool *spool, struct error *error)
{
    if (mkdir(directory_name, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "create directory %s", directory_name);
    spool->directory_fd = open(directory_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (spool->directory_fd < 0)
        return error_errno(error, "open directory %s", directory_name);
    return true;
}

static const char *fd_name(int fd, char text[16])
{
    snprintf(text, 16, "%d", fd);
    return text;
}

static bool take_lease(int fd)
{
    return fcntl(fd, F_SETLEASE, F_RDLCK) == 0 && fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
}

/* Without a working spool there is no queue. Missing features are emulated, see spool_create. */
static bool probe(struct spool *spool, struct error *error)
{
    int fd = openat(spool->directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, FILE_MODE);
    if (fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return error_errno(error, "create file in %s", directory_name);
    spool->unnamed = fd >= 0 && spool->proc_fd >= 0;
    fd_discard(&fd);
    spool->leases = true;
    struct spool_file file;
    int write_fd;
    if (!spool_create(spool, &file, &write_fd, error))
        return false;
    fd_discard(&write_fd);
    spool->leases = take_lease(file.read_fd);
    spool_discard(spool, &file);
    return true;
}

static bool remove_entry(const struct spool *spool, const char *name, struct error *error)
{
    if (unlinkat(spool->directory_fd, name, 0) != 0 && errno != ENOENT)
        return error_errno(error, "remove %s/%s", directory_name, name);
    return true;
}

/* Calls visit for each entry; it may remove that entry. */
static bool for_each_entry(struct spool *spool,
                           bool (*visit)(struct spool *spool, const char *name, void *context,
                                         struct error *error),
                           void *context, struct error *error)
{
    int scan_fd = openat(spool->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *scan = scan_fd < 0 ? NULL : fdopendir(scan_fd);
    if (!scan) {
        error_errno(error, "open directory %s", directory_name);
        fd_discard(&scan_fd);
        return false;
    }
    bool good = true;
    struct dirent *entry;
    while (good && (errno = 0, entry = readdir(scan)))
        good = visit(spool, entry->d_name, context, error);
    if (good && errno != 0)
        good = error_errno(error, "read directory %s", directory_name);
    closedir(scan);
    return good;
}

static bool remove_unfinished(struct spool *spool, const char *name, void *context,
                              struct error *error)
{
    (void)context;
    if (!slice_starts_with(slice_of_string(name), slice_of_string(unfinished)))
        return true;
    return remove_entry(spool, name, error);
}

bool spool_open(struct spool *spool, struct error *error)
{
    if (open_directory(spool, error) && for_each_entry(spool, remove_unfinished, NULL, error)
        && probe(spool, error))
        return true;
    spool_close(spool);
    return false;
}

void spool_close(struct spool *spool)
{
    fd_discard(&spool->directory_fd);
    fd_discard(&spool->proc_fd);
    flush_batch_close(&spool->flushes);
    buffer_clear(&spool->kept);
    buffer_clear(&spool->doomed);
}

bool spool_set_aside(const char *target, struct error *error)
{
    char path[256];
    if (snprintf(path, sizeof(path), "%s/%s", target, directory_name) >= (int)sizeof(path))
        return error_set(error, ERROR_PERMANENT, "name %s is too long", target);
    if (rename(directory_name, path) != 0 && errno != ENOENT)
        return error_errno(error, "set %s aside as %s", directory_name, path);
    return true;
}

/* ---- a body on its way in ---- */

static bool create_unnamed(struct spool *spool, struct spool_file *file, int *write_fd,
                           struct error *error)
{
    char name[16];
    *write_fd = openat(spool->directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, FILE_MODE);
    if (*write_fd < 0)
        return error_errno(error, "create file in %s", directory_name);
    file->read_fd = openat(spool->proc_fd, fd_name(*write_fd, name), O_RDONLY | O_CLOEXEC);
    if (file->read_fd >= 0)
        return true;
    error_errno(error, "open new file in %s", directory_name);
    fd_discard(write_fd);
    return false;
}

static bool create_named(struct spool *spool, struct spool_file *file, int *write_fd,
                         struct error *error)
{
    snprintf(file->name, sizeof(file->name), "%s%llu", unfinished,
             (unsigned long long)spool->created++);
    *write_fd = openat(spool->directory_fd, file->name,
                       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (*write_fd < 0) {
        file->name[0] = '\0';
        return error_errno(error, "create file in %s", directory_name);
    }
    file->read_fd = openat(spool->directory_fd, file->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file->read_fd >= 0)
        return true;
    error_errno(error, "open %s/%s", directory_name, file->name);
    fd_discard(write_fd);
    spool_discard(spool, file);
    return false;
}

/* Reuses a file; to readers it is as empty as a new one. */
static bool create_from_spare(struct spool *spool, struct spool_file *file, int *write_fd)
{
    struct spare_file spare;
    if (!spare_files_take(&spool->spares, &spare))
        return false;
    queue_id_format(spare.id, file->name);
    file->lent_octets = spare.octets;
    file->read_fd = openat(spool->directory_fd, file->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *write_fd = openat(spool->directory_fd, file->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (file->read_fd >= 0 && *write_fd >= 0 && spare_file_wipe(&spare, *write_fd))
        return true;
    fd_discard(write_fd);
    spool_discard(spool, file);
    return false;
}

bool spool_create(struct spool *spool, struct spool_file *file, int *write_fd, struct error *error)
{
    *file = (struct spool_file)SPOOL_FILE_NONE;
    if (create_from_spare(spool, file, write_fd))
        return true;
    *file = (struct spool_file)SPOOL_FILE_NONE;
    return spool->unnamed ? create_unnamed(spool, file, write_fd, error)
                          : create_named(spool, file, write_fd, error);
}

/* -1: not a regular file. */
static int64_t size_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? (int64_t)status.st_size : -1;
}

static bool copy_octets(int from_fd, int to_fd, uint64_t octets, struct error *error)
{
    off_t offset = 0;
    while ((uint64_t)offset < octets) {
        uint64_t left = octets - (uint64_t)offset;
        ssize_t copied =
            sendfile(to_fd, from_fd, &offset, left < (1 << 20) ? (size_t)left : 1 << 20);
        if (copied < 0 && errno != EINTR)
            return error_errno(error, "copy body");
        if (copied == 0)
            return error_set(error, ERROR_PEER, "body got shorter while it was copied");
    }
    return true;
}

/* For file systems without leases: replaces the file by a copy that only we have ever opened. */
static bool replace_by_copy(struct spool *spool, struct spool_file *file, uint64_t octets,
                            struct error *error)
{
    struct spool_file copy;
    int write_fd;
    if (!spool_create(spool, &copy, &write_fd, error))
        return false;
    bool copied = copy_octets(file->read_fd, write_fd, octets, error);
    fd_discard(&write_fd);
    spool_discard(spool, copied ? file : &copy);
    if (copied)
        *file = copy;
    return copied;
}

bool spool_seal(struct spool *spool, struct spool_file *file, uint64_t octets, struct error *error)
{
    if (!spool->leases && !replace_by_copy(spool, file, octets, error))
        return false;
    if (spool->leases && !take_lease(file->read_fd)) {
        if (errno != EAGAIN)
            return error_errno(error, "lease on body");
        return error_set(error, ERROR_PEER, "body is still open for writing");
    }
    /* A reused file that was longer has zeros after the body. */
    uint64_t expected = octets > file->lent_octets ? octets : file->lent_octets;
    if (size_of(file->read_fd) != (int64_t)expected)
        return error_set(error, ERROR_PEER, "body has not the length that was announced");
    return true;
}

bool spool_link(struct spool *spool, struct spool_file *file, uint64_t id, struct error *error)
{
    char name[QUEUE_ID_SIZE], number[16];
    queue_id_format(id, name);
    /* Only for speed: fsync reports the same errors. */
    sync_file_range(file->read_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    int failed = file->name[0] == '\0'
                     ? linkat(spool->proc_fd, fd_name(file->read_fd, number), spool->directory_fd,
                              name, AT_SYMLINK_FOLLOW)
                     : renameat(spool->directory_fd, file->name, spool->directory_fd, name);
    if (failed)
        return error_errno(error, "link body %s", name);
    memcpy(file->name, name, sizeof(name));
    return true;
}

void spool_flush_file(struct spool *spool, struct spool_file *file)
{
    flush_batch_add(&spool->flushes, file->read_fd, &file->flush_code);
}

bool spool_flush(struct spool *spool, struct error *error)
{
    int code;
    flush_batch_add(&spool->flushes, spool->directory_fd, &code);
    flush_batch_run(&spool->flushes);
    errno = code;
    return code == 0 || error_errno(error, "flush directory %s", directory_name);
}

bool spool_flushed(const struct spool_file *file, struct error *error)
{
    errno = file->flush_code;
    return file->flush_code == 0 || error_errno(error, "flush body %s", file->name);
}

/* On failure the sweep of the next start removes the file. */
static void remove_later(struct spool *spool, uint64_t id)
{
    buffer_append(&spool->doomed, slice_of(&id, sizeof(id)));
    if (spool->doomed.failed)
        spool_unlink(spool, id, NULL);
}

void spool_discard(struct spool *spool, struct spool_file *file)
{
    uint64_t id;
    if (queue_id_parse(slice_of_string(file->name), &id))
        remove_later(spool, id);
    else if (file->name[0] != '\0')
        remove_entry(spool, file->name, NULL);
    file->name[0] = '\0';
    fd_discard(&file->read_fd);
}

void spool_release(struct spool_file *file)
{
    file->name[0] = '\0';
    fd_discard(&file->read_fd);
}

/* ---- bodies that have a record ---- */

int spool_open_body(const struct spool *spool, uint64_t id, uint64_t octets, struct error *error)
{
    char name[QUEUE_ID_SIZE];
    int fd =
        openat(spool->directory_fd, queue_id_format(id, name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) {
        error_errno(error, "open body %s", name);
        return -1;
    }
    if (fd >= 0 && size_of(fd) >= (int64_t)octets)
        return fd;
    error_set(error, ERROR_PERMANENT, "body %s is %s", name,
              fd < 0 ? "missing" : "shorter than recorded");
    fd_discard(&fd);
    return -1;
}

/* True if the file was kept for reuse. */
static bool spare(struct spool *spool, uint64_t id)
{
    char name[QUEUE_ID_SIZE];
    if (!spool->leases || !spare_files_wanted(&spool->spares))
        return false;
    int fd =
        openat(spool->directory_fd, queue_id_format(id, name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool kept = fd >= 0 && spare_files_keep(&spool->spares, id, fd);
    fd_discard(&fd);
    return kept;
}

void spool_remove(struct spool *spool, uint64_t id)
{
    if (spool->keeps)
        buffer_append(&spool->kept, slice_of(&id, sizeof(id)));
    else if (!spare(spool, id))
        remove_later(spool, id);
}

size_t spool_take_doomed(struct spool *spool, uint64_t *ids, size_t most)
{
    size_t count = spool->doomed.len / sizeof(ids[0]);
    if (count > most)
        count = most;
    if (count > 0)
        memcpy(ids, spool->doomed.ptr, count * sizeof(ids[0]));
    buffer_consume(&spool->doomed, count * sizeof(ids[0]));
    if (spool->doomed.len == 0)
        buffer_clear(&spool->doomed);
    return count;
}

bool spool_unlink(const struct spool *spool, uint64_t id, struct error *error)
{
    char name[QUEUE_ID_SIZE];
    return remove_entry(spool, queue_id_format(id, name), error);
}

void spool_tick(struct spool *spool, bool scarce)
{
    uint64_t id;
    spare_files_tick(&spool->spares);
    while (spare_files_drop(&spool->spares, scarce, &id))
        remove_later(spool, id);
}

/* ---- copies ---- */

void spool_keep(struct spool *spool)
{
    spool->keeps = true;
}

void spool_let_go(struct spool *spool)
{
    uint64_t id;
    spool->keeps = false;
    for (size_t at = 0; at + sizeof(id) <= spool->kept.len; at += sizeof(id)) {
        memcpy(&id, spool->kept.ptr + at, sizeof(id));
        spool_remove(spool, id);
    }
    buffer_clear(&spool->kept);
}

static bool link_entry(struct spool *spool, const char *name, void *context, struct error *error)
{
    const int *target_fd = context;
    uint64_t id;
    if (!queue_id_parse(slice_of_string(name), &id))
        return true;
    return linkat(spool->directory_fd, name, *target_fd, name, 0) == 0 || errno == ENOENT
           || error_errno(error, "link %s/%s", directory_name, name);
}

bool spool_link_all(struct spool *spool, int target_fd, struct error *error)
{
    return for_each_entry(spool, link_entry, &target_fd, error);
}

struct sweep {
    spool_wanted *wanted;
    void *context;
};

static bool sweep_entry(struct spool *spool, const char *name, void *context, struct error *error)
{
    const struct sweep *sweep = context;
    uint64_t id;
    bool wanted;
    if (!queue_id_parse(slice_of_string(name), &id))
        return true; /* not ours */
    if (!sweep->wanted(sweep->context, id, &wanted, error))
        return false;
    return wanted || remove_entry(spool, name, error);
}

bool spool_sweep(struct spool *spool, spool_wanted *wanted, void *context, struct error *error)
{
    struct sweep sweep = {.wanted = wanted, .context = context};
    return for_each_entry(spool, sweep_entry, &sweep, error);
}
