/* The folders of folder.h: loading, following, changing. */
#include "imapd/folder.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <utlist.h>

#include "imapd/mailbox.h"
#include "imapd/view.h"
#include "storage/maildir_scan.h"
#include "storage/maildir_store.h"
#include "storage/uidvalidity.h"

enum {
    ARRIVALS_A_SLICE = 200, /* renames of 13 µs */
    UNUSED_FOLDERS = 64,
    UNUSED_MESSAGES = 100000, /* of all unused folders together */
};

/* A file that has no UID yet. */
struct arrival {
    struct arrival *prev;
    struct arrival *next;
    enum maildir_place place;
    char name[];
};

static void log_failure_of(const struct folder *folder, const char *event,
                           const struct error *error)
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

static bool reserve(struct folder *folder, size_t count, struct error *error)
{
    enum { FIRST_CAPACITY = 16 };
    if (count <= folder->capacity)
        return true;
    size_t capacity = folder->capacity ? folder->capacity + folder->capacity / 2 : FIRST_CAPACITY;
    if (capacity < count)
        capacity = count;
    struct message *messages = reallocarray(folder->messages, capacity, sizeof(*messages));
    if (!messages)
        return error_memory(error);
    folder->messages = messages;
    folder->capacity = capacity;
    return true;
}

/* Behind the last one: the caller sees to the order. */
static bool append(struct folder *folder, const char *text, const struct maildir_name *name,
                   struct error *error)
{
    if (!reserve(folder, folder->count + 1, error))
        return false;
    char *copy = strdup(text);
    if (!copy)
        return error_memory(error);
    folder->messages[folder->count++] = (struct message){
        .name = copy, .uid = name->uid, .flags = name->flags, .letters = name->keywords};
    return true;
}

/* The array closes up at the end of the turn: many may go in one. */
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

static void let_go(struct folder *folder, struct message *message)
{
    struct view *view;
    free(message->name);
    message->name = NULL;
    folder->gone++;
    DL_FOREACH (folder->views, view)
        view_on_gone(view, message->uid);
    turn_defer(&folder->mailbox->turn, &folder->at_turn_end);
}

static void forget_messages(struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++)
        free(folder->messages[i].name);
    free(folder->messages);
    folder->messages = NULL;
    folder->count = folder->capacity = folder->gone = 0;
}

/* ---- arrivals ---- */

static bool add_arrival(struct folder *folder, enum maildir_place place, const char *name,
                        struct error *error)
{
    size_t octets = strlen(name) + 1;
    struct arrival *arrival = malloc(sizeof(*arrival) + octets);
    if (!arrival)
        return error_memory(error);
    arrival->place = place;
    memcpy(arrival->name, name, octets);
    DL_APPEND(folder->arrivals, arrival);
    turn_again(&folder->mailbox->turn, &folder->in_next_turn);
    return true;
}

static void remove_arrival(struct folder *folder, struct arrival *arrival)
{
    DL_DELETE(folder->arrivals, arrival);
    free(arrival);
}

static void forget_arrivals(struct folder *folder)
{
    while (folder->arrivals)
        remove_arrival(folder, folder->arrivals);
}

bool folder_next_uid(struct folder *folder, uint32_t *uid, struct error *error)
{
    struct folder_record record = folder->record;
    if (folder->uid_next == 0) /* past 2^32-1 */
        return error_set(error, ERROR_PERMANENT, "folder has no UIDs left");
    if (folder_record_cover(&record, folder->uid_next, 0)) {
        if (!folder_record_store(folder->box.fd, &record, error))
            return false;
        folder->record = record;
    }
    *uid = folder->uid_next++;
    return true;
}

bool folder_add(struct folder *folder, uint32_t uid, const char *name, struct error *error)
{
    struct maildir_name parsed;
    struct view *view;
    if (!maildir_name_parse(slice_of_string(name), &parsed) || parsed.uid != uid)
        return error_set(error, ERROR_PERMANENT, "message was stored as %s", name);
    if (!append(folder, name, &parsed, error))
        return false;
    folder->messages[folder->count - 1].recent = true;
    DL_FOREACH (folder->views, view)
        view_on_arrived(view);
    return true;
}

/* ERROR_NOT_FOUND: it went before it had a UID. */
static bool welcome(struct folder *folder, const struct arrival *arrival, struct error *error)
{
    struct maildir_name name;
    char renamed[MAILDIR_NAME_SIZE];
    if (!maildir_name_parse(slice_of_string(arrival->name), &name))
        return error_set(error, ERROR_NOT_FOUND, "no message");
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
                log_failure_of(folder, "uid_not_given", &error);
                return false;
            }
            folder->uid_next = uid_next; /* nobody has seen it */
        }
        remove_arrival(folder, folder->arrivals);
    }
    return folder->arrivals != NULL;
}

static void welcome_slice(struct deferred *deferred)
{
    struct folder *folder = (void *)((uint8_t *)deferred - offsetof(struct folder, in_next_turn));
    if (folder->users > 0 && folder_step(folder))
        turn_again(&folder->mailbox->turn, &folder->in_next_turn);
}

/* ---- reading the directories ---- */

/* The message whose file was, or is, called so. */
static struct message *find_by_name(const struct folder *folder, const struct maildir_name *name)
{
    struct maildir_name known;
    if (name->uidvalidity != folder->record.uidvalidity)
        return NULL;
    struct message *message = folder_find(folder, name->uid);
    if (!message || !maildir_name_parse(slice_of_string(message->name), &known))
        return NULL;
    return slice_equal(known.key, name->key) ? message : NULL;
}

static bool take_name(struct folder *folder, struct message *message, const char *text,
                      const struct maildir_name *name, const struct view *teller,
                      struct error *error)
{
    struct view *view;
    char *copy = strdup(text);
    if (!copy)
        return error_memory(error);
    free(message->name);
    message->name = copy;
    if (message->flags == name->flags && message->letters == name->keywords)
        return true;
    message->flags = name->flags;
    message->letters = name->keywords;
    DL_FOREACH (folder->views, view) {
        if (view != teller)
            view_on_changed(view, message->uid);
    }
    return true;
}

/* When everything in the directories is known. A change may come within the same tick of the file
 * system's clock, and then not move the time of one before it: such a time proves nothing. */
static bool is_past_tick(const struct folder *folder, struct timespec time)
{
    enum { TICK_MS = 20, FOREIGN_TICK_MS = 2000 }; /* another host's clock, perhaps in seconds */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_ms = (now.tv_sec - time.tv_sec) * 1000 + (now.tv_nsec - time.tv_nsec) / 1000000;
    return age_ms > (folder->mailbox->file_system.inotify ? TICK_MS : FOREIGN_TICK_MS);
}

static void remember_times(struct folder *folder, const struct stat status[2])
{
    for (int i = 0; i < 2; i++) {
        bool sure = is_past_tick(folder, status[i].st_mtim);
        folder->times[i] = sure ? status[i].st_mtim : (struct timespec){0, 0};
    }
}

static bool read_times(const struct folder *folder, struct stat status[2], struct error *error)
{
    if (fstat(folder->box.new_fd, &status[0]) != 0 || fstat(folder->box.cur_fd, &status[1]) != 0)
        return error_errno(error, "fstat");
    return true;
}

static bool same_times(const struct folder *folder, const struct stat status[2])
{
    for (int i = 0; i < 2; i++) {
        if (folder->times[i].tv_sec == 0 || folder->times[i].tv_sec != status[i].st_mtim.tv_sec
            || folder->times[i].tv_nsec != status[i].st_mtim.tv_nsec)
            return false;
    }
    return true;
}

static bool meet_entry(struct folder *folder, const struct maildir_entry *entry,
                       struct error *error)
{
    struct maildir_name name;
    if (!maildir_name_parse(maildir_entry_name(entry), &name))
        return true;
    struct message *message = entry->place == MAILDIR_CUR ? find_by_name(folder, &name) : NULL;
    if (!message || message->met)
        return add_arrival(folder, entry->place, entry->name, error);
    message->met = true;
    return strcmp(message->name, entry->name) == 0
           || take_name(folder, message, entry->name, &name, NULL, error);
}

static bool meet_entries(struct folder *folder, const struct maildir_list *list,
                         struct error *error)
{
    forget_arrivals(folder); /* all of them are in the list */
    for (size_t i = 0; i < folder->count; i++)
        folder->messages[i].met = false;
    for (size_t i = 0; i < list->count; i++) {
        if (!meet_entry(folder, &list->entries[i], error))
            return false;
    }
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->messages[i].name && !folder->messages[i].met)
            let_go(folder, &folder->messages[i]);
    }
    return true;
}

/* Reads both directories and brings the messages up to date. */
bool folder_look(struct folder *folder, struct error *error)
{
    struct maildir_list list;
    struct stat status[2];
    maildir_list_init(&list);
    bool looked = read_times(folder, status, error) && maildir_scan(&folder->box, &list, error)
                  && meet_entries(folder, &list, error);
    maildir_list_clear(&list);
    if (looked) {
        remember_times(folder, status);
        folder->suspicious = false;
    }
    return looked;
}

static bool look_if_changed(struct folder *folder, struct error *error)
{
    struct stat status[2];
    return read_times(folder, status, error)
           && (same_times(folder, status) || folder_look(folder, error));
}

static int compare_uids(const void *a, const void *b)
{
    const struct message *left = a;
    const struct message *right = b;
    return (left->uid > right->uid) - (left->uid < right->uid);
}

static void sort_messages(struct folder *folder)
{
    for (size_t i = 1; i < folder->count; i++) {
        if (folder->messages[i - 1].uid > folder->messages[i].uid) {
            qsort(folder->messages, folder->count, sizeof(folder->messages[0]), compare_uids);
            return;
        }
    }
}

/* A UID in a name is believed if this folder gave it: with its UIDVALIDITY, below its watermark. */
static bool is_ours(const struct folder *folder, const struct maildir_entry *entry,
                    const struct maildir_name *name)
{
    return entry->place == MAILDIR_CUR && name->uidvalidity == folder->record.uidvalidity
           && name->uid != 0 && name->uid < folder->record.uid_watermark;
}

/* Two files with one UID, as careless scripts make them: the second gets one of its own. */
static bool part_twins(struct folder *folder, struct error *error)
{
    size_t kept = 0;
    for (size_t i = 0; i < folder->count; i++) {
        struct message *message = &folder->messages[i];
        if (kept == 0 || folder->messages[kept - 1].uid != message->uid) {
            folder->messages[kept++] = *message;
            continue;
        }
        bool added = add_arrival(folder, MAILDIR_CUR, message->name, error);
        free(message->name);
        message->name = NULL;
        if (!added)
            return false;
    }
    folder->count = kept;
    return true;
}

static bool load_entries(struct folder *folder, const struct maildir_list *list,
                         struct error *error)
{
    if (!reserve(folder, list->count, error))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct maildir_entry *entry = &list->entries[i];
        struct maildir_name name;
        if (!maildir_name_parse(maildir_entry_name(entry), &name))
            continue;
        bool taken = is_ours(folder, entry, &name)
                         ? append(folder, entry->name, &name, error)
                         : add_arrival(folder, entry->place, entry->name, error);
        if (!taken)
            return false;
    }
    sort_messages(folder);
    return part_twins(folder, error);
}

static bool load_record(struct folder *folder, struct error *error)
{
    uint32_t uidvalidity;
    if (folder_record_load(folder->box.fd, &folder->record, error))
        return true;
    if (error->kind != ERROR_NOT_FOUND && error->kind != ERROR_PERMANENT)
        return false;
    if (error->kind == ERROR_PERMANENT)
        log_failure_of(folder, "folder_record_damaged", error);
    return uidvalidity_next(folder->mailbox->account_fd, mailbox_now(), &uidvalidity, error)
           && folder_record_renew(folder->box.fd, uidvalidity, &folder->record, error);
}

static bool load(struct folder *folder, struct error *error)
{
    struct maildir_list list;
    struct stat status[2];
    if (!load_record(folder, error))
        return false;
    folder->uid_next = (uint32_t)folder->record.uid_watermark;
    maildir_list_init(&list);
    bool loaded = read_times(folder, status, error) && maildir_scan(&folder->box, &list, error)
                  && load_entries(folder, &list, error);
    maildir_list_clear(&list);
    if (loaded)
        remember_times(folder, status);
    return loaded;
}

/* ---- what the watch reports ---- */

static struct folder *folder_of(struct watched *watched)
{
    return (void *)((uint8_t *)watched - offsetof(struct folder, watched));
}

/* Names are reported late: what we ourselves have renamed again since must not come back. */
static bool is_there(const struct folder *folder, enum maildir_place place, const char *name)
{
    struct stat status;
    return fstatat(maildir_place_fd(&folder->box, place), name, &status, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISREG(status.st_mode);
}

static void on_name(struct watched *watched, enum maildir_place place, const char *text)
{
    struct folder *folder = folder_of(watched);
    struct error error;
    struct maildir_name name;
    if (!maildir_name_parse(slice_of_string(text), &name))
        return;
    struct message *message = place == MAILDIR_CUR ? find_by_name(folder, &name) : NULL;
    if (message && strcmp(message->name, text) == 0)
        return; /* our own doing */
    if (!is_there(folder, place, text))
        return;
    bool taken = message && !is_there(folder, place, message->name)
                     ? take_name(folder, message, text, &name, NULL, &error)
                     : add_arrival(folder, place, text, &error);
    if (!taken)
        log_failure_of(folder, "change_not_followed", &error);
}

static void on_name_gone(struct watched *watched, enum maildir_place place, const char *text)
{
    struct folder *folder = folder_of(watched);
    struct maildir_name name;
    if (place != MAILDIR_CUR || !maildir_name_parse(slice_of_string(text), &name))
        return;
    const struct message *message = find_by_name(folder, &name);
    if (message && strcmp(message->name, text) == 0)
        folder->suspicious = true;
}

static void look_or_log(struct folder *folder)
{
    struct error error;
    if (!look_if_changed(folder, &error))
        log_failure_of(folder, "change_not_followed", &error);
}

static void on_settled(struct watched *watched)
{
    struct folder *folder = folder_of(watched);
    if (folder->suspicious)
        look_or_log(folder);
}

static void on_suspicion(struct watched *watched)
{
    look_or_log(folder_of(watched));
}

static const struct watched_handler watched_handler = {
    .on_name = on_name,
    .on_name_gone = on_name_gone,
    .on_settled = on_settled,
    .on_suspicion = on_suspicion,
};

/* ---- opening and keeping ---- */

static void free_folder(struct folder *folder)
{
    watch_remove(&folder->mailbox->watch, &folder->watched);
    turn_cancel(&folder->in_next_turn);
    turn_cancel(&folder->at_turn_end);
    forget_arrivals(folder);
    forget_messages(folder);
    maildir_close(&folder->box);
    DL_DELETE(folder->mailbox->folders, folder);
    free(folder);
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
    DL_PREPEND(mailbox->folders, folder);
    return folder;
}

/* The watch comes first: what happens while the directories are read is then not missed. */
static bool open_directories(struct folder *folder, struct error *error)
{
    struct stat status;
    if (!maildir_open(folder->mailbox->account_fd, folder->directory, &folder->box, error))
        return false;
    watch_add(&folder->mailbox->watch, &folder->watched, &watched_handler, folder->directory);
    if (fstat(folder->box.fd, &status) != 0)
        return error_errno(error, "fstat");
    if (folder->inode == 0)
        folder->inode = status.st_ino;
    if (folder->inode != status.st_ino)
        return error_set(error, ERROR_EXISTS, "another directory has the name");
    return true;
}

static bool load_new(struct mailbox *mailbox, const char *directory, struct folder **folder,
                     struct error *error)
{
    struct folder *new = new_folder(mailbox, directory);
    if (!new)
        return error_memory(error);
    if (!open_directories(new, error) || !load(new, error)) {
        free_folder(new);
        return false;
    }
    *folder = new;
    return true;
}

/* False: it cannot be used again. */
static bool reopen(struct folder *folder)
{
    struct error error;
    if (open_directories(folder, &error) && look_if_changed(folder, &error))
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

/* Numbering goes on where it stopped, not at the watermark, if we know where that was. */
static void lower_watermark(struct folder *folder)
{
    struct error error;
    struct folder_record record = folder->record;
    if (folder->uid_next == 0 || record.uid_watermark == folder->uid_next)
        return;
    record.uid_watermark = folder->uid_next;
    if (folder_record_store(folder->box.fd, &record, &error))
        folder->record = record;
    else
        log_failure_of(folder, "watermark_not_lowered", &error); /* a gap, no more */
}

/* The list has the latest first. */
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
        if (folders > UNUSED_FOLDERS || messages > UNUSED_MESSAGES)
            free_folder(folder);
    }
}

void folder_close(struct folder *folder)
{
    struct mailbox *mailbox = folder->mailbox;
    struct stat status[2];
    if (folder->users > 1) {
        folder->users--;
        return;
    }
    if (!folder->deleted) {
        watch_poll(&mailbox->watch); /* then all that happened is known, our own doing too */
        if (!folder->suspicious && read_times(folder, status, NULL))
            remember_times(folder, status);
        lower_watermark(folder);
    }
    folder->users = 0;
    watch_remove(&mailbox->watch, &folder->watched);
    if (folder->deleted || folder->arrivals || folder->gone) {
        free_folder(folder);
        return;
    }
    maildir_close(&folder->box);
    DL_DELETE(mailbox->folders, folder);
    DL_PREPEND(mailbox->folders, folder);
    forget_oldest(mailbox);
}

void folder_forget_unused(struct mailbox *mailbox)
{
    struct folder *folder, *next;
    DL_FOREACH_SAFE (mailbox->folders, folder, next) {
        if (folder->users == 0)
            free_folder(folder);
    }
}

void folder_on_deleted(struct mailbox *mailbox, const char *directory)
{
    struct folder *folder = find_folder(mailbox, directory);
    if (!folder)
        return;
    if (folder->users == 0) {
        free_folder(folder);
        return;
    }
    folder->deleted = true;
    watch_remove(&mailbox->watch, &folder->watched);
    forget_arrivals(folder);
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->messages[i].name)
            let_go(folder, &folder->messages[i]);
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
    return maildir_change(&folder->box, MAILDIR_CUR, message->name, &name, renamed, error)
           && take_name(folder, message, renamed, &name, teller, error);
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

bool folder_remove(struct folder *folder, struct message *message, struct error *error)
{
    struct mailbox *mailbox = folder->mailbox;
    uint64_t octets = 0;
    if (quota_is_set(&mailbox->quota))
        octets = quota_octets_of(&folder->box, MAILDIR_CUR, message->name);
    if (!maildir_remove_one_of(&mailbox->inbox, &folder->box, MAILDIR_CUR, message->name,
                               mailbox_now(), &mailbox->tombstones, error)) {
        if (error->kind == ERROR_NOT_FOUND)
            folder->suspicious = true;
        return false;
    }
    mailbox_count_quota(mailbox, -(int64_t)octets, -1);
    let_go(folder, message);
    return true;
}

void folder_moved_out(struct folder *folder, struct message *message)
{
    let_go(folder, message);
}
