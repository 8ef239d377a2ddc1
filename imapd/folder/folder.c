/* The folders of folder.h: opening, keeping, changing. What other programs do: folder_follow.c. */
#include "imapd/folder/folder_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "imapd/folder/sent_twin.h"
#include "imapd/folder/view.h"
#include "imapd/mailbox.h"
#include "storage/maildir_store.h"

enum {
    ARRIVALS_A_SLICE = 200, /* renames of 13 µs */
    UNUSED_FOLDERS = 64,
    UNUSED_OPEN = 4,          /* of them, watched as if somebody used them */
    UNUSED_MESSAGES = 100000, /* of all unused folders together, save that the last one stays */
};

void folder_log(const struct folder *folder, const char *event, const struct error *error)
{
    LOG(folder->mailbox->log, LOG_ERROR, event,
        log_bytes("folder", slice_of_string(folder->directory)), log_failure(error));
}

/* ---- the array ---- */

size_t folder_position(const struct folder *folder, uint32_t uid)
{
    size_t low = 0;
    size_t high = folder->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (folder->messages[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct message *folder_find(const struct folder *folder, uint32_t uid)
{
    size_t position = folder_position(folder, uid);
    if (position == folder->count || folder->messages[position].uid != uid
        || !folder->messages[position].name)
        return NULL;
    return &folder->messages[position];
}

const struct message *folder_first_unseen(struct folder *folder)
{
    size_t position = folder_position(folder, folder->unseen_from);
    const struct message *message = NULL;
    for (; position < folder->count; position++) {
        message = &folder->messages[position];
        if (message->name && !(message->flags & MAILDIR_SEEN))
            break;
    }
    folder->unseen_from = position < folder->count ? message->uid : folder->uid_next;
    return position < folder->count ? message : NULL;
}

static void note_unseen(struct folder *folder, const struct message *message)
{
    if (!(message->flags & MAILDIR_SEEN) && message->uid < folder->unseen_from)
        folder->unseen_from = message->uid;
}

bool folder_reserve(struct folder *folder, size_t count, struct error *error)
{
    enum { FIRST_CAPACITY = 16 };
    if (count <= folder->capacity)
        return true;
    size_t capacity = folder->capacity ? folder->capacity + folder->capacity / 2 : FIRST_CAPACITY;
    if (capacity < count)
        capacity = count;
    bool in_block = folder->messages && (void *)folder->messages == folder->names.entries;
    struct message *messages =
        reallocarray(in_block ? NULL : folder->messages, capacity, sizeof(*messages));
    if (!messages)
        return error_memory(error);
    if (in_block)
        memcpy(messages, folder->messages, folder->count * sizeof(*messages));
    folder->messages = messages;
    folder->capacity = capacity;
    return true;
}

static void free_name(const struct folder *folder, char *name)
{
    if (!names_block_has(&folder->names, name))
        free(name);
}

/* Appends at the end: the caller keeps the order. */
bool folder_append(struct folder *folder, const char *text, const struct maildir_name *name,
                   struct error *error)
{
    if (!folder_reserve(folder, folder->count + 1, error))
        return false;
    char *copy = strdup(text);
    if (!copy)
        return error_memory(error);
    folder->messages[folder->count++] = (struct message){
        .name = copy, .uid = name->uid, .flags = name->flags, .letters = name->keywords};
    folder->names_due = true;
    note_unseen(folder, &folder->messages[folder->count - 1]);
    return true;
}

/* Removed messages leave the array together, at the end of the turn. */
static void close_gaps(struct deferred *deferred)
{
    struct folder *folder = (void *)((uint8_t *)deferred - offsetof(struct folder, at_turn_end));
    size_t kept = 0;
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->messages[i].name)
            folder->messages[kept++] = folder->messages[i];
    }
    folder->count = kept;
    folder->gone = 0;
}

void folder_let_go(struct folder *folder, struct message *message)
{
    struct view *view;
    free_name(folder, message->name);
    message->name = NULL;
    folder->names_due = true;
    folder->gone++;
    view_rest_clear(&folder->rest);
    folder_note_gone(folder, message->uid);
    DL_FOREACH (folder->views, view)
        view_on_gone(view, message->uid);
    turn_defer(&folder->mailbox->turn, &folder->at_turn_end);
}

bool folder_set_aside(const struct folder *folder, const struct message *message,
                      struct error *error)
{
    static const char aside[] = "staffetta-damaged";
    int account_fd = folder->mailbox->account_fd;
    struct stat status;
    if (mkdirat(account_fd, aside, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "create %s", aside);
    int aside_fd = openat(account_fd, aside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (aside_fd < 0)
        return error_errno(error, "open %s", aside);
    bool moved = true;
    if (fstatat(aside_fd, message->name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        moved = error_set(error, ERROR_EXISTS, "one of that name is there already");
    else if (renameat(folder->box.cur_fd, message->name, aside_fd, message->name) != 0)
        moved = error_errno(error, "rename");
    fd_discard(&aside_fd);
    return moved;
}

bool folder_take_name(struct folder *folder, struct message *message, const char *text,
                      const struct maildir_name *name, const struct view *teller,
                      struct error *error)
{
    struct view *view;
    char *copy = strdup(text);
    if (!copy)
        return error_memory(error);
    free_name(folder, message->name);
    message->name = copy;
    folder->names_due = true;
    if (message->flags == name->flags && message->letters == name->keywords)
        return true;
    message->flags = name->flags;
    message->letters = name->keywords;
    note_unseen(folder, message);
    folder_note_changed(folder, message);
    DL_FOREACH (folder->views, view) {
        if (view != teller)
            view_on_changed(view, message->uid);
    }
    return true;
}

static void forget_messages(struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++)
        free_name(folder, folder->messages[i].name);
    if ((void *)folder->messages != folder->names.entries)
        free(folder->messages);
    names_block_clear(&folder->names);
    view_rest_clear(&folder->rest);
    folder->messages = NULL;
    folder->count = folder->capacity = folder->gone = 0;
}

/* ---- arrivals ---- */

bool folder_add_arrival(struct folder *folder, enum maildir_place place, const char *name,
                        struct error *error)
{
    size_t octets = strlen(name) + 1;
    struct arrival *arrival = malloc(sizeof(*arrival) + octets);
    if (!arrival)
        return error_memory(error);
    arrival->place = place;
    arrival->uid = 0;
    memcpy(arrival->name, name, octets);
    DL_APPEND(folder->arrivals, arrival);
    turn_again(&folder->mailbox->turn, &folder->in_next_turn);
    return true;
}

void folder_remove_arrival(struct folder *folder, struct arrival *arrival)
{
    DL_DELETE(folder->arrivals, arrival);
    free(arrival);
}

void folder_forget_arrivals(struct folder *folder)
{
    while (folder->arrivals)
        folder_remove_arrival(folder, folder->arrivals);
}

bool folder_cover(struct folder *folder, struct error *error)
{
    struct folder_record record = folder->record;
    if (!folder_record_cover(&record, folder->uid_next, folder->modseq_next))
        return true;
    if (!folder_record_store(folder->box.fd, &record, error))
        return false;
    folder->record = record;
    return true;
}

bool folder_next_uid(struct folder *folder, uint32_t *uid, struct error *error)
{
    if (folder->uid_next == 0) /* past 2^32-1 */
        return error_set(error, ERROR_PERMANENT, "folder has no UIDs left");
    if (!folder_cover(folder, error))
        return false;
    *uid = folder->uid_next++;
    return true;
}

bool folder_add(struct folder *folder, uint32_t uid, const char *name, struct error *error)
{
    struct maildir_name parsed;
    struct view *view;
    if (!maildir_name_parse(slice_of_string(name), &parsed) || parsed.uid != uid)
        return error_set(error, ERROR_PERMANENT, "message was stored as %s", name);
    if (!folder_append(folder, name, &parsed, error))
        return false;
    folder->messages[folder->count - 1].recent = true;
    folder_note_changed(folder, &folder->messages[folder->count - 1]);
    DL_FOREACH (folder->views, view)
        view_on_arrived(view);
    learner_note(&folder->mailbox->learner, folder, uid);
    return true;
}

/* Drops the submission's copy of a message that the client has stored already. If that fails, the
 * folder has both. */
static bool is_turned_away(struct folder *folder, const struct arrival *arrival)
{
    struct mailbox *mailbox = folder->mailbox;
    struct error error;
    if (!sent_twin_is_appended(folder, arrival->place, arrival->name))
        return false;
    uint64_t octets = quota_octets_of(&folder->box, arrival->place, arrival->name);
    if (!maildir_remove(&mailbox->inbox, &folder->box, arrival->place, arrival->name, mailbox_now(),
                        &error))
        return false;
    mailbox_count_quota(mailbox, -(int64_t)octets, -1);
    return true;
}

/* ERROR_NOT_FOUND: the file was removed before it had a UID. */
static bool welcome(struct folder *folder, const struct arrival *arrival, struct error *error)
{
    struct maildir_name name;
    char renamed[MAILDIR_NAME_SIZE];
    if (!maildir_name_parse(slice_of_string(arrival->name), &name))
        return error_set(error, ERROR_NOT_FOUND, "no message");
    if (is_turned_away(folder, arrival))
        return error_set(error, ERROR_NOT_FOUND, "it is there already");
    name.uidvalidity = folder->record.uidvalidity;
    return folder_next_uid(folder, &name.uid, error)
           && maildir_change(&folder->box, arrival->place, arrival->name, &name, renamed, error)
           && folder_add(folder, name.uid, renamed, error);
}

bool folder_step(struct folder *folder)
{
    struct error error;
    for (int i = 0; folder->arrivals && i < ARRIVALS_A_SLICE; i++) {
        uint32_t uid_next = folder->uid_next;
        if (!welcome(folder, folder->arrivals, &error)) {
            if (error.kind != ERROR_NOT_FOUND) {
                folder_log(folder, "uid_not_given", &error);
                return false;
            }
            folder->uid_next = uid_next; /* nobody has seen it */
        }
        folder_remove_arrival(folder, folder->arrivals);
    }
    return folder->arrivals != NULL;
}

static void welcome_slice(struct deferred *deferred)
{
    struct folder *folder = (void *)((uint8_t *)deferred - offsetof(struct folder, in_next_turn));
    if (folder->users > 0 && folder_step(folder))
        turn_again(&folder->mailbox->turn, &folder->in_next_turn);
}

/* ---- opening and keeping ---- */

bool folder_open_same(struct folder *folder, struct maildir *box, struct error *error)
{
    struct stat status;
    if (!maildir_open(folder->mailbox->account_fd, folder->directory, box, error))
        return false;
    bool known = fstat(box->fd, &status) == 0 || error_errno(error, "fstat");
    if (known && folder->inode == 0)
        folder->inode = status.st_ino;
    if (known && folder->inode == status.st_ino)
        return true;
    maildir_close(box);
    return known ? error_set(error, ERROR_NOT_FOUND, "another folder has the name") : false;
}

/* Lowers the watermarks to the next numbers, if these are known, so that numbering goes on without
 * a gap. */
static void lower_watermarks(struct folder *folder)
{
    struct error error;
    struct folder_record record = folder->record;
    struct maildir box = MAILDIR_CLOSED;
    if (folder->deleted || folder->uid_next == 0
        || (record.uid_watermark <= folder->uid_next
            && record.modseq_watermark <= folder->modseq_next))
        return;
    record.uid_watermark = folder->uid_next;
    record.modseq_watermark = folder->modseq_next;
    bool lowered = folder_open_same(folder, &box, &error);
    if (lowered) {
        folder_seal_changes(folder, box.fd);
        lowered = folder_record_store(box.fd, &record, &error);
    }
    maildir_close(&box);
    if (!lowered && error.kind != ERROR_NOT_FOUND)
        folder_log(folder, "watermarks_not_lowered", &error); /* a gap, no more */
}

static void free_folder(struct folder *folder)
{
    watch_remove(&folder->mailbox->watch, &folder->watched);
    turn_cancel(&folder->in_next_turn);
    turn_cancel(&folder->at_turn_end);
    turn_cancel(&folder->flush_changes);
    change_log_close(&folder->changes);
    folder_forget_arrivals(folder);
    forget_messages(folder);
    maildir_close(&folder->box);
    DL_DELETE(folder->mailbox->folders, folder);
    free(folder);
}

static bool is_open(const struct folder *folder)
{
    return folder->box.cur_fd >= 0;
}

void folder_shut(struct folder *folder)
{
    if (!is_open(folder))
        return;
    folder_remember_times(folder);
    watch_remove(&folder->mailbox->watch, &folder->watched);
    folder_close_changes(folder);
    maildir_close(&folder->box);
}

/* One that nobody uses any more. */
static void forget_folder(struct folder *folder)
{
    folder_shut(folder);
    lower_watermarks(folder);
    folder_keep_names(folder);
    free_folder(folder);
}

static struct folder *find_folder(const struct mailbox *mailbox, const char *directory)
{
    struct folder *folder;
    DL_FOREACH (mailbox->folders, folder) {
        if (!folder->deleted && strcmp(folder->directory, directory) == 0)
            return folder;
    }
    return NULL;
}

const struct folder *folder_find_open(const struct mailbox *mailbox, const char *directory)
{
    return find_folder(mailbox, directory);
}

static struct folder *new_folder(struct mailbox *mailbox, const char *directory)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    if (!folder)
        return NULL;
    folder->mailbox = mailbox;
    snprintf(folder->directory, sizeof(folder->directory), "%s", directory);
    folder->box = MAILDIR_CLOSED;
    folder->in_next_turn.run = welcome_slice;
    folder->at_turn_end.run = close_gaps;
    folder->flush_changes.run = folder_flush_changes;
    folder->changes.fd = -1;
    DL_PREPEND(mailbox->folders, folder);
    return folder;
}

/* Starts the watch first, so that no change during the reading is missed. */
static bool open_directories(struct folder *folder, struct error *error)
{
    if (!folder_open_same(folder, &folder->box, error))
        return false;
    watch_add(&folder->mailbox->watch, &folder->watched, &folder_watched, folder->directory);
    return true;
}

/* Another program may have renamed a folder that is open here. Two folder structs for one directory
 * would give some UIDs twice. */
static struct folder *find_same(const struct folder *new)
{
    struct folder *folder;
    DL_FOREACH (new->mailbox->folders, folder) {
        if (folder != new && !folder->deleted && folder->inode == new->inode)
            return folder;
    }
    return NULL;
}

static struct folder *rename_same(struct folder *same, struct folder *new)
{
    memcpy(same->directory, new->directory, sizeof(same->directory));
    free_folder(new);
    return same;
}

static bool load_new(struct mailbox *mailbox, const char *directory, struct folder **folder,
                     struct error *error)
{
    struct folder *new = new_folder(mailbox, directory);
    if (!new)
        return error_memory(error);
    if (!folder_open_same(new, &new->box, error)) {
        free_folder(new);
        return false;
    }
    struct folder *same = find_same(new);
    if (same && same->users > 0) {
        *folder = rename_same(same, new);
        return true;
    }
    if (same)
        free_folder(same);
    watch_add(&mailbox->watch, &new->watched, &folder_watched, directory);
    if (!folder_load(new, error)) {
        free_folder(new);
        return false;
    }
    *folder = new;
    return true;
}

/* What has its name now is still the directory that was opened. What came while nobody was there to
 * give it a UID gets one now. */
static bool use_open(struct folder *folder)
{
    struct mailbox *mailbox = folder->mailbox;
    struct stat status;
    if (fstatat(mailbox->account_fd, folder->directory, &status, AT_SYMLINK_NOFOLLOW) != 0
        || status.st_ino != folder->inode)
        return false;
    watch_poll(&mailbox->watch);
    if (folder->arrivals)
        turn_again(&mailbox->turn, &folder->in_next_turn);
    return true;
}

static bool open_again(struct folder *folder)
{
    struct error error;
    return open_directories(folder, &error) && folder_look_if_changed(folder, &error);
}

/* False: it cannot be used again. */
static bool reopen(struct folder *folder)
{
    if (is_open(folder) ? use_open(folder) : open_again(folder))
        return true;
    free_folder(folder);
    return false;
}

bool folder_open(struct mailbox *mailbox, const char *directory, struct folder **folder,
                 struct error *error)
{
    *folder = find_folder(mailbox, directory);
    if (*folder && (*folder)->users == 0 && !reopen(*folder))
        *folder = NULL;
    else if (*folder)
        watch_poll(&mailbox->watch);
    if (!*folder && !load_new(mailbox, directory, folder, error))
        return error_prefix(error, "folder %s", directory);
    (*folder)->users++;
    return true;
}

/* The list has the most recent first. Without inotify every open folder is checked each second. */
static void forget_oldest(struct mailbox *mailbox)
{
    struct folder *folder, *next;
    size_t folders = 0;
    size_t messages = 0;
    DL_FOREACH_SAFE (mailbox->folders, folder, next) {
        if (folder->users > 0)
            continue;
        folders++;
        messages += folder->count;
        if (folders > UNUSED_FOLDERS || (folders > 1 && messages > UNUSED_MESSAGES))
            forget_folder(folder);
        else if (folders > UNUSED_OPEN || !watch_is_told(&folder->watched))
            folder_shut(folder);
    }
}

/* Nobody uses it now. Who puts one message after the other into it opens it for each. */
static void keep(struct folder *folder)
{
    struct mailbox *mailbox = folder->mailbox;
    folder_rest_changes(folder);
    DL_DELETE(mailbox->folders, folder);
    DL_PREPEND(mailbox->folders, folder);
    forget_oldest(mailbox);
    folder_names_arrange(mailbox);
}

void folder_close(struct folder *folder)
{
    if (--folder->users > 0)
        return;
    if (folder->gone > 0)
        close_gaps(&folder->at_turn_end);
    if (folder->deleted || folder->arrivals)
        forget_folder(folder);
    else
        keep(folder);
}

void folder_forget_unused(struct mailbox *mailbox)
{
    struct folder *folder, *next;
    DL_FOREACH_SAFE (mailbox->folders, folder, next) {
        if (folder->users > 0)
            continue;
        folder_finish_names(folder);
        forget_folder(folder);
    }
}

void folder_on_deleted(struct mailbox *mailbox, const char *directory)
{
    struct folder *folder = find_folder(mailbox, directory);
    mailbox_note_changed(mailbox, directory);
    if (!folder)
        return;
    if (folder->users == 0) {
        free_folder(folder);
        return;
    }
    folder->deleted = true;
    watch_remove(&mailbox->watch, &folder->watched);
    folder_forget_arrivals(folder);
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->messages[i].name)
            folder_let_go(folder, &folder->messages[i]);
    }
}

/* ".A" to ".B": ".A.x" is ".B.x" now. */
static void rename_if_within(struct folder *folder, const char *from, const char *to)
{
    char renamed[MAILDIR_NAME_SIZE];
    size_t octets = strlen(from);
    const char *rest = folder->directory + octets;
    if (folder->deleted || strncmp(folder->directory, from, octets) != 0
        || (rest[0] != '\0' && rest[0] != '.'))
        return;
    snprintf(renamed, sizeof(renamed), "%s%s", to, rest);
    memcpy(folder->directory, renamed, sizeof(renamed));
}

void folder_on_renamed(struct mailbox *mailbox, const char *from, const char *to)
{
    struct folder *folder;
    mailbox_note_changed(mailbox, from);
    DL_FOREACH (mailbox->folders, folder)
        rename_if_within(folder, from, to);
}

void folder_on_changed(struct mailbox *mailbox, const char *directory)
{
    struct folder *folder = find_folder(mailbox, directory);
    if (folder && folder->users > 0)
        watch_poll(&mailbox->watch);
}

/* ---- changing ---- */

bool folder_keyword(struct folder *folder, struct slice keyword, unsigned *letter,
                    struct error *error)
{
    struct view *view;
    if (folder_record_find_keyword(&folder->record, keyword, letter))
        return true;
    struct folder_record record = folder->record;
    if (!folder_record_add_keyword(&record, keyword, letter))
        return error_set(error, ERROR_PERMANENT, "no room for another keyword");
    if (!folder_record_store(folder->box.fd, &record, error))
        return false;
    folder->record = record;
    DL_FOREACH (folder->views, view)
        view_on_keywords(view);
    return true;
}

static bool rename_message(struct folder *folder, struct message *message,
                           const struct message_change *change, const struct view *teller,
                           struct error *error)
{
    struct maildir_name name;
    char renamed[MAILDIR_NAME_SIZE];
    uint32_t flags = (message->flags & ~change->flags_off) | change->flags_on;
    uint32_t letters = (message->letters & ~change->letters_off) | change->letters_on;
    if (message->flags == flags && message->letters == letters)
        return true;
    if (!maildir_name_parse(slice_of_string(message->name), &name))
        return error_set(error, ERROR_PERMANENT, "name %s", message->name);
    name.flags = flags;
    name.keywords = letters;
    return folder_reserve_modseq(folder, error)
           && maildir_change(&folder->box, MAILDIR_CUR, message->name, &name, renamed, error)
           && folder_take_name(folder, message, renamed, &name, teller, error);
}

bool folder_change(struct folder *folder, uint32_t uid, const struct message_change *change,
                   const struct view *teller, struct error *error)
{
    error_set(error, ERROR_NOT_FOUND, "message is gone");
    struct message *message = folder_find(folder, uid);
    if (!message)
        return false;
    if (rename_message(folder, message, change, teller, error))
        return true;
    /* Another program may have renamed it just now: once more, with the name that it has. */
    if (error->kind != ERROR_NOT_FOUND || !folder_look(folder, error))
        return false;
    message = folder_find(folder, uid);
    return message ? rename_message(folder, message, change, teller, error)
                   : error_set(error, ERROR_NOT_FOUND, "message is gone");
}

/* Kept expunged messages do not count for the quota. */
static uint64_t counted_octets(const struct folder *folder, const struct message *message)
{
    bool counts = quota_is_set(&folder->mailbox->quota) && !expunged_holds(folder->directory);
    return counts ? quota_octets_of(&folder->box, MAILDIR_CUR, message->name) : 0;
}

static void on_removed(struct folder *folder, struct message *message, uint64_t octets)
{
    if (!expunged_holds(folder->directory))
        mailbox_count_quota(folder->mailbox, -(int64_t)octets, -1);
    folder_let_go(folder, message);
}

static bool on_not_removed(struct folder *folder, const struct error *error)
{
    if (error->kind == ERROR_NOT_FOUND)
        folder->suspicious = true;
    return false;
}

bool folder_remove(struct folder *folder, struct message *message, struct error *error)
{
    struct mailbox *mailbox = folder->mailbox;
    uint64_t octets = counted_octets(folder, message);
    if (!maildir_remove_one_of(&mailbox->inbox, &folder->box, MAILDIR_CUR, message->name,
                               mailbox_now(), &mailbox->tombstones, error))
        return on_not_removed(folder, error);
    on_removed(folder, message, octets);
    return true;
}

bool folder_expunge(struct folder *folder, struct message *message, struct error *error)
{
    struct undo *undo = &folder->mailbox->undo;
    if (!undo_keeps(undo, folder))
        return folder_remove(folder, message, error);
    uint64_t octets = counted_octets(folder, message);
    if (!undo_keep(undo, folder, message, error))
        return on_not_removed(folder, error);
    on_removed(folder, message, octets);
    return true;
}

bool folder_flush_removed(struct folder *folder, struct error *error)
{
    struct mailbox *mailbox = folder->mailbox;
    return undo_flush(&mailbox->undo, error)
           && maildir_flush_removed(&mailbox->inbox, &folder->box, error);
}

size_t folder_list_removed(const struct folder *folder, int fds[FOLDER_REMOVED_FDS])
{
    _Static_assert(FOLDER_REMOVED_FDS == MAILDIR_REMOVED_FDS + 1, "and where it is kept");
    const struct mailbox *mailbox = folder->mailbox;
    maildir_list_removed(&mailbox->inbox, &folder->box, fds);
    fds[MAILDIR_REMOVED_FDS] = undo_unflushed_fd(&mailbox->undo);
    return fds[MAILDIR_REMOVED_FDS] >= 0 ? FOLDER_REMOVED_FDS : MAILDIR_REMOVED_FDS;
}

void folder_moved_out(struct folder *folder, struct message *message)
{
    folder_let_go(folder, message);
}
