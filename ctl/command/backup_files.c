/* Files of the configuration in a backup; see backup_files.h. */
#include "ctl/command/backup_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/disk/tree.h"

enum { FILE_OCTETS_MAX = 256 << 20 };

static const struct tree_owner as_before = {.as_before = true};

/* ---- save ---- */

/* The next component of a path; the path goes on after it. */
static bool next_component(struct slice *path, char name[NAME_MAX + 1])
{
    while (slice_starts_with(*path, SLICE("/")))
        *path = slice_from(*path, 1);
    struct slice component = slice_range(*path, 0, slice_find_octet(*path, '/'));
    if (component.len == 0 || component.len > NAME_MAX)
        return false;
    memcpy(name, component.ptr, component.len);
    name[component.len] = '\0';
    *path = slice_from(*path, component.len);
    return true;
}

static bool save_into(int directory_fd, const char *path, const char *name, struct error *error)
{
    char whole[PATH_MAX];
    /* A configuration may name a link: what it leads to is saved under the name. */
    if (!realpath(path, whole))
        return errno == ENOENT || error_errno(error, "%s", path);
    return tree_copy_file(AT_FDCWD, whole, directory_fd, name, &as_before, error)
           || (error && error->kind == ERROR_EXISTS); /* two domains may share a file */
}

static bool save_file(int files_fd, const char *path, struct error *error)
{
    char name[NAME_MAX + 1];
    struct slice rest = slice_of_string(path);
    int directory_fd = fcntl(files_fd, F_DUPFD_CLOEXEC, 0);
    bool saved = false;
    if (directory_fd < 0)
        return error_errno(error, "backup of %s", path);
    while (next_component(&rest, name)) {
        if (rest.len == 0) {
            saved = save_into(directory_fd, path, name, error);
            break;
        }
        int inner_fd = tree_make(directory_fd, name, error);
        fd_discard(&directory_fd);
        directory_fd = inner_fd;
        if (inner_fd < 0)
            break;
    }
    fd_discard(&directory_fd);
    return saved;
}

static bool save_text(int files_fd, const struct config_text *path, struct error *error)
{
    return !path->text || path->text[0] != '/' || save_file(files_fd, path->text, error);
}

/* Without it bounces to senders that were rewritten before find nobody (common/auth/srs.h). */
static bool save_srs_key(const struct config *config, int files_fd, struct error *error)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/srs-key", config->state.text);
    if (length < 0 || (size_t)length >= sizeof(path))
        return error_set(error, ERROR_PERMANENT, "%s is too long", config->state.text);
    return save_file(files_fd, path, error);
}

bool backup_files_save(const struct config *config, const char *config_path, int files_fd,
                       struct error *error)
{
    bool saved = save_file(files_fd, config_path, error)
                 && save_text(files_fd, &config->submission.sender_map, error)
                 && save_srs_key(config, files_fd, error);
    for (size_t i = 0; saved && i < config->domain_count; i++)
        saved = save_text(files_fd, &config->domains[i].aliases, error);
    for (size_t i = 0; saved && i < config->accounts_count; i++)
        saved = save_text(files_fd, &config->accounts[i].file, error);
    for (size_t i = 0; saved && i < config->route_count; i++)
        saved = save_text(files_fd, &config->routes[i].password_file, error);
    return saved;
}

/* ---- restore ---- */

/* What is done with each file: in the directory `from_fd`, `name`; `path` is its place. */
typedef bool file_visit(int from_fd, const char *name, const char *path, struct error *error);

struct walk {
    file_visit *visit;
    mode_t make_mode; /* of missing directories; 0: they stay missing */
    char path[PATH_MAX];
};

static bool walk_directory(int directory_fd, struct walk *walk, struct error *error);

static bool walk_inner(int directory_fd, const char *name, struct walk *walk, struct error *error)
{
    int inner_fd = tree_open(directory_fd, name, error);
    if (inner_fd < 0)
        return false;
    bool good = true;
    if (walk->make_mode && mkdir(walk->path, walk->make_mode) != 0 && errno != EEXIST)
        good = error_errno(error, "make directory %s", walk->path);
    good = good && walk_directory(inner_fd, walk, error);
    fd_discard(&inner_fd);
    return good;
}

static bool walk_entry(int directory_fd, const char *name, struct walk *walk, struct error *error)
{
    struct stat facts;
    size_t before = strlen(walk->path);
    int added = snprintf(walk->path + before, sizeof(walk->path) - before, "/%s", name);
    if (added < 0 || (size_t)added >= sizeof(walk->path) - before)
        return error_set(error, ERROR_PERMANENT, "%s lies too deep", name);
    bool good = fstatat(directory_fd, name, &facts, AT_SYMLINK_NOFOLLOW) == 0
                || error_errno(error, "look at %s", walk->path);
    if (good)
        good = S_ISDIR(facts.st_mode) ? walk_inner(directory_fd, name, walk, error)
                                      : walk->visit(directory_fd, name, walk->path, error);
    walk->path[before] = '\0';
    return good;
}

static bool walk_directory(int directory_fd, struct walk *walk, struct error *error)
{
    int scan_fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *scan = scan_fd < 0 ? NULL : fdopendir(scan_fd);
    if (!scan) {
        error_errno(error, "open the files of the backup");
        fd_discard(&scan_fd);
        return false;
    }
    bool good = true;
    struct dirent *entry;
    while (good && (errno = 0, entry = readdir(scan)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            good = walk_entry(directory_fd, entry->d_name, walk, error);
    if (good && errno != 0)
        good = error_errno(error, "read the files of the backup");
    closedir(scan);
    return good;
}

static bool read_file(int directory_fd, const char *name, struct buffer *octets,
                      struct error *error)
{
    int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "open %s", name);
    bool read = fd_read_all(fd, octets, error);
    fd_discard(&fd);
    return read;
}

static bool check_file(int from_fd, const char *name, const char *path, struct error *error)
{
    struct buffer saved = BUFFER_WITH_LIMIT(FILE_OCTETS_MAX);
    struct buffer present = BUFFER_WITH_LIMIT(FILE_OCTETS_MAX);
    bool good = access(path, F_OK) != 0 && errno == ENOENT;
    if (!good && read_file(from_fd, name, &saved, error)
        && read_file(AT_FDCWD, path, &present, error)) {
        good = slice_equal(buffer_slice(&saved), buffer_slice(&present));
        if (!good)
            error_set(error, ERROR_EXISTS, "%s is there, and not as in the backup: move it away",
                      path);
    }
    buffer_clear(&saved);
    buffer_clear(&present);
    return good;
}

/* Whole or not at all: under another name first. */
static bool restore_file(int from_fd, const char *name, const char *path, struct error *error)
{
    char unfinished[PATH_MAX];
    if (access(path, F_OK) == 0)
        return true; /* the same */
    int length = snprintf(unfinished, sizeof(unfinished), "%s.restoring", path);
    if (length < 0 || (size_t)length >= sizeof(unfinished))
        return error_set(error, ERROR_PERMANENT, "%s is too long", path);
    if (unlink(unfinished) != 0 && errno != ENOENT)
        return error_errno(error, "remove %s", unfinished);
    if (!tree_copy_file(from_fd, name, AT_FDCWD, unfinished, &as_before, error))
        return false;
    return rename(unfinished, path) == 0 || error_errno(error, "put %s in place", path);
}

bool backup_files_check(int files_fd, struct error *error)
{
    struct walk walk = {.visit = check_file};
    return walk_directory(files_fd, &walk, error);
}

bool backup_files_restore(int files_fd, struct error *error)
{
    struct walk walk = {.visit = restore_file, .make_mode = 0755};
    return walk_directory(files_fd, &walk, error);
}
