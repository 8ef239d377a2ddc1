/* Listing, making, deleting and renaming folders; see folders.h. */
#include "storage/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "storage/directory.h"
#include "storage/folder_name.h"
#include "storage/maildir_scan.h"
#include "storage/tombstone.h"

#define DELETED_PREFIX "deleted."

enum { PATH_SIZE = 512, FIRST_CAPACITY = 16 };

/* ---- listing ---- */

void folder_list_init(struct folder_list *list)
{
    *list = (struct folder_list){.entries = NULL};
    arena_init(&list->memory, FOLDERS_MEMORY);
}

void folder_list_clear(struct folder_list *list)
{
    free(list->entries);
    arena_clear(&list->memory);
    folder_list_init(list);
}

/* A directory with cur/ in it is a folder: another program's ".git" is not, nor is one whose
 * creation was cut short (cur/ is made last). */
bool folders_exists(int account_fd, const char *directory)
{
    char path[PATH_SIZE];
    struct stat status;
    int length = snprintf(path, sizeof(path), "%s/cur", directory);
    return length > 0 && (size_t)length < sizeof(path)
           && fstatat(account_fd, directory, &status, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISDIR(status.st_mode)
           && fstatat(account_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISDIR(status.st_mode);
}

static bool grow(struct folder_list *list)
{
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity ? list->capacity : FIRST_CAPACITY / 2;
    size_t octets;
    if (!size_mul(capacity, 2, &capacity) || !size_mul(capacity, sizeof(*list->entries), &octets))
        return false;
    struct folder_entry *grown = realloc(list->entries, octets);
    if (!grown)
        return false;
    list->entries = grown;
    list->capacity = capacity;
    return true;
}

bool folder_list_add(struct folder_list *list, const char *directory, struct slice name,
                     struct error *error)
{
    struct folder_entry entry = {.directory =
                                     arena_copy_string(&list->memory, slice_of_string(directory)),
                                 .name = name.ptr ? arena_copy_string(&list->memory, name) : NULL};
    if (!entry.directory || (name.ptr && !entry.name) || !grow(list))
        return error_memory(error);
    list->entries[list->count++] = entry;
    return true;
}

static bool add_folder(struct folder_list *list, const char *directory, struct error *error)
{
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILDIR_NAME_SIZE);
    bool speakable = folder_name_from_directory(directory, &name);
    bool added = name.failed
                     ? error_memory(error)
                     : folder_list_add(list, directory,
                                       speakable ? buffer_slice(&name) : slice_of(NULL, 0), error);
    buffer_clear(&name);
    return added;
}

struct listing {
    int account_fd;
    struct folder_list *list;
};

static bool on_directory(void *owner, const char *name, unsigned char type, struct error *error)
{
    const struct listing *listing = owner;
    if (name[0] != '.' || (type != DT_DIR && type != DT_UNKNOWN)
        || !folders_exists(listing->account_fd, name))
        return true;
    return add_folder(listing->list, name, error);
}

static int compare_folders(const void *left, const void *right)
{
    const struct folder_entry *a = left, *b = right;
    return strcmp(a->directory, b->directory); /* "." is the beginning of all others */
}

bool folders_list(int account_fd, struct folder_list *list, struct error *error)
{
    struct listing listing = {account_fd, list};
    folder_list_clear(list);
    if (!add_folder(list, MAILDIR_INBOX, error)
        || !directory_read(account_fd, on_directory, &listing, error))
        return error_prefix(error, "list folders");
    qsort(list->entries, list->count, sizeof(*list->entries), compare_folders);
    return true;
}

/* ---- creating ---- */

static bool is_inbox(const char *directory)
{
    return strcmp(directory, MAILDIR_INBOX) == 0;
}

static bool make_directory(int fd, const char *name, struct error *error)
{
    return mkdirat(fd, name, 0700) == 0 || errno == EEXIST
           || error_errno(error, "create %.100s", name);
}

/* An empty file by which Courier and maildrop(1) tell a folder from an account. */
static bool make_marker(int folder_fd, struct error *error)
{
    int fd = openat(folder_fd, "maildirfolder", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "create maildirfolder");
    fd_discard(&fd);
    return true;
}

static bool fill_folder(int folder_fd, struct error *error)
{
    if (!make_marker(folder_fd, error) || !make_directory(folder_fd, "tmp", error)
        || !make_directory(folder_fd, "new", error))
        return false;
    if (mkdirat(folder_fd, "cur", 0700) != 0)
        return errno == EEXIST ? error_set(error, ERROR_EXISTS, "exists")
                               : error_errno(error, "create cur");
    return fsync(folder_fd) == 0 || error_errno(error, "flush");
}

bool folders_create(int account_fd, const char *directory, struct error *error)
{
    if (is_inbox(directory))
        return error_set(error, ERROR_EXISTS, "INBOX exists");
    if (!make_directory(account_fd, directory, error))
        return false;
    int fd = openat(account_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "open folder %.100s", directory);
    bool made = fill_folder(fd, error);
    fd_discard(&fd);
    if (!made)
        return error_prefix(error, "folder %.100s", directory);
    return fsync(account_fd) == 0 || error_errno(error, "flush directory of folders");
}

/* ---- deleting ---- */

bool folders_is_deleted_name(const char *name)
{
    return slice_starts_with(slice_of_string(name), SLICE(DELETED_PREFIX));
}

bool folders_bury_young(const struct maildir *inbox, const struct maildir *box, int64_t now,
                        struct error *error)
{
    struct maildir_list list;
    struct tombstone_batch batch = {.begun = 0};
    maildir_list_init(&list);
    bool buried = maildir_scan(box, &list, error);
    for (size_t i = 0; buried && i < list.count; i++)
        buried = tombstone_make_if_young(inbox, box, list.entries[i].place, list.entries[i].name,
                                         now, &batch, error);
    maildir_list_clear(&list);
    return buried;
}

static bool rename_away(const struct maildir *inbox, const char *directory, char *name, size_t size,
                        struct error *error)
{
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return error_errno(error, "get random octets");
    snprintf(name, size, DELETED_PREFIX "%016llx", (unsigned long long)random);
    if (renameat(inbox->fd, directory, inbox->tmp_fd, name) != 0)
        return error_errno(error, "remove folder %.100s", directory);
    return fsync(inbox->fd) == 0 || error_errno(error, "flush directory of folders");
}

bool folders_delete(const struct maildir *inbox, const char *directory, int64_t now,
                    struct error *error)
{
    if (is_inbox(directory))
        return error_set(error, ERROR_PERMANENT, "INBOX cannot be deleted");
    if (!folders_exists(inbox->fd, directory))
        return error_set(error, ERROR_NOT_FOUND, "there is no such folder");
    struct maildir box;
    char name[sizeof(DELETED_PREFIX) + 16];
    if (!maildir_open(inbox->fd, directory, &box, error))
        return false;
    /* Twice: before, so that a crash finds none unburied; after, for what was delivered between. */
    bool deleted = folders_bury_young(inbox, &box, now, error)
                   && rename_away(inbox, directory, name, sizeof(name), error)
                   && folders_bury_young(inbox, &box, now, error);
    maildir_close(&box);
    if (deleted)
        maildir_remove_tree(inbox->tmp_fd, name, FOLDERS_DELETED_DEPTH, NULL);
    return deleted;
}

/* ---- renaming ---- */

/* Whether `directory` is `from` or below it; its new name, if so. */
static bool new_name(const char *directory, const char *from, const char *to, char *name,
                     size_t size, bool *fits)
{
    size_t length = strlen(from);
    if (strncmp(directory, from, length) != 0
        || (directory[length] != '\0' && directory[length] != '.'))
        return false;
    int written = snprintf(name, size, "%s%s", to, directory + length);
    *fits = written > 0 && (size_t)written < size;
    return true;
}

/* All new names are free and short enough, and there is at least one to rename. */
static bool check_rename(int account_fd, const struct folder_list *list, const char *from,
                         const char *to, struct error *error)
{
    size_t found = 0;
    for (size_t i = 0; i < list->count; i++) {
        char name[MAILDIR_NAME_SIZE];
        struct stat status;
        bool fits;
        if (!new_name(list->entries[i].directory, from, to, name, sizeof(name), &fits))
            continue;
        if (!fits)
            return error_set(error, ERROR_PERMANENT, "the new name is too long");
        if (fstatat(account_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            return error_set(error, ERROR_EXISTS, "folder %.100s exists", name);
        found++;
    }
    return found > 0 || error_set(error, ERROR_NOT_FOUND, "there is no such folder");
}

/* *tried: so many entries of the list were gone through, all but the one that failed, if any. */
static bool rename_entries(int account_fd, const struct folder_list *list, const char *from,
                           const char *to, size_t *tried, struct error *error)
{
    for (*tried = 0; *tried < list->count; ++*tried) {
        const char *directory = list->entries[*tried].directory;
        char name[MAILDIR_NAME_SIZE];
        bool fits;
        if (new_name(directory, from, to, name, sizeof(name), &fits)
            && renameat(account_fd, directory, account_fd, name) != 0)
            return error_errno(error, "rename folder %.80s to %.80s", directory, name);
    }
    return true;
}

/* Those that were renamed get their old names again, as far as that goes: half a tree under each
 * name helps nobody. Not whatever is called `to` now: a folder below it may have been there before.
 */
static void rename_back(int account_fd, const struct folder_list *list, const char *from,
                        const char *to, size_t tried)
{
    for (size_t i = 0; i < tried; i++) {
        const char *directory = list->entries[i].directory;
        char name[MAILDIR_NAME_SIZE];
        bool fits;
        if (new_name(directory, from, to, name, sizeof(name), &fits))
            renameat(account_fd, name, account_fd, directory);
    }
}

bool folders_rename_listed(int account_fd, const struct folder_list *list, const char *from,
                           const char *to, struct error *error)
{
    size_t tried;
    if (!check_rename(account_fd, list, from, to, error))
        return false;
    if (!rename_entries(account_fd, list, from, to, &tried, error)) {
        rename_back(account_fd, list, from, to, tried);
        return false;
    }
    return fsync(account_fd) == 0 || error_errno(error, "flush directory of folders");
}

bool folders_rename(int account_fd, const char *from, const char *to, struct error *error)
{
    char ignored[MAILDIR_NAME_SIZE];
    struct folder_list list;
    bool fits;
    if (is_inbox(from) || is_inbox(to) || new_name(to, from, to, ignored, sizeof(ignored), &fits))
        return error_set(error, ERROR_PERMANENT, "a folder cannot be renamed to that name");
    folder_list_init(&list);
    bool done = folders_list(account_fd, &list, error)
                && folders_rename_listed(account_fd, &list, from, to, error);
    folder_list_clear(&list);
    return done;
}
