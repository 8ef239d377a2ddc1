/* QUIT's changes; see maildrop_update.h. Writes the Maildir. */
#include "pop3d/maildrop_update.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "storage/expunged.h"
#include "storage/maildir_store.h"
#include "storage/quota.h"

/* How often names are looked up again while another program renames files. */
enum { ROUNDS_MAX = 3 };

static void mark_retrieved(struct maildrop_list *list, const struct config_pop3 *config,
                           int64_t now)
{
    if (!config->delete_after_retrieval)
        return;
    int64_t keep_seconds = (int64_t)(config->keep_ms / 1000);
    for (size_t i = 0; i < list->count; i++)
        if (list->messages[i].retrieved && now - list->messages[i].arrived_at >= keep_seconds)
            maildrop_list_mark_deleted(list, &list->messages[i]);
}

struct update {
    struct maildrop_list *list;
    struct maildrop_updated *updated;
    int64_t now;
    struct tombstone_batch tombstones;
    const struct config *config;
    struct expunged expunged; /* what is kept of what is removed, if it is */
    int64_t octets_removed;   /* on disk, for the quota */
    bool names_are_stale;     /* a file was not found under its name */
    struct error first;       /* why a message could not be removed */
};

void maildrop_updated_release(struct maildrop_updated *updated)
{
    while (updated->held_count > 0)
        fd_discard(&updated->held[--updated->held_count]);
    free(updated->held);
    updated->held = NULL;
    updated->held_most = 0;
}

/* Half of the descriptors are left for others. No memory: none is held. */
static void prepare_to_hold(struct maildrop_updated *updated, size_t count)
{
    long descriptors = sysconf(_SC_OPEN_MAX);
    size_t most = descriptors > 0 ? (size_t)descriptors / 2 : 0;
    if (most > count)
        most = count;
    updated->held = most > 0 ? calloc(most, sizeof(*updated->held)) : NULL;
    updated->held_most = updated->held ? most : 0;
}

/* What is not held is freed at once. */
static void hold(struct maildrop_updated *updated, int directory_fd, const char *name)
{
    if (!updated->held || updated->held_count == updated->held_most)
        return;
    int fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        updated->held[updated->held_count++] = fd;
}

/* Its keywords are lost: only the user's mailbox process may write down which letter they have
 * among what is kept. */
static bool keep(struct update *update, const struct maildrop_message *message, struct error *error)
{
    const struct maildir *box = update->list->box;
    struct expunged_message kept = {.box = box,
                                    .place = message->place,
                                    .name = message->name,
                                    .host = slice_of_string(update->config->hostname),
                                    .now = update->now};
    return expunged_keep(&update->expunged, box, &kept, &update->tombstones, error);
}

static bool remove_for_good(struct update *update, const struct maildrop_message *message,
                            struct error *error)
{
    const struct maildir *box = update->list->box;
    hold(update->updated, maildir_place_fd(box, message->place), message->name);
    return maildir_remove_one_of(box, box, message->place, message->name, update->now,
                                 &update->tombstones, error);
}

static void remove_message(struct update *update, struct maildrop_message *message)
{
    const struct maildir *box = update->list->box;
    struct error error;
    uint64_t octets = quota_octets_of(box, message->place, message->name);
    if (update->config->undo.keep_ms > 0 ? keep(update, message, &error)
                                         : remove_for_good(update, message, &error)) {
        update->octets_removed += (int64_t)octets;
        update->updated->removed++;
        message->name = NULL;
    } else if (error.kind == ERROR_NOT_FOUND) {
        update->names_are_stale = true;
    } else {
        if (update->updated->failed++ == 0)
            update->first = error;
        message->name = NULL; /* one try is enough */
    }
}

/* Sets \Seen on retrieved messages, so that IMAP clients of the account see them as read. */
static void mark_seen(struct update *update, struct maildrop_message *message)
{
    struct maildir_name name;
    char renamed[MAILDIR_NAME_SIZE];
    struct error error;
    message->retrieved = false;
    if (!maildir_name_parse(slice_of_string(message->name), &name) || name.flags & MAILDIR_SEEN)
        return;
    name.flags |= MAILDIR_SEEN;
    if (maildir_change(update->list->box, message->place, message->name, &name, renamed, &error)) {
        update->updated->seen++;
    } else if (error.kind == ERROR_NOT_FOUND) {
        message->retrieved = true;
        update->names_are_stale = true;
    }
}

static void update_all(struct update *update)
{
    for (size_t i = 0; i < update->list->count; i++) {
        struct maildrop_message *message = &update->list->messages[i];
        if (!message->name)
            continue; /* done, or gone by other hands */
        if (message->deleted)
            remove_message(update, message);
        else if (message->retrieved)
            mark_seen(update, message);
    }
}

/* Removed messages count out of maildirsize; one that cannot be counted waits for the recount. */
static void count_out(const struct update *update)
{
    if (update->updated->removed > 0)
        quota_add(update->list->box, -update->octets_removed, -(int64_t)update->updated->removed,
                  NULL);
}

static bool flush(const struct update *update, struct error *error)
{
    const struct maildir *box = update->list->box;
    return update->updated->removed == 0
           || (expunged_flush(&update->expunged, error) && maildir_flush_removed(box, box, error));
}

static size_t count_unsettled(const struct maildrop_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += list->messages[i].deleted && list->messages[i].name;
    return count;
}

bool maildrop_update(struct maildrop_list *list, const struct config *config, int64_t now,
                     struct maildrop_updated *updated, struct error *error)
{
    struct update update = {.list = list,
                            .updated = updated,
                            .now = now,
                            .config = config,
                            .expunged = EXPUNGED_CLOSED};
    *updated = (struct maildrop_updated){.held = NULL};
    prepare_to_hold(updated, list->count);
    mark_retrieved(list, &config->pop3, now);
    update_all(&update);
    for (unsigned round = 1; update.names_are_stale && round < ROUNDS_MAX; round++) {
        update.names_are_stale = false;
        if (!maildrop_list_refresh(list, &update.first))
            break;
        update_all(&update);
    }
    updated->failed += count_unsettled(list);
    count_out(&update);
    bool flushed = flush(&update, error);
    expunged_close(&update.expunged);
    if (!flushed)
        return false;
    if (updated->failed == 0)
        return true;
    return error_set(error, ERROR_TEMPORARY, "%s",
                     update.first.kind != ERROR_NONE ? update.first.text
                                                     : "files are renamed all the time");
}
