/* Keeps expunged messages, and removes them in time; see expunged.h. */
#include "storage/expunged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "storage/directory.h"
#include "storage/email_id.h"
#include "storage/folder_name.h"
#include "storage/maildir_scan.h"

/* In a deleted folder; its mtime says when that was. */
#define MARK "staffetta-deleted"

enum { PATH_SIZE = 2 * MAILDIR_NAME_SIZE, NUMBERED_MAX = 1000 };

struct expunged_limits expunged_limits_of(const struct config_undo *config)
{
    return (struct expunged_limits){(int64_t)(config->keep_ms + 999) / 1000, config->quota_octets};
}

/* ---- names ---- */

bool expunged_holds(const char *directory)
{
    size_t octets = sizeof(EXPUNGED_DIRECTORY) - 1;
    return strncmp(directory, EXPUNGED_DIRECTORY, octets) == 0
           && (directory[octets] == '\0' || directory[octets] == '/');
}

bool expunged_path(const char *directory, char path[MAILDIR_NAME_SIZE])
{
    int length = snprintf(path, MAILDIR_NAME_SIZE, EXPUNGED_DIRECTORY "/%s", directory);
    return length > 0 && length < MAILDIR_NAME_SIZE;
}

/* "Q4KQ2R1" of "1700000000.Q4KQ2R1.host" */
static struct slice middle_of(struct slice unique)
{
    struct slice rest = slice_from(unique, slice_find_octet(unique, '.') + 1);
    return slice_range(rest, 0, slice_find_octet(rest, '.'));
}

static bool make_unique(struct maildir_uniques *uniques, const struct maildir_name *name,
                        char unique[MAILDIR_UNIQUE_MAX + 1], struct error *error)
{
    struct slice middle = middle_of(name->unique);
    if (!delivered_unique_is_one(name) || middle.len + EMAIL_ID_SIZE - 1 > MAILDIR_UNIQUE_MAX) {
        if (!maildir_make_unique(uniques, 'C', unique, error))
            return false;
    } else {
        snprintf(unique, MAILDIR_UNIQUE_MAX + 1, "%.*s", SLICE_PRINTF(middle));
    }
    email_id_append(name, unique);
    return true;
}

/* Takes the sizes from the old name, if it has them. */
static bool format_kept(struct expunged *expunged, const struct expunged_message *message,
                        const struct maildir_name *name, char text[MAILDIR_NAME_SIZE],
                        struct error *error)
{
    char unique[MAILDIR_UNIQUE_MAX + 1], key[MAILDIR_NAME_SIZE];
    struct maildir_name kept = {.flags = name->flags & ~(uint32_t)MAILDIR_TRASHED,
                                .keywords = message->letters};
    if (!make_unique(&expunged->uniques, name, unique, error))
        return false;
    struct maildir_key parts = {(uint64_t)message->now, slice_of_string(unique), message->host,
                                name->octets, name->crlf_octets};
    if (name->octets > 0 && name->crlf_octets > 0)
        maildir_key_format(&parts, key);
    else
        maildir_key_format_unique(&parts, key);
    kept.key = slice_of_string(key);
    return maildir_name_format(&kept, text);
}

/* ---- keeping messages ---- */

bool expunged_open(struct expunged *expunged, const struct maildir *inbox, struct error *error)
{
    if (expunged->box.fd >= 0 || maildir_open(inbox->fd, EXPUNGED_DIRECTORY, &expunged->box, error))
        return true;
    if (error->kind != ERROR_NOT_FOUND)
        return false;
    if (mkdirat(inbox->fd, EXPUNGED_DIRECTORY, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "create " EXPUNGED_DIRECTORY);
    if (!maildir_open(inbox->fd, EXPUNGED_DIRECTORY, &expunged->box, error))
        return false;
    if (fsync(expunged->box.fd) == 0 && fsync(inbox->fd) == 0)
        return true;
    error_errno(error, "flush " EXPUNGED_DIRECTORY);
    expunged_close(expunged);
    return false;
}

void expunged_close(struct expunged *expunged)
{
    maildir_close(&expunged->box);
}

static bool is_there(const struct expunged_message *message)
{
    struct stat status;
    return fstatat(maildir_place_fd(message->box, message->place), message->name, &status,
                   AT_SYMLINK_NOFOLLOW)
           == 0;
}

/* Somebody may have removed the directory that is open. */
static bool rename_into(struct expunged *expunged, const struct maildir *inbox,
                        const struct expunged_message *message, const char *kept,
                        struct error *error)
{
    int from_fd = maildir_place_fd(message->box, message->place);
    if (!expunged_open(expunged, inbox, error))
        return false;
    if (renameat(from_fd, message->name, expunged->box.cur_fd, kept) == 0)
        return true;
    error_errno(error, "expunge message %.80s", message->name);
    if (error->kind != ERROR_NOT_FOUND || !is_there(message))
        return false;
    expunged_close(expunged);
    return expunged_open(expunged, inbox, error)
           && (renameat(from_fd, message->name, expunged->box.cur_fd, kept) == 0
               || error_errno(error, "expunge message %.80s", message->name));
}

static bool wants_room(const struct error *error)
{
    return error->code == ENOSPC || error->code == EDQUOT;
}

bool expunged_keep(struct expunged *expunged, const struct maildir *inbox,
                   const struct expunged_message *message, struct tombstone_batch *batch,
                   struct error *error)
{
    struct maildir_name name;
    char kept[MAILDIR_NAME_SIZE];
    if (!maildir_name_parse(slice_of_string(message->name), &name))
        return error_set(error, ERROR_PERMANENT, "name %.80s is malformed", message->name);
    if (!format_kept(expunged, message, &name, kept, error)
        || !tombstone_make_if_young(inbox, message->box, message->place, message->name,
                                    message->now, batch, error))
        return false;
    if (rename_into(expunged, inbox, message, kept, error))
        return true;
    return wants_room(error)
           && maildir_remove_one_of(inbox, message->box, message->place, message->name,
                                    message->now, batch, error);
}

bool expunged_flush(const struct expunged *expunged, struct error *error)
{
    return expunged->box.fd < 0 || fsync(expunged->box.cur_fd) == 0
           || error_errno(error, "flush " EXPUNGED_DIRECTORY);
}

/* ---- keeping folders ---- */

static bool has_messages(const struct maildir *box, struct error *error, bool *any)
{
    struct maildir_list list;
    maildir_list_init(&list);
    bool scanned = maildir_scan(box, &list, error);
    *any = list.count > 0;
    maildir_list_clear(&list);
    return scanned;
}

static bool mark(const struct maildir *box, int64_t now, struct error *error)
{
    const struct timespec times[2] = {{now, 0}, {now, 0}};
    int fd = openat(box->fd, MARK, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "create " MARK);
    bool marked = (futimens(fd, times) == 0 && fsync(fd) == 0 && fsync(box->fd) == 0)
                  || error_errno(error, "flush " MARK);
    fd_discard(&fd);
    return marked;
}

/* A rename onto an empty directory would replace it, but no folder is one. */
static bool rename_folder(const struct maildir *inbox, const char *directory, struct error *error)
{
    char path[MAILDIR_NAME_SIZE], name[MAILDIR_NAME_SIZE];
    struct stat status;
    for (unsigned i = 1; i < NUMBERED_MAX; i++) {
        int length =
            i == 1 ? snprintf(name, sizeof(name), "%s", directory)
                   : snprintf(name, sizeof(name), "%.*s-%u", MAILDIR_NAME_MAX - 30, directory, i);
        if (length < 0 || length >= (int)sizeof(name) || !expunged_path(name, path))
            continue;
        if (fstatat(inbox->fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        return renameat(inbox->fd, directory, inbox->fd, path) == 0
               || error_errno(error, "remove folder %.100s", directory);
    }
    return error_set(error, ERROR_TEMPORARY, "too many deleted folders are called %.100s",
                     directory);
}

static bool flush_folder(const struct expunged *expunged, const struct maildir *inbox,
                         struct error *error)
{
    return (fsync(expunged->box.fd) == 0 && fsync(inbox->fd) == 0)
           || error_errno(error, "flush directory of folders");
}

/* Tombstones before and after, as in folders_delete. */
static bool move_folder(struct expunged *expunged, const struct maildir *inbox,
                        const struct maildir *box, const char *directory, int64_t now,
                        struct error *error)
{
    return expunged_open(expunged, inbox, error) && folders_bury_young(inbox, box, now, error)
           && mark(box, now, error) && rename_folder(inbox, directory, error)
           && flush_folder(expunged, inbox, error) && folders_bury_young(inbox, box, now, error);
}

bool expunged_keep_folder(struct expunged *expunged, const struct maildir *inbox,
                          const char *directory, int64_t now, struct error *error)
{
    struct maildir box;
    bool any = false;
    if (strcmp(directory, MAILDIR_INBOX) == 0 || expunged_holds(directory)
        || !folders_exists(inbox->fd, directory))
        return folders_delete(inbox, directory, now, error); /* which says why not */
    if (!maildir_open(inbox->fd, directory, &box, error))
        return false;
    bool done = has_messages(&box, error, &any);
    bool moved = done && any && move_folder(expunged, inbox, &box, directory, now, error);
    maildir_close(&box);
    if (moved || !done)
        return moved;
    return (!any || wants_room(error)) && folders_delete(inbox, directory, now, error);
}

/* ---- looking ---- */

struct looking {
    int account_fd;
    const char *mailbox;
    struct folder_list *list;
};

static bool add(const struct looking *looking, const char *path, struct slice below,
                struct error *error)
{
    struct buffer name = BUFFER_WITH_LIMIT(4 * MAILDIR_NAME_SIZE);
    buffer_append_string(&name, looking->mailbox);
    if (below.len > 0)
        buffer_append_octet(&name, FOLDER_SEPARATOR);
    buffer_append(&name, below);
    bool added = !name.failed ? folder_list_add(looking->list, path, buffer_slice(&name), error)
                              : error_memory(error);
    buffer_clear(&name);
    return added;
}

/* A folder with a name that maps to none, made by another program, is never deleted through us. */
static bool on_folder(void *owner, const char *name, unsigned char type, struct error *error)
{
    const struct looking *looking = owner;
    char path[MAILDIR_NAME_SIZE];
    struct buffer below = BUFFER_WITH_LIMIT(2 * MAILDIR_NAME_SIZE);
    (void)type;
    bool added = true;
    if (name[0] == '.' && expunged_path(name, path) && folders_exists(looking->account_fd, path)
        && folder_name_from_directory(name, &below))
        added = add(looking, path, buffer_slice(&below), error);
    buffer_clear(&below);
    return added;
}

bool expunged_list(int account_fd, const char *mailbox, struct folder_list *list,
                   struct error *error)
{
    struct looking looking = {account_fd, mailbox, list};
    if (!folders_exists(account_fd, EXPUNGED_DIRECTORY))
        return true;
    int fd =
        openat(account_fd, EXPUNGED_DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "open " EXPUNGED_DIRECTORY);
    bool listed = add(&looking, EXPUNGED_DIRECTORY, SLICE(""), error)
                  && directory_read(fd, on_folder, &looking, error);
    fd_discard(&fd);
    return listed || error_prefix(error, "list what was expunged");
}

/* ---- putting folders back ---- */

/* What follows `path` in the names of those that are put back with it; NULL: not this one. */
static const char *rest_of(const struct folder_entry *entry, const char *path)
{
    size_t octets = strlen(path);
    const char *rest = entry->directory + octets;
    bool is_one = strncmp(entry->directory, path, octets) == 0 && (*rest == '\0' || *rest == '.');
    return is_one ? rest : NULL;
}

static void unmark(int account_fd, const struct folder_list *list, const char *path, const char *to)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *rest = rest_of(&list->entries[i], path);
        char mark_path[PATH_SIZE];
        if (!rest)
            continue;
        snprintf(mark_path, sizeof(mark_path), "%s%s/" MARK, to, rest);
        unlinkat(account_fd, mark_path, 0); /* one that stays is written anew when it counts */
    }
}

static bool flush_directory(int account_fd, struct error *error)
{
    int fd =
        openat(account_fd, EXPUNGED_DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool flushed = (fd >= 0 && fsync(fd) == 0) || error_errno(error, "flush " EXPUNGED_DIRECTORY);
    fd_discard(&fd);
    return flushed;
}

bool expunged_restore_folder(const struct maildir *inbox, const char *path, const char *to,
                             struct error *error)
{
    struct folder_list list;
    folder_list_init(&list);
    bool restored = expunged_list(inbox->fd, "", &list, error)
                    && folders_rename_listed(inbox->fd, &list, path, to, error)
                    && flush_directory(inbox->fd, error);
    if (restored)
        unmark(inbox->fd, &list, path, to);
    folder_list_clear(&list);
    return restored;
}

bool expunged_count_folder(int account_fd, const char *path, struct quota_usage *usage,
                           struct error *error)
{
    struct folder_list list;
    folder_list_init(&list);
    bool counted = expunged_list(account_fd, "", &list, error);
    *usage = (struct quota_usage){0, 0};
    for (size_t i = 0; counted && i < list.count; i++)
        if (rest_of(&list.entries[i], path))
            counted = quota_count_folder(account_fd, list.entries[i].directory, usage, error);
    folder_list_clear(&list);
    return counted;
}

/* ---- expiry ---- */

struct expunged_item {
    int64_t when;
    uint64_t octets;
    const char *name; /* of the file, or the folder's path */
    bool is_folder;
    enum maildir_place place;
};

enum { GOING_A_SLICE = 100 };

static int compare(const void *left, const void *right)
{
    const struct expunged_item *a = left, *b = right;
    return (a->when > b->when) - (a->when < b->when);
}

static bool add_item(struct expunged_sweep *sweep, struct expunged_item item, const char *name,
                     struct error *error)
{
    item.name = arena_copy_string(&sweep->names, slice_of_string(name));
    if (!item.name)
        return error_memory(error);
    sweep->items[sweep->count++] = item;
    return true;
}

static bool add_messages(struct expunged_sweep *sweep, const struct maildir *box,
                         const struct maildir_list *list, struct error *error)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct maildir_entry *entry = &list->entries[i];
        struct maildir_name name;
        if (!maildir_name_parse(maildir_entry_name(entry), &name))
            continue;
        struct expunged_item item = {.when = (int64_t)name.seconds,
                                     .octets = quota_octets_of(box, entry->place, entry->name),
                                     .place = entry->place};
        if (!add_item(sweep, item, entry->name, error))
            return false;
    }
    return true;
}

/* A folder without a date, since its mark is gone, is being removed already. */
static int64_t deleted_at(int account_fd, const char *path)
{
    char mark_path[PATH_SIZE];
    struct stat status;
    snprintf(mark_path, sizeof(mark_path), "%s/" MARK, path);
    return fstatat(account_fd, mark_path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_mtim.tv_sec
                                                                             : 0;
}

static bool add_folders(struct expunged_sweep *sweep, int account_fd,
                        const struct folder_list *folders, struct error *error)
{
    for (size_t i = 0; i < folders->count; i++) {
        const char *path = folders->entries[i].directory;
        struct quota_usage usage = {0, 0};
        if (strcmp(path, EXPUNGED_DIRECTORY) == 0)
            continue;
        if (!quota_count_folder(account_fd, path, &usage, error))
            return false;
        struct expunged_item item = {.when = deleted_at(account_fd, path),
                                     .octets = (uint64_t)usage.octets,
                                     .is_folder = true};
        if (!add_item(sweep, item, path, error))
            return false;
    }
    return true;
}

static bool gather(struct expunged_sweep *sweep, int account_fd, struct error *error)
{
    struct maildir box = MAILDIR_CLOSED;
    struct maildir_list list;
    struct folder_list folders;
    maildir_list_init(&list);
    folder_list_init(&folders);
    bool gathered = expunged_list(account_fd, "", &folders, error);
    if (gathered && folders.count > 0)
        gathered = maildir_open(account_fd, EXPUNGED_DIRECTORY, &box, error)
                   && maildir_scan(&box, &list, error);
    sweep->items = calloc(list.count + folders.count + 1, sizeof(*sweep->items));
    if (gathered)
        gathered = sweep->items ? add_messages(sweep, &box, &list, error)
                                      && add_folders(sweep, account_fd, &folders, error)
                                : error_memory(error);
    maildir_close(&box);
    maildir_list_clear(&list);
    folder_list_clear(&folders);
    return gathered;
}

static void choose(struct expunged_sweep *sweep)
{
    const struct expunged_limits *limits = &sweep->limits;
    qsort(sweep->items, sweep->count, sizeof(*sweep->items), compare);
    for (size_t i = 0; i < sweep->count; i++)
        if (__builtin_add_overflow(sweep->octets, sweep->items[i].octets, &sweep->octets))
            sweep->octets = UINT64_MAX; /* a name can lie about any size */
    for (; sweep->going < sweep->count; sweep->going++) {
        const struct expunged_item *item = &sweep->items[sweep->going];
        bool is_old = limits->seconds == 0 || sweep->now - item->when >= limits->seconds;
        if (!is_old && (limits->octets == 0 || sweep->octets <= limits->octets))
            break;
        sweep->octets -= item->octets < sweep->octets ? item->octets : sweep->octets;
    }
}

/* The time of the last sweep is the mtime of its new/, which is otherwise unused. */
#define SWEPT EXPUNGED_DIRECTORY "/new"

enum { SWEEP_SECONDS = 24 * 3600 };

int64_t expunged_sweep_seconds(const struct expunged_limits *limits)
{
    return limits->seconds < SWEEP_SECONDS ? limits->seconds : SWEEP_SECONDS;
}

bool expunged_sweep_is_due(int account_fd, const struct expunged_limits *limits, int64_t now)
{
    struct stat status;
    if (fstatat(account_fd, SWEPT, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    int64_t since = now - status.st_mtim.tv_sec;
    return since < 0 || since >= expunged_sweep_seconds(limits);
}

static void note_swept(const struct expunged_sweep *sweep, int account_fd)
{
    const struct timespec times[2] = {{sweep->now, 0}, {sweep->now, 0}};
    utimensat(account_fd, SWEPT, times, AT_SYMLINK_NOFOLLOW); /* else it is swept once more */
}

bool expunged_sweep_begin(struct expunged_sweep *sweep, int account_fd,
                          const struct expunged_limits *limits, int64_t now, struct error *error)
{
    *sweep = (struct expunged_sweep){.limits = *limits, .now = now};
    arena_init(&sweep->names, MAILDIR_SCAN_MEMORY);
    if (!gather(sweep, account_fd, error)) {
        expunged_sweep_clear(sweep);
        return error_prefix(error, "what was expunged");
    }
    choose(sweep);
    return true;
}

/* Their tombstones were made when they were expunged. */
static void remove_messages(struct expunged_sweep *sweep, const struct maildir *inbox)
{
    struct maildir box;
    if (!maildir_open(inbox->fd, EXPUNGED_DIRECTORY, &box, NULL)) {
        sweep->next = sweep->going;
        return;
    }
    for (unsigned i = 0; i < GOING_A_SLICE && sweep->next < sweep->going; i++) {
        const struct expunged_item *item = &sweep->items[sweep->next];
        if (item->is_folder)
            break;
        unlinkat(maildir_place_fd(&box, item->place), item->name, 0);
        sweep->next++;
    }
    maildir_close(&box);
}

bool expunged_sweep_step(struct expunged_sweep *sweep, const struct maildir *inbox,
                         const char **folder)
{
    *folder = NULL;
    if (sweep->next == sweep->going) {
        if (sweep->limits.seconds == 0)
            maildir_remove_tree(inbox->fd, EXPUNGED_DIRECTORY, FOLDERS_DELETED_DEPTH + 1, NULL);
        else
            note_swept(sweep, inbox->fd);
        return false;
    }
    const struct expunged_item *item = &sweep->items[sweep->next];
    if (!item->is_folder) {
        remove_messages(sweep, inbox);
        return true;
    }
    sweep->next++;
    if (folders_delete(inbox, item->name, sweep->now, NULL))
        *folder = item->name;
    return true;
}

void expunged_sweep_clear(struct expunged_sweep *sweep)
{
    free(sweep->items);
    sweep->items = NULL;
    sweep->count = sweep->going = sweep->next = 0;
    arena_clear(&sweep->names);
}
