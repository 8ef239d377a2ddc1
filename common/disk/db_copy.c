/* Copies files of an environment in use; see db_copy.h. */
#include "common/disk/db_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/disk/fd.h"

enum {
    BLOCK_OCTETS = 64 << 10, /* a multiple of every page's size */
    NAMES_MAX = 64 << 10,
};

bool db_copy_begin(struct db_copy *copy, const char *directory, int target_fd, struct error *error)
{
    *copy = (struct db_copy)DB_COPY_NONE;
    buffer_init(&copy->names, NAMES_MAX);
    copy->from_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    copy->to_fd = fcntl(target_fd, F_DUPFD_CLOEXEC, 0);
    if (copy->from_fd >= 0 && copy->to_fd >= 0)
        return true;
    error_errno(error, "copy of the database in %s", directory);
    db_copy_end(copy);
    return false;
}

void db_copy_end(struct db_copy *copy)
{
    fd_discard(&copy->from_fd);
    fd_discard(&copy->to_fd);
    fd_discard(&copy->in_fd);
    fd_discard(&copy->out_fd);
    buffer_clear(&copy->names);
}

/* ---- which files ---- */

static bool is_tree(struct slice name)
{
    return slice_ends_with(name, SLICE(".db")) && !slice_starts_with(name, SLICE("__db."));
}

/* "log.0000000017" */
static bool is_log(struct slice name, uint64_t *number)
{
    return slice_starts_with(name, SLICE("log."))
           && slice_parse_number(slice_from(name, 4), number);
}

static void put_name(struct db_copy *copy, struct slice file)
{
    buffer_append(&copy->names, file);
    buffer_append_octet(&copy->names, 0);
}

/* The numbers of the logs that are not copied yet. */
struct logs {
    uint64_t oldest, newest;
};

/* Chooses the oldest of these: a newer one may appear while it is copied. */
static void choose(struct db_copy *copy, const char *name, struct logs *logs)
{
    struct slice file = slice_of_string(name);
    uint64_t number;
    if (!copy->is_at_logs && is_tree(file))
        put_name(copy, file);
    if (!copy->is_at_logs || !is_log(file, &number) || number <= copy->last_log)
        return;
    logs->newest = number > logs->newest ? number : logs->newest;
    if (number >= logs->oldest)
        return;
    logs->oldest = number;
    buffer_reset(&copy->names);
    put_name(copy, file);
}

static bool list_files(struct db_copy *copy, struct error *error)
{
    struct logs logs = {.oldest = UINT64_MAX};
    int scan_fd = openat(copy->from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *scan = scan_fd < 0 ? NULL : fdopendir(scan_fd);
    if (!scan) {
        error_errno(error, "open the database's directory");
        fd_discard(&scan_fd);
        return false;
    }
    struct dirent *entry;
    while ((errno = 0, entry = readdir(scan)))
        choose(copy, entry->d_name, &logs);
    bool read = errno == 0 || error_errno(error, "read the database's directory");
    closedir(scan);
    if (read && copy->names.failed)
        read = error_memory(error);
    if (logs.newest > 0)
        copy->last_log = logs.oldest;
    copy->is_newest = logs.newest > 0 && logs.newest == logs.oldest;
    return read;
}

/* ---- one after the other ---- */

static bool next_file(struct db_copy *copy, struct error *error)
{
    if (copy->names.len == 0 && !list_files(copy, error))
        return false;
    if (copy->names.len == 0)
        return error_set(error, ERROR_PERMANENT, "there is no database");
    const char *name = (const char *)copy->names.ptr;
    copy->in_fd = openat(copy->from_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (copy->in_fd < 0)
        return error_errno(error, "open %s", name);
    copy->out_fd = openat(copy->to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (copy->out_fd < 0)
        return error_errno(error, "create a copy of %s", name);
    buffer_consume(&copy->names, strlen(name) + 1);
    return true;
}

static bool copy_block(struct db_copy *copy, size_t *got, struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    return fd_read_full(copy->in_fd, block, sizeof(block), got, error)
           && fd_write_all(copy->out_fd, slice_of(block, *got), error);
}

static bool end_file(struct db_copy *copy, struct error *error)
{
    fd_discard(&copy->in_fd);
    if (!fd_close(&copy->out_fd, error))
        return false;
    if (copy->names.len == 0)
        copy->is_at_logs = true; /* all trees are copied */
    return true;
}

/* The newest log has its full size from the beginning and may change anywhere: it is copied in one
 * step, whatever its size. Older ones no longer change. */
bool db_copy_step(struct db_copy *copy, size_t octets, bool *done, struct error *error)
{
    *done = false;
    for (size_t copied = 0; !*done && (copied < octets || copy->is_newest);) {
        size_t got = 0;
        if (copy->in_fd < 0 && !next_file(copy, error))
            return false;
        if (!copy_block(copy, &got, error))
            return false;
        copied += got;
        if (got > 0)
            continue;
        if (!end_file(copy, error))
            return false;
        *done = copy->is_newest;
    }
    return true;
}
