/*
 * Restores UIDs that a crash removed from file names; see folder_recall() in folder_internal.h.
 *
 * The rename that gives a UID is not flushed: after a power cut the file can be in new/ again. A
 * client may have seen the message, and would get it a second time under another UID. The index has
 * the key of each message, and its date, since another program may reuse a key.
 */
#include "imapd/folder/folder_internal.h"

#include <fcntl.h>

#include <utlist.h>

#include "imapd/mailbox.h"
#include "storage/maildir_store.h"

static struct arrival *find_arrival(const struct folder *folder, struct slice key)
{
    struct arrival *arrival;
    struct maildir_name name;
    DL_FOREACH (folder->arrivals, arrival)
        if (maildir_name_parse(slice_of_string(arrival->name), &name) && name.uid == 0
            && slice_equal(name.key, key))
            return arrival;
    return NULL;
}

static bool is_as_old(const struct folder *folder, const struct arrival *arrival, int64_t seconds)
{
    struct stat status;
    return fstatat(maildir_place_fd(&folder->box, arrival->place), arrival->name, &status,
                   AT_SYMLINK_NOFOLLOW)
               == 0
           && status.st_mtim.tv_sec == seconds;
}

/* Of two UIDs of one file the second counts, as it is the later one. */
static void on_facts(void *owner, uint32_t uid, const struct index_facts *facts)
{
    const struct folder *folder = owner;
    if (uid >= folder->record.uid_watermark || folder_find(folder, uid))
        return;
    struct arrival *arrival = find_arrival(folder, facts->key);
    if (arrival && is_as_old(folder, arrival, facts->internal_date))
        arrival->uid = uid;
}

/* False: the file gets a UID like any new message. */
static bool welcome_back(struct folder *folder, const struct arrival *arrival, struct error *error)
{
    struct maildir_name name;
    char renamed[MAILDIR_NAME_SIZE];
    if (arrival->uid == 0 || !maildir_name_parse(slice_of_string(arrival->name), &name))
        return error_set(error, ERROR_NOT_FOUND, "nothing is known of it");
    name.uidvalidity = folder->record.uidvalidity;
    name.uid = arrival->uid;
    return maildir_change(&folder->box, arrival->place, arrival->name, &name, renamed, error)
           && folder_append(folder, renamed, &name, error);
}

void folder_recall(struct folder *folder)
{
    struct arrival *arrival, *next;
    struct error error;
    message_cache_visit_facts(&folder->mailbox->cache, folder->record.uidvalidity, on_facts,
                              folder);
    DL_FOREACH_SAFE (folder->arrivals, arrival, next)
        if (welcome_back(folder, arrival, &error))
            folder_remove_arrival(folder, arrival);
}
