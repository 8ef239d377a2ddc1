/* New UIDs for an account restored from a backup; see restored.h. */
#include "imapd/upkeep/restored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <utlist.h>

#include "imapd/folder/folder.h"
#include "imapd/mailbox.h"
#include "imapd/session/session.h"
#include "imapd/upkeep/upkeep.h"
#include "storage/change_log.h"
#include "storage/maildir_scan.h"
#include "storage/maildir_store.h"
#include "storage/uidvalidity.h"

struct restored {
    struct folder_list folders;
    bool begun;
    size_t next;
    uint32_t forgetting; /* the old UIDVALIDITY still in the index; 0: none */
};

static void end(struct upkeep_job *job)
{
    struct restored *restored = job->state;
    if (!restored)
        return;
    folder_list_clear(&restored->folders);
    free(restored);
}

void restored_end_sessions(struct mailbox *mailbox)
{
    struct session *session, *next;
    learner_rest(&mailbox->learner);
    DL_FOREACH_SAFE (mailbox->sessions, session, next)
        session_bye(session, "The mail was restored from a backup; please connect again");
    folder_forget_unused(mailbox);
}

static bool begin(struct upkeep_job *job, struct restored *restored)
{
    struct error error;
    restored->begun = true;
    restored_end_sessions(job->mailbox);
    return (folders_list(job->mailbox->account_fd, &restored->folders, &error)
            && expunged_list(job->mailbox->account_fd, "", &restored->folders, &error))
           || upkeep_fail(job, &error);
}

/* ---- one folder ---- */

struct numbered {
    uint32_t uid; /* 0: it had none */
    const struct maildir_entry *entry;
};

static int compare(const void *left, const void *right)
{
    const struct numbered *a = left, *b = right;
    if (a->uid != b->uid) /* those without a UID come last, in delivery order */
        return (a->uid - 1 > b->uid - 1) - (a->uid - 1 < b->uid - 1);
    return slice_compare(maildir_entry_key(a->entry), maildir_entry_key(b->entry));
}

static bool rename_one(const struct maildir *box, const struct maildir_entry *entry,
                       const struct folder_record *record, struct error *error)
{
    struct maildir_name name;
    char renamed[MAILDIR_NAME_SIZE];
    if (!maildir_name_parse(maildir_entry_name(entry), &name))
        return true;
    name.uidvalidity = record->uidvalidity;
    name.uid = (uint32_t)record->uid_watermark;
    return maildir_change(box, entry->place, entry->name, &name, renamed, error)
           || error->kind == ERROR_NOT_FOUND;
}

/* Assigns UIDs from 1 on; afterwards the record's watermark is above them. */
static bool number_messages(const struct maildir *box, uint32_t old,
                            const struct maildir_list *list, struct folder_record *record,
                            struct error *error)
{
    struct numbered *all = calloc(list->count + 1, sizeof(*all));
    bool numbered = all || error_memory(error);
    for (size_t i = 0; numbered && i < list->count; i++) {
        struct maildir_name name;
        bool is_known = maildir_name_parse(maildir_entry_name(&list->entries[i]), &name)
                        && name.uidvalidity == old;
        all[i] = (struct numbered){is_known ? name.uid : 0, &list->entries[i]};
    }
    if (numbered && list->count > 0)
        qsort(all, list->count, sizeof(*all), compare);
    for (size_t i = 0; numbered && i < list->count; i++) {
        numbered = rename_one(box, all[i].entry, record, error);
        record->uid_watermark++;
    }
    free(all);
    return numbered;
}

/* The record is written last, when the new names are on disk: a crash before that leaves names
 * foreign to the old record, whose files get new UIDs from its watermark. */
static bool renumber(struct mailbox *mailbox, const struct maildir *box,
                     struct folder_record *record, size_t *messages, struct error *error)
{
    struct maildir_list list;
    uint32_t old = record->uidvalidity;
    maildir_list_init(&list);
    record->uid_watermark = 1;
    bool done = uidvalidity_next(mailbox->account_fd, mailbox_now(), &record->uidvalidity, error)
                && maildir_scan(box, &list, error)
                && number_messages(box, old, &list, record, error)
                && (fsync(box->cur_fd) == 0 || error_errno(error, "flush the folder"));
    *messages = list.count;
    maildir_list_clear(&list);
    if (done && unlinkat(box->fd, CHANGE_LOG_FILE, 0) != 0 && errno != ENOENT)
        done = error_errno(error, "remove " CHANGE_LOG_FILE);
    return done && folder_record_store(box->fd, record, error);
}

/* A folder with a damaged or missing record gets a new one when it is opened. */
static bool restore_folder(struct upkeep_job *job, struct restored *restored, const char *directory,
                           struct error *error)
{
    struct mailbox *mailbox = job->mailbox;
    struct folder_record record = {.uidvalidity = 0};
    struct maildir box;
    size_t messages;
    if (!maildir_open(mailbox->account_fd, directory, &box, error))
        return error->kind == ERROR_NOT_FOUND;
    bool known = folder_record_load(box.fd, &record, error);
    uint32_t old = record.uidvalidity;
    bool done = known && renumber(mailbox, &box, &record, &messages, error);
    maildir_close(&box);
    if (!known)
        return error->kind == ERROR_NOT_FOUND || error->kind == ERROR_PERMANENT;
    if (done) {
        restored->forgetting = old;
        upkeep_say(job, directory, "UIDVALIDITY %u instead of %u, %zu messages numbered anew",
                   record.uidvalidity, old, messages);
    }
    return done;
}

static bool step(struct upkeep_job *job)
{
    struct restored *restored = job->state;
    struct error error;
    if (!restored->begun && !begin(job, restored))
        return false;
    if (restored->forgetting != 0) {
        if (message_cache_forget(&job->mailbox->cache, restored->forgetting))
            restored->forgetting = 0;
        return true;
    }
    /* A client that connected meanwhile is disconnected too. */
    restored_end_sessions(job->mailbox);
    if (restored->next == restored->folders.count)
        return false;
    const char *directory = restored->folders.entries[restored->next++].directory;
    if (!restore_folder(job, restored, directory, &error))
        return upkeep_fail(job, &error);
    return true;
}

void restored_begin(struct upkeep_job *job)
{
    struct restored *restored = calloc(1, sizeof(*restored));
    struct error error;
    job->step = step;
    job->end = end;
    job->state = restored;
    if (restored) {
        folder_list_init(&restored->folders);
    } else {
        error_memory(&error);
        upkeep_fail(job, &error);
    }
}
