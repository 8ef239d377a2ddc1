/* A folder and its directories: reading them, and following what other programs do there. See
 * folder.h. */
#include "imapd/folder/folder_internal.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/config/config.h"
#include "imapd/folder/view.h"
#include "imapd/mailbox.h"
#include "storage/foreign/adopt.h"
#include "storage/foreign/adopted_uidls.h"
#include "storage/maildir_scan.h"
#include "storage/uidvalidity.h"

/* The message whose file has or had this name. */
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

/* Two changes within one tick of the file system's clock leave the same time. That clock is the
 * kernel's coarse one; where it counts whole seconds (ext4 with small inodes), so does this. */
static bool is_past_tick(struct timespec time, const struct timespec *now)
{
    if (time.tv_nsec == 0 || time.tv_sec != now->tv_sec)
        return time.tv_sec < now->tv_sec;
    return time.tv_nsec < now->tv_nsec;
}

/* A change after this reading of the clock gets that time at the earliest. */
static struct timespec read_clock(const struct folder *folder)
{
    enum { FOREIGN_TICK_SECONDS = 2 }; /* another host's clock, perhaps in seconds */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (!folder->mailbox->file_system.inotify)
        now.tv_sec -= FOREIGN_TICK_SECONDS;
    return now;
}

bool folder_read_times(const struct folder *folder, struct folder_times *times, struct error *error)
{
    const int fds[2] = {folder->box.new_fd, folder->box.cur_fd};
    struct timespec now = read_clock(folder);
    for (int i = 0; i < 2; i++) {
        if (fstat(fds[i], &times->status[i]) != 0)
            return error_errno(error, "fstat");
        times->sure[i] = is_past_tick(times->status[i].st_mtim, &now);
    }
    return true;
}

static void remember(struct folder *folder, const struct folder_times *times)
{
    for (int i = 0; i < 2; i++)
        folder->times[i] = times->sure[i] ? times->status[i].st_mtim : (struct timespec){0, 0};
}

/* Reads the times first: a later change has another time, or is among the watch's reports. */
void folder_remember_times(struct folder *folder)
{
    struct folder_times times;
    bool read = folder_read_times(folder, &times, NULL);
    watch_poll(&folder->mailbox->watch);
    if (read && !folder->suspicious)
        remember(folder, &times);
    else
        folder->times[0].tv_sec = 0;
}

static bool same_times(const struct folder *folder, const struct folder_times *times)
{
    for (int i = 0; i < 2; i++) {
        struct timespec now = times->status[i].st_mtim;
        if (folder->times[i].tv_sec == 0 || folder->times[i].tv_sec != now.tv_sec
            || folder->times[i].tv_nsec != now.tv_nsec)
            return false;
    }
    return true;
}

bool folder_is_as_known(const struct folder *folder, struct folder_times *times)
{
    return folder_read_times(folder, times, NULL) && same_times(folder, times);
}

static bool meet_entry(struct folder *folder, const struct maildir_entry *entry,
                       struct error *error)
{
    struct maildir_name name;
    if (!maildir_name_parse(maildir_entry_name(entry), &name))
        return true;
    struct message *message = entry->place == MAILDIR_CUR ? find_by_name(folder, &name) : NULL;
    if (!message || message->met)
        return folder_add_arrival(folder, entry->place, entry->name, error);
    message->met = true;
    return strcmp(message->name, entry->name) == 0
           || folder_take_name(folder, message, entry->name, &name, NULL, error);
}

static bool meet_entries(struct folder *folder, const struct maildir_list *list,
                         struct error *error)
{
    folder_forget_arrivals(folder); /* all of them are in the list */
    for (size_t i = 0; i < folder->count; i++)
        folder->messages[i].met = false;
    for (size_t i = 0; i < list->count; i++) {
        if (!meet_entry(folder, &list->entries[i], error))
            return false;
    }
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->messages[i].name && !folder->messages[i].met)
            folder_let_go(folder, &folder->messages[i]);
    }
    return true;
}

/* Reads both directories and brings the messages up to date. */
bool folder_look(struct folder *folder, struct error *error)
{
    struct maildir_list list;
    struct folder_times times;
    maildir_list_init(&list);
    bool looked = folder_read_times(folder, &times, error)
                  && maildir_scan(&folder->box, &list, error) && meet_entries(folder, &list, error);
    maildir_list_clear(&list);
    if (looked) {
        remember(folder, &times);
        folder->suspicious = false;
    }
    return looked;
}

bool folder_look_if_changed(struct folder *folder, struct error *error)
{
    struct folder_times times;
    return folder_read_times(folder, &times, error)
           && (same_times(folder, &times) || folder_look(folder, error));
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

/* A UID in a name is accepted only if this folder gave it: its UIDVALIDITY, below its watermark. */
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
    bool parted = true;
    for (size_t i = 0; i < folder->count; i++) {
        struct message *message = &folder->messages[i];
        if (kept == 0 || folder->messages[kept - 1].uid != message->uid) {
            folder->messages[kept++] = *message;
            continue;
        }
        parted = parted && folder_add_arrival(folder, MAILDIR_CUR, message->name, error);
        free(message->name);
    }
    folder->count = kept; /* on failure, too: what is after it is no message's any more */
    return parted;
}

static bool load_entries(struct folder *folder, const struct maildir_list *list,
                         struct error *error)
{
    if (!folder_reserve(folder, list->count, error))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct maildir_entry *entry = &list->entries[i];
        struct maildir_name name;
        if (!maildir_name_parse(maildir_entry_name(entry), &name))
            continue;
        bool taken = is_ours(folder, entry, &name)
                         ? folder_append(folder, entry->name, &name, error)
                         : folder_add_arrival(folder, entry->place, entry->name, error);
        if (!taken)
            return false;
    }
    sort_messages(folder);
    if (!part_twins(folder, error))
        return false;
    if (folder->arrivals) {
        folder_recall(folder);
        sort_messages(folder);
    }
    return true;
}

/* Takes over a folder of another server, with its UIDs. POP3's unique-ids are stored first, while
 * the names in INBOX are still those of that server's list. */
static bool adopt(struct folder *folder, struct error *error)
{
    struct mailbox *mailbox = folder->mailbox;
    struct adoption adoption;
    const struct adoption_request request = {mailbox->account_fd, &folder->box, folder->directory,
                                             mailbox_now()};
    struct slice format = slice_of_string(mailbox->config->pop3.uidl_format.text);
    if (strcmp(folder->directory, MAILDIR_INBOX) == 0
        && !adopted_uidls_make(&mailbox->inbox, format, error))
        return false;
    if (!adopt_folder(&request, &folder->record, &adoption, error))
        return false;
    LOG(mailbox->log, adoption.bad_lines > 0 ? LOG_WARNING : LOG_INFO, "folder_adopted",
        log_bytes("folder", slice_of_string(folder->directory)), log_text("from", adoption.from),
        log_number("messages", (int64_t)adoption.messages),
        log_number("others", (int64_t)adoption.others),
        log_number("bad_lines", (int64_t)adoption.bad_lines),
        log_number("first_bad_line", (int64_t)adoption.first_bad_line),
        log_text("uidvalidity", adoption.has_uidvalidity_of_other ? "new" : "kept"));
    learner_note(&mailbox->learner, folder, 1);
    return true;
}

/* Mail of another server may have been copied into an existing folder: if its record has given no
 * UID, it is replaced. */
static bool adopt_into_empty(struct folder *folder, struct error *error)
{
    if (folder->record.uid_watermark > 1 || !adopt_is_waiting(folder->box.fd)
        || adopt(folder, error))
        return true;
    if (error->kind == ERROR_PERMANENT)
        folder_log(folder, "folder_not_adopted", error);
    return error->kind == ERROR_NOT_FOUND || error->kind == ERROR_PERMANENT;
}

/* False with ERROR_NOT_FOUND or ERROR_PERMANENT: a new record is wanted. */
static bool find_record(struct folder *folder, struct error *error)
{
    if (folder_record_load(folder->box.fd, &folder->record, error))
        return adopt_into_empty(folder, error);
    if (error->kind == ERROR_PERMANENT)
        folder_log(folder, "folder_record_damaged", error);
    if (error->kind != ERROR_NOT_FOUND)
        return false;
    if (adopt(folder, error))
        return true;
    if (error->kind == ERROR_PERMANENT)
        folder_log(folder, "folder_not_adopted", error);
    return false;
}

static bool load_record(struct folder *folder, struct error *error)
{
    uint32_t uidvalidity;
    if (find_record(folder, error))
        return true;
    return (error->kind == ERROR_NOT_FOUND || error->kind == ERROR_PERMANENT)
           && uidvalidity_next(folder->mailbox->account_fd, mailbox_now(), &uidvalidity, error)
           && folder_record_renew(folder->box.fd, uidvalidity, &folder->record, error);
}

bool folder_load(struct folder *folder, struct error *error)
{
    struct maildir_list list;
    struct folder_times times;
    if (!load_record(folder, error))
        return false;
    folder->uid_next = (uint32_t)folder->record.uid_watermark;
    folder->modseq_next = folder->record.modseq_watermark;
    if (!folder_read_times(folder, &times, error))
        return false;
    if (folder_load_names(folder, &times)) {
        remember(folder, &times);
        return true;
    }
    maildir_list_init(&list);
    bool loaded = maildir_scan(&folder->box, &list, error) && load_entries(folder, &list, error);
    maildir_list_clear(&list);
    if (loaded) {
        folder_load_changes(folder);
        remember(folder, &times);
    }
    return loaded;
}

/* ---- what the watch reports ---- */

static struct folder *folder_of(struct watched *watched)
{
    return (void *)((uint8_t *)watched - offsetof(struct folder, watched));
}

/* Reports are late: a name that we have renamed again since must not come back. */
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
                     ? folder_take_name(folder, message, text, &name, NULL, &error)
                     : folder_add_arrival(folder, place, text, &error);
    if (!taken)
        folder_log(folder, "change_not_followed", &error);
}

/* A rename is reported twice, and the second report may have the new name. So messages without a
 * new name are only looked for when all reports have been processed. */
static void on_name_gone(struct watched *watched, enum maildir_place place, const char *text)
{
    struct folder *folder = folder_of(watched);
    struct maildir_name name;
    if (place != MAILDIR_CUR || !maildir_name_parse(slice_of_string(text), &name))
        return;
    const struct message *message = find_by_name(folder, &name);
    if (!message || strcmp(message->name, text) != 0)
        return; /* our own doing */
    if (folder->missing_count < FOLDER_MISSING_MAX)
        folder->missing[folder->missing_count++] = message->uid;
    else
        folder->suspicious = true;
}

static void look_or_log(struct folder *folder)
{
    struct error error;
    if (!folder_look_if_changed(folder, &error))
        folder_log(folder, "change_not_followed", &error);
}

static void on_settled(struct watched *watched)
{
    struct folder *folder = folder_of(watched);
    for (unsigned i = 0; i < folder->missing_count && !folder->suspicious; i++) {
        const struct message *message = folder_find(folder, folder->missing[i]);
        folder->suspicious = message && !is_there(folder, MAILDIR_CUR, message->name);
    }
    folder->missing_count = 0;
    if (folder->suspicious)
        look_or_log(folder);
}

static void on_suspicion(struct watched *watched)
{
    look_or_log(folder_of(watched));
}

const struct watched_handler folder_watched = {
    .on_name = on_name,
    .on_name_gone = on_name_gone,
    .on_settled = on_settled,
    .on_suspicion = on_suspicion,
};
