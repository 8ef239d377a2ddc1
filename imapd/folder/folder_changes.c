/*
 * The MODSEQs of a folder (RFC 7162): given here, kept in storage/change_log.h.
 *
 *     load: the log's last record of each message
 *           the same flags  -> its former MODSEQ
 *           other flags, or no record -> a new MODSEQ, the same for all of them
 *           a message in the log that does not exist -> counts as removed just now
 *
 * Every number that clients have seen is below the watermark on disk. If that cannot be raised (the
 * disk is full), changes by other programs get the last number that could be given.
 */
#include "imapd/folder/folder_internal.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <utlist.h>

#include "imapd/mailbox.h"
#include "storage/maildir_store.h"

enum {
    GONE_KEPT = 10000, /* of the messages that have gone, so many are remembered */
    SLACK = 4096,      /* records more than there would have to be, before the log is made anew */
};

/* What a reading of the log tells. */
struct history {
    struct folder *folder;
    struct buffer gone; /* struct gone, oldest first */
    struct buffer lost; /* the UIDs that the log still has as there */
};

struct gone {
    uint64_t modseq;
    uint32_t uid;
};

static void log_failure_of(const struct folder *folder, const char *event,
                           const struct error *error)
{
    LOG(folder->mailbox->log, LOG_WARNING, event,
        log_bytes("folder", slice_of_string(folder->directory)), log_failure(error));
}

/* ---- giving ---- */

bool folder_reserve_modseq(struct folder *folder, struct error *error)
{
    return folder->modseq_next < folder->record.modseq_watermark || folder_cover(folder, error);
}

static uint64_t next_modseq(struct folder *folder)
{
    struct error error;
    if (folder_reserve_modseq(folder, &error))
        return folder->modseq_next++;
    log_failure_of(folder, "modseq_not_given", &error);
    return folder_highest_modseq(folder);
}

static void put_message(struct folder *folder, const struct message *message)
{
    const struct change change = {.uid = message->uid,
                                  .flags = message->flags,
                                  .letters = message->letters,
                                  .modseq = message->modseq};
    change_log_put(&folder->changes, &change);
}

static void put_gone(struct folder *folder, uint32_t uid, uint64_t modseq)
{
    const struct change change = {.uid = uid, .gone = true, .modseq = modseq};
    change_log_put(&folder->changes, &change);
}

void folder_watch(struct folder *folder, struct folder_watcher *watcher)
{
    DL_APPEND(folder->watchers, watcher);
    watcher->is_watching = true;
}

void folder_unwatch(struct folder *folder, struct folder_watcher *watcher)
{
    if (watcher->is_watching)
        DL_DELETE(folder->watchers, watcher);
    watcher->is_watching = false;
}

static void tell_watchers(const struct folder *folder)
{
    struct folder_watcher *watcher;
    DL_FOREACH (folder->watchers, watcher)
        watcher->on_change(watcher);
}

void folder_note_changed(struct folder *folder, struct message *message)
{
    message->modseq = next_modseq(folder);
    put_message(folder, message);
    turn_defer(&folder->mailbox->turn, &folder->flush_changes);
    mailbox_note_changed(folder->mailbox, folder->directory);
    tell_watchers(folder);
}

void folder_note_gone(struct folder *folder, uint32_t uid)
{
    if (folder->deleted)
        return;
    put_gone(folder, uid, next_modseq(folder));
    turn_defer(&folder->mailbox->turn, &folder->flush_changes);
    mailbox_note_changed(folder->mailbox, folder->directory);
    tell_watchers(folder);
}

/* ---- reading ---- */

static void on_gone(struct history *history, const struct change *change)
{
    const struct gone gone = {.modseq = change->modseq, .uid = change->uid};
    buffer_append(&history->gone, slice_of(&gone, sizeof(gone)));
}

static void on_change(void *owner, const struct change *change)
{
    struct history *history = owner;
    struct message *message = folder_find(history->folder, change->uid);
    if (change->gone)
        on_gone(history, change);
    else if (!message)
        buffer_append(&history->lost, slice_of(&change->uid, sizeof(change->uid)));
    else if (message->flags == change->flags && message->letters == change->letters)
        message->modseq = change->modseq;
    else
        message->modseq = 0;
}

static bool read_log(struct folder *folder, change_visit *visit, struct history *history,
                     struct error *error)
{
    const struct change_log_trust trust = {folder->record.modseq_watermark,
                                           folder->record.uid_watermark};
    *history = (struct history){.folder = folder};
    buffer_init(&history->gone, SIZE_MAX);
    buffer_init(&history->lost, SIZE_MAX);
    if (!change_log_load(&folder->changes, folder->box.fd, &trust, visit, history, error))
        return false;
    return (!history->gone.failed && !history->lost.failed) || error_memory(error);
}

static void clear_history(struct history *history)
{
    buffer_clear(&history->gone);
    buffer_clear(&history->lost);
}

static size_t gone_count(const struct history *history)
{
    return history->gone.len / sizeof(struct gone);
}

static const struct gone *gone_at(const struct history *history, size_t index)
{
    return (const struct gone *)(const void *)history->gone.ptr + index;
}

/* ---- keeping the log short ---- */

static bool is_too_long(const struct folder *folder)
{
    return folder->changes.count > 2 * (folder->count + GONE_KEPT) + SLACK;
}

static void renew_from(struct folder *folder, const struct history *history)
{
    size_t count = gone_count(history);
    size_t forgotten = count > GONE_KEPT ? count - GONE_KEPT : 0;
    uint64_t complete_since = folder->changes.complete_since;
    if (forgotten > 0)
        complete_since = gone_at(history, forgotten - 1)->modseq;
    change_log_renew(&folder->changes, complete_since);
    for (size_t i = forgotten; i < count; i++)
        put_gone(folder, gone_at(history, i)->uid, gone_at(history, i)->modseq);
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->messages[i].name)
            put_message(folder, &folder->messages[i]);
    }
}

static void on_gone_only(void *owner, const struct change *change)
{
    if (change->gone)
        on_gone(owner, change);
}

static void shorten(struct folder *folder)
{
    struct history history;
    struct error error;
    if (read_log(folder, on_gone_only, &history, &error))
        renew_from(folder, &history);
    clear_history(&history);
}

/* ---- loading ---- */

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return (left > right) - (left < right);
}

/* The UIDs of `gone`, sorted; the caller frees them. */
static uint32_t *sort_gone(const struct history *history)
{
    size_t count = gone_count(history);
    uint32_t *uids = calloc(count + 1, sizeof(*uids));
    for (size_t i = 0; uids && i < count; i++)
        uids[i] = gone_at(history, i)->uid;
    if (uids)
        qsort(uids, count, sizeof(*uids), compare_numbers);
    return uids;
}

/* Notes messages that another program removed while the folder was not watched. False: no
 * memory. */
static bool note_lost(struct folder *folder, struct history *history)
{
    uint32_t *lost = (uint32_t *)(void *)history->lost.ptr;
    size_t count = history->lost.len / sizeof(*lost);
    uint64_t modseq = 0;
    if (count == 0)
        return true;
    uint32_t *known = sort_gone(history);
    if (!known)
        return false;
    qsort(lost, count, sizeof(*lost), compare_numbers);
    for (size_t i = 0; i < count; i++) {
        if ((i > 0 && lost[i] == lost[i - 1])
            || bsearch(&lost[i], known, gone_count(history), sizeof(*known), compare_numbers))
            continue;
        if (modseq == 0)
            modseq = next_modseq(folder);
        put_gone(folder, lost[i], modseq);
    }
    free(known);
    return true;
}

static void note_changed(struct folder *folder)
{
    uint64_t modseq = 0;
    for (size_t i = 0; i < folder->count; i++) {
        struct message *message = &folder->messages[i];
        if (!message->name || message->modseq != 0)
            continue;
        if (modseq == 0)
            modseq = next_modseq(folder);
        message->modseq = modseq;
        put_message(folder, message);
    }
}

/* Handles files of an APPEND that did not reach the disk before the host went down. They are set
 * aside, not removed, since something else may have shortened a complete file. */
static void drop_cut(struct folder *folder)
{
    int64_t now = mailbox_now();
    struct error error;
    for (size_t i = 0; i < folder->count; i++) {
        struct message *message = &folder->messages[i];
        if (!message->name || !maildir_append_was_cut(&folder->box, message->name, now)
            || !folder_set_aside(folder, message, &error))
            continue;
        LOG(folder->mailbox->log, LOG_WARNING, "append_cut_off",
            log_bytes("folder", slice_of_string(folder->directory)),
            log_number("uid", message->uid));
        folder_let_go(folder, message);
    }
}

/* "every message gets MODSEQ watermark + 1", and of what has gone nothing is known. */
static void begin_anew(struct folder *folder, const struct error *why)
{
    if (why->kind != ERROR_NOT_FOUND)
        log_failure_of(folder, "changes_begun_anew", why);
    for (size_t i = 0; i < folder->count; i++)
        folder->messages[i].modseq = 0;
    change_log_renew(&folder->changes, folder_highest_modseq(folder) + 1);
    drop_cut(folder);
    note_changed(folder);
}

void folder_load_changes(struct folder *folder)
{
    struct history history;
    struct error error;
    if (folder->modseq_next == 1) /* a MODSEQ, and so the highest, is not 0 (RFC 7162 7) */
        folder->modseq_next = 2;
    change_log_init(&folder->changes, folder->record.uidvalidity, folder->mailbox->boot);
    bool loaded = read_log(folder, on_change, &history, &error);
    if (loaded && !note_lost(folder, &history))
        loaded = error_memory(&error);
    if (loaded)
        note_changed(folder);
    else
        begin_anew(folder, &error);
    if (loaded && is_too_long(folder)) {
        folder_flush_changes(&folder->flush_changes);
        shorten(folder);
    }
    clear_history(&history);
    turn_defer(&folder->mailbox->turn, &folder->flush_changes);
}

bool folder_resume_changes(struct folder *folder, uint64_t complete_since, uint64_t count)
{
    const struct change_log_trust trust = {folder->record.modseq_watermark,
                                           folder->record.uid_watermark};
    change_log_init(&folder->changes, folder->record.uidvalidity, folder->mailbox->boot);
    return change_log_resume(&folder->changes, folder->box.fd, &trust, complete_since, count)
           && !is_too_long(folder);
}

/* ---- writing ---- */

static void flush(struct folder *folder)
{
    struct error error;
    if (!folder->deleted && !change_log_flush(&folder->changes, folder->box.fd, &error))
        log_failure_of(folder, "changes_not_kept", &error);
}

void folder_flush_changes(struct deferred *deferred)
{
    flush((void *)((uint8_t *)deferred - offsetof(struct folder, flush_changes)));
}

void folder_rest_changes(struct folder *folder)
{
    flush(folder);
    if (!folder->deleted && is_too_long(folder)) {
        shorten(folder);
        flush(folder);
    }
}

void folder_close_changes(struct folder *folder)
{
    folder_rest_changes(folder);
    change_log_close(&folder->changes);
}

void folder_seal_changes(struct folder *folder, int folder_fd)
{
    struct error error;
    if (!change_log_seal(&folder->changes, folder_fd, folder->modseq_next, &error))
        log_failure_of(folder, "changes_not_kept", &error);
}

/* ---- what has gone ---- */

bool folder_visit_gone(struct folder *folder, uint64_t since_modseq, folder_gone_visit *visit,
                       void *owner)
{
    struct history history = {.folder = folder};
    struct error error;
    flush(folder);
    bool known = !folder->changes.renewing && since_modseq >= folder->changes.complete_since
                 && read_log(folder, on_gone_only, &history, &error);
    if (known) {
        for (size_t i = 0; i < gone_count(&history); i++) {
            if (gone_at(&history, i)->modseq > since_modseq)
                visit(owner, gone_at(&history, i)->uid);
        }
    }
    clear_history(&history);
    return known;
}
