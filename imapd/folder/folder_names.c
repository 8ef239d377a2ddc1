/*
 * The names of a folder, kept for the next process (storage/names_file.h).
 *
 *     closed by its last user ── a while ──> read once more if it has just changed ──> written
 *                                  ^─────── if a change could still have the same time ──┘
 *     opened by a process for the first time: mapped, and believed if cur/ is as it was ── a while
 *         ──> settled: the file may go
 *
 * If new/ has changed, only that is read; SELECT had emptied it, so it is short.
 */
#include "imapd/folder/folder_internal.h"

#include <stddef.h>

#include <utlist.h>

#include "imapd/mailbox.h"
#include "storage/maildir_scan.h"
#include "storage/names_file.h"

enum {
    MESSAGES_MIN = 200, /* fewer are read as fast from the directory */
    ARRIVALS_MAX = 32,  /* each is compared with all names */
    TRIES_MAX = 10,     /* where something is always changing just now */
};

/* Waits longer while there are sessions, which may use the folder again. */
static const double WAIT_SECONDS = 2;
static const double WAIT_ALONE_SECONDS = 0.02;
static const double SETTLING_SECONDS = 0.5; /* after the first commands of a client */

static void log_problem(const struct folder *folder, const char *event, const struct error *error)
{
    LOG(folder->mailbox->log, LOG_WARNING, event,
        log_bytes("folder", slice_of_string(folder->directory)), log_failure(error));
}

static struct names_origin origin_of(const struct folder *folder, const struct folder_times *times)
{
    struct names_origin origin = {.uidvalidity = folder->record.uidvalidity,
                                  .new = names_directory_of(&times->status[0]),
                                  .cur = names_directory_of(&times->status[1]),
                                  .complete_since = folder->changes.complete_since,
                                  .changes = folder->changes.count};
    memcpy(origin.boot, folder->mailbox->boot, sizeof(origin.boot));
    return origin;
}

/* ---- writing ---- */

static bool store(struct folder *folder, const struct folder_times *times, struct error *error)
{
    struct names_file file;
    names_file_init(&file);
    file.origin = origin_of(folder, times);
    for (size_t i = 0; i < folder->count; i++) {
        const struct message *message = &folder->messages[i];
        const struct names_entry entry = {.name = message->name,
                                          .uid = message->uid,
                                          .flags = message->flags,
                                          .letters = message->letters,
                                          .internal_date = message->internal_date,
                                          .modseq = message->modseq};
        names_file_add(&file, &entry);
    }
    bool stored = names_file_store(&file, folder->box.fd, error);
    names_file_clear(&file);
    return stored;
}

static bool can_be_kept(const struct folder *folder)
{
    return folder->count >= MESSAGES_MIN && folder->gone == 0 && !folder->arrivals
           && !folder->deleted && folder->uid_next != 0;
}

/* False: try again soon. Gives up if another program changes the folder all the time, or if the
 * clock was set back. */
static bool look_and_store(struct folder *folder)
{
    struct error error;
    struct folder_times times;
    if (!folder_read_times(folder, &times, &error))
        return true;
    if (!times.sure[0] || !times.sure[1])
        return false;
    if (!folder_look_if_changed(folder, &error) || !can_be_kept(folder))
        return true; /* it is read when it is wanted, and then says what is wrong */
    folder_close_changes(folder);
    if (folder->changes.failed || folder->changes.renewing || !folder_is_as_known(folder, &times))
        return true;
    if (!store(folder, &times, &error))
        log_problem(folder, "names_not_kept", &error);
    return true;
}

void folder_keep_names(struct folder *folder)
{
    folder_shut(folder);
    if (!folder->names_due)
        return;
    folder->names_due = false;
    if (!can_be_kept(folder) || !folder_open_same(folder, &folder->box, NULL))
        return;
    folder->names_due = !look_and_store(folder) && ++folder->names_tries < TRIES_MAX;
    if (!folder->names_due)
        folder->names_tries = 0;
    folder_close_changes(folder); /* what a look may have found */
    maildir_close(&folder->box);
}

void folder_finish_names(struct folder *folder)
{
    enum { TRIES = 3 };
    struct timespec tick;
    bool can_wait =
        folder->mailbox->file_system.inotify && clock_getres(CLOCK_REALTIME_COARSE, &tick) == 0;
    folder_keep_names(folder);
    for (int i = 0; i < TRIES && folder->names_due && can_wait; i++) {
        nanosleep(&tick, NULL);
        folder_keep_names(folder);
    }
}

/* ---- when ---- */

static struct folder *find_due(const struct mailbox *mailbox)
{
    struct folder *folder;
    DL_FOREACH (mailbox->folders, folder)
        if (folder->users == 0 && folder->names_due)
            return folder;
    return NULL;
}

void folder_names_arrange(struct mailbox *mailbox)
{
    ev_timer *timer = &mailbox->names_due;
    ev_timer_stop(mailbox->turn.loop, timer);
    if (!find_due(mailbox))
        return;
    ev_timer_set(timer, mailbox->sessions ? WAIT_SECONDS : WAIT_ALONE_SECONDS, 0);
    ev_timer_start(mailbox->turn.loop, timer);
}

static void on_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct mailbox *mailbox = timer->data;
    struct folder *folder = find_due(mailbox);
    (void)loop;
    (void)events;
    if (folder)
        folder_keep_names(folder);
    folder_names_arrange(mailbox);
}

static void on_settling(struct ev_loop *loop, ev_timer *timer, int events)
{
    const struct mailbox *mailbox = timer->data;
    struct folder *folder;
    (void)loop;
    (void)events;
    DL_FOREACH (mailbox->folders, folder)
        names_block_settle(&folder->names);
}

void folder_names_init(struct mailbox *mailbox)
{
    ev_timer_init(&mailbox->names_due, on_due, 0, 0);
    mailbox->names_due.data = mailbox;
    ev_timer_init(&mailbox->names_settling, on_settling, 0, 0);
    mailbox->names_settling.data = mailbox;
}

void folder_names_clear(struct mailbox *mailbox)
{
    ev_timer_stop(mailbox->turn.loop, &mailbox->names_due);
    ev_timer_stop(mailbox->turn.loop, &mailbox->names_settling);
}

/* ---- reading ---- */

/* A name in cur/ that begins so is of the same key, or looks like it. */
static bool has_key(const struct names_block *block, struct slice key)
{
    for (size_t i = 0; i < block->count; i++) {
        if (slice_starts_with(slice_of_string(block->entries[i].name), key))
            return true;
    }
    return false;
}

/* Two files with one key want maildir_scan(). */
static bool are_distinct(const struct maildir_list *list, const struct names_block *block)
{
    if (list->count > ARRIVALS_MAX)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        struct slice key = maildir_entry_key(&list->entries[i]);
        if ((i > 0 && slice_equal(key, maildir_entry_key(&list->entries[i - 1])))
            || has_key(block, key))
            return false;
    }
    return true;
}

static bool add_arrivals(struct folder *folder, const struct maildir_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!folder_add_arrival(folder, MAILDIR_NEW, list->entries[i].name, NULL))
            return false;
    }
    return true;
}

/* Reads files put into new/ since; cur/ must not change meanwhile, or a message moved there would
 * be missed. */
static bool read_new(struct folder *folder, const struct names_block *block)
{
    struct maildir_list list;
    struct stat status[2];
    maildir_list_init(&list);
    bool read = maildir_scan_new(&folder->box, &list, NULL) && are_distinct(&list, block)
                && fstat(folder->box.new_fd, &status[0]) == 0
                && fstat(folder->box.cur_fd, &status[1]) == 0;
    if (read) {
        struct names_directory cur = names_directory_of(&status[1]);
        read = names_directory_equal(&cur, &block->origin.cur) && add_arrivals(folder, &list);
    }
    maildir_list_clear(&list);
    return read;
}

static bool is_ours(const struct folder *folder, const struct names_block *block)
{
    return block->modseq_least > 0 && block->modseq_most < folder->modseq_next
           && block->entries[block->count - 1].uid < folder->uid_next;
}

/* Converts the entries to messages in place. */
static void take_entries(struct folder *folder, const struct names_block *block)
{
    ev_timer *timer = &folder->mailbox->names_settling;
    _Static_assert(sizeof(struct message) == sizeof(struct names_entry)
                       && offsetof(struct message, name) == offsetof(struct names_entry, name)
                       && offsetof(struct message, uid) == offsetof(struct names_entry, uid)
                       && offsetof(struct message, flags) == offsetof(struct names_entry, flags)
                       && offsetof(struct message, letters) == offsetof(struct names_entry, letters)
                       && offsetof(struct message, internal_date)
                              == offsetof(struct names_entry, internal_date)
                       && offsetof(struct message, modseq) == offsetof(struct names_entry, modseq)
                       && offsetof(struct message, recent)
                              == offsetof(struct names_entry, reserved),
                   "one takes the other's place");
    folder->names = *block;
    folder->messages = (struct message *)(void *)block->entries;
    folder->count = folder->capacity = block->count;
    folder->unseen_from = block->unseen_from;
    folder->names_due = false;
    if (block->is_placed && !ev_is_active(timer)) {
        ev_timer_set(timer, SETTLING_SECONDS, 0);
        ev_timer_start(folder->mailbox->turn.loop, timer);
    }
}

bool folder_load_names(struct folder *folder, const struct folder_times *times)
{
    const struct names_origin wanted = origin_of(folder, times);
    struct names_block block;
    struct error error;
    if (!names_block_load(&block, folder->box.fd, &wanted, &error)) {
        if (error.kind == ERROR_PERMANENT)
            log_problem(folder, "names_not_believed", &error);
        return false;
    }
    if (is_ours(folder, &block)
        && folder_resume_changes(folder, block.origin.complete_since, block.origin.changes)
        && (names_directory_equal(&wanted.new, &block.origin.new) || read_new(folder, &block))) {
        take_entries(folder, &block);
        return true;
    }
    folder_forget_arrivals(folder);
    names_block_clear(&block);
    return false;
}
