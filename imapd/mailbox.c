/* The account of mailbox.h. */
#include "imapd/mailbox.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "common/config/config.h"
#include "common/size.h"
#include "imapd/folder/folder.h"
#include "imapd/session/session.h"
#include "storage/folder_name.h"
#include "storage/folders.h"
#include "storage/foreign/adopt.h"
#include "storage/foreign/foreign_names.h"
#include "storage/foreign/foreign_subscriptions.h"
#include "storage/uidvalidity.h"

int64_t mailbox_now(void)
{
    return time(NULL);
}

/* ---- making folders ---- */

/* The record is made with the folder, not when it is first opened: it holds the special use. */
static bool give_record(struct mailbox *mailbox, const char *directory, unsigned special_use,
                        struct error *error)
{
    struct maildir box;
    struct folder_record record;
    uint32_t uidvalidity;
    if (!maildir_open(mailbox->account_fd, directory, &box, error))
        return false;
    bool given = uidvalidity_next(mailbox->account_fd, mailbox_now(), &uidvalidity, error)
                 && folder_record_renew(box.fd, uidvalidity, &record, error);
    if (given && special_use) {
        record.special_use = special_use;
        given = folder_record_store(box.fd, &record, error);
    }
    maildir_close(&box);
    return given;
}

bool mailbox_create_folder(struct mailbox *mailbox, struct slice name, unsigned special_use,
                           struct error *error)
{
    char directory[MAILDIR_NAME_SIZE];
    return folder_name_to_directory(name, directory, error)
           && folders_create(mailbox->account_fd, directory, error)
           && give_record(mailbox, directory, special_use, error);
}

/* ---- a new account ---- */

static bool is_new(const struct mailbox *mailbox, bool *new, struct error *error)
{
    struct folder_list list;
    struct folder_record record;
    *new = false;
    if (folder_record_load(mailbox->inbox.fd, &record, error) || error->kind != ERROR_NOT_FOUND)
        return true; /* folder_open() mends a damaged record */
    folder_list_init(&list);
    bool listed = folders_list(mailbox->account_fd, &list, error);
    bool is_alone = list.count <= 1; /* INBOX */
    *new = listed &&is_alone && !adopt_is_waiting(mailbox->inbox.fd);
    folder_list_clear(&list);
    return listed;
}

static bool furnish(struct mailbox *mailbox, struct error *error)
{
    static const struct {
        struct slice name;
        enum special_use special_use;
    } usual[] = {
        {SLICE("Drafts"), SPECIAL_DRAFTS},   {SLICE("Sent"), SPECIAL_SENT},
        {SLICE("Junk"), SPECIAL_JUNK},       {SLICE("Trash"), SPECIAL_TRASH},
        {SLICE("Archive"), SPECIAL_ARCHIVE},
    };
    struct subscriptions *subscriptions = &mailbox->subscriptions;
    if (!subscriptions_add(subscriptions, SLICE("INBOX"), error))
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(usual); i++) {
        if (!mailbox_create_folder(mailbox, usual[i].name, usual[i].special_use, error)
            && error->kind != ERROR_EXISTS)
            return false;
        if (!subscriptions_add(subscriptions, usual[i].name, error))
            return false;
    }
    return subscriptions_store(mailbox->account_fd, subscriptions, error)
           && give_record(mailbox, MAILDIR_INBOX, 0, error); /* last: ends is_new() */
}

/* ---- names and subscriptions of the server before this one ---- */

static bool adopt_names(const struct mailbox *mailbox, struct error *error)
{
    struct foreign_names found;
    if (!foreign_names_rename(mailbox->account_fd, &found, error))
        return false;
    if (found.renamed > 0 || found.left > 0)
        LOG(mailbox->log, found.left > 0 ? LOG_WARNING : LOG_INFO, "folder_names_adopted",
            log_text("account", mailbox->account), log_number("renamed", (int64_t)found.renamed),
            log_number("left", (int64_t)found.left));
    return true;
}

static bool adopt_subscriptions(struct mailbox *mailbox, struct error *error)
{
    struct foreign_subscriptions found;
    struct subscriptions *subscriptions = &mailbox->subscriptions;
    if (!foreign_subscriptions_load(mailbox->account_fd, subscriptions, &found, error))
        return false;
    if (!found.from)
        return true;
    if (!subscriptions_store(mailbox->account_fd, subscriptions, error))
        return false;
    LOG(mailbox->log, LOG_INFO, "subscriptions_adopted", log_text("from", found.from),
        log_number("bad_lines", (int64_t)found.bad_lines));
    return true;
}

/* Adopts those of another server only if we have stored none of our own yet. */
static bool load_subscriptions(struct mailbox *mailbox, struct error *error)
{
    if (subscriptions_load(mailbox->account_fd, &mailbox->subscriptions, error))
        return true;
    return error->kind == ERROR_NOT_FOUND && adopt_names(mailbox, error)
           && adopt_subscriptions(mailbox, error);
}

/* ---- hibernating sessions ---- */

static void tell_changed(struct mailbox *mailbox)
{
    if (mailbox->changed[0] != '\0' && mailbox->watched && mailbox->on_changed)
        mailbox->on_changed(mailbox, mailbox->changed);
    mailbox->changed[0] = '\0';
}

static void on_telling(struct deferred *deferred)
{
    tell_changed((void *)((uint8_t *)deferred - offsetof(struct mailbox, telling)));
}

void mailbox_note_changed(struct mailbox *mailbox, const char *directory)
{
    if (!mailbox->watched || strcmp(mailbox->changed, directory) == 0)
        return;
    tell_changed(mailbox);
    snprintf(mailbox->changed, sizeof(mailbox->changed), "%s", directory);
    turn_defer(&mailbox->turn, &mailbox->telling);
}

/* ---- opening ---- */

bool mailbox_open(struct mailbox *mailbox, const struct mailbox_means *means, struct error *error)
{
    bool new;
    *mailbox = (struct mailbox){.log = means->log,
                                .config = means->config,
                                .account = means->account,
                                .account_fd = means->account_fd,
                                .inbox = MAILDIR_CLOSED,
                                .quota = means->quota,
                                .flushes = means->flushes};
    memcpy(mailbox->boot, means->boot, sizeof(mailbox->boot));
    turn_init(&mailbox->turn, means->loop);
    flush_rounds_start(mailbox->flushes, &mailbox->turn);
    mailbox->telling.run = on_telling;
    subscriptions_init(&mailbox->subscriptions);
    bool opened = maildir_open_inbox(means->account_fd, &mailbox->inbox, error)
                  && file_system_probe(mailbox->inbox.tmp_fd, &mailbox->file_system, error)
                  && load_subscriptions(mailbox, error) && is_new(mailbox, &new, error)
                  && (!new || furnish(mailbox, error));
    watch_init(&mailbox->watch, means->loop, opened && mailbox->file_system.inotify);
    message_cache_init(&mailbox->cache, mailbox);
    learner_init(&mailbox->learner, mailbox);
    folder_names_init(mailbox);
    if (!opened) {
        mailbox_close(mailbox);
        return false;
    }
    maildir_sweep(&mailbox->inbox, mailbox_now());
    undo_start(&mailbox->undo, mailbox);
    return true;
}

void mailbox_close(struct mailbox *mailbox)
{
    if (!mailbox->turn.loop)
        return;
    mailbox->on_idle = NULL;
    tell_changed(mailbox);
    learner_clear(&mailbox->learner);
    while (mailbox->sessions)
        session_free(mailbox->sessions);
    flush_rounds_stop(mailbox->flushes);
    folder_names_clear(mailbox);
    undo_stop(&mailbox->undo);
    folder_forget_unused(mailbox);
    message_cache_clear(&mailbox->cache);
    watch_clear(&mailbox->watch);
    subscriptions_clear(&mailbox->subscriptions);
    maildir_close(&mailbox->inbox);
    turn_clear(&mailbox->turn);
}

/* ---- quota ---- */

bool mailbox_has_room(struct mailbox *mailbox, uint64_t octets, uint32_t messages,
                      struct error *error)
{
    const struct quota_limits *limits = &mailbox->quota;
    struct quota_usage usage;
    bool fits = true;
    if (quota_is_set(limits)
        && !quota_check(&mailbox->inbox, limits, mailbox_now(), octets, &usage, &fits, error))
        return false;
    if (limits->messages > 0 && (uint64_t)usage.messages + messages > limits->messages)
        fits = false;
    if (fits)
        return true;
    error_set(error, ERROR_PERMANENT, "The mailbox is full");
    error->code = EDQUOT;
    return false;
}

void mailbox_count_quota(struct mailbox *mailbox, int64_t octets, int64_t messages)
{
    struct error error;
    if (quota_is_set(&mailbox->quota) && !quota_add(&mailbox->inbox, octets, messages, &error))
        LOG(mailbox->log, LOG_WARNING, "quota_not_counted", log_failure(&error));
}
