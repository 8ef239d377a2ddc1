/* The accounts of a deliver process; see deliver_home.h. */
#include "smtpd/deliver/deliver_home.h"

#include <stdlib.h>
#include <time.h>

#include "common/disk/fd.h"
#include "storage/account_directory.h"
#include "storage/special_folder.h"

void deliver_home_close(struct deliver_homes *homes, struct deliver_home *home)
{
    if (!home->is_open)
        return;
    maildir_find_clear(&home->find);
    maildir_close(&home->inbox);
    home->is_open = false;
    homes->open--;
}

void deliver_homes_forget(struct deliver_homes *homes)
{
    struct deliver_home *home, *next;
    HASH_ITER (hh, homes->table, home, next)
        if (home->is_open)
            maildir_find_forget(&home->find);
}

struct deliver_home *deliver_homes_find(struct deliver_homes *homes, uint64_t handle)
{
    struct deliver_home *home;
    HASH_FIND(hh, homes->table, &handle, sizeof(handle), home);
    return home;
}

static struct deliver_home *add_home(struct deliver_homes *homes, uint64_t handle)
{
    struct deliver_home *home = calloc(1, sizeof(*home));
    if (!home)
        return NULL;
    home->handle = handle;
    home->inbox = MAILDIR_CLOSED;
    HASH_ADD(hh, homes->table, handle, sizeof(handle), home);
    if (hash_table_holds(&home->hh))
        return home;
    free(home);
    return NULL;
}

static void copy_text(char *text, struct slice octets)
{
    if (octets.len > 0)
        memcpy(text, octets.ptr, octets.len);
    text[octets.len] = '\0';
}

bool deliver_homes_set(struct deliver_homes *homes, const struct role_home *record,
                       struct slice texts, struct error *error)
{
    const struct master_home *facts = &record->home;
    struct slice account = slice_range(texts, 0, facts->account_octets);
    struct slice path = slice_from(texts, facts->account_octets);
    if (account.len != facts->account_octets || path.len != facts->path_octets
        || account.len > MASTER_ACCOUNT_MAX || path.len > MASTER_PATH_MAX)
        return error_set(error, ERROR_PEER, "home record is malformed");
    struct deliver_home *home = deliver_homes_find(homes, record->handle);
    if (!home)
        home = add_home(homes, record->handle);
    if (!home)
        return error_memory(error);
    deliver_home_close(homes, home);
    copy_text(home->account, account);
    copy_text(home->path, path);
    home->quota = (struct quota_limits){facts->quota_octets, facts->quota_messages};
    return true;
}

/* ---- opening ---- */

void deliver_homes_close(struct deliver_homes *homes)
{
    struct deliver_home *home, *next;
    HASH_ITER (hh, homes->table, home, next)
        deliver_home_close(homes, home);
}

static bool look_at_device(const struct deliver_homes *homes, const struct maildir *box,
                           bool *needs_flush, struct error *error)
{
    struct stat status;
    if (fstat(box->fd, &status) != 0)
        return error_errno(error, "look at Maildir");
    *needs_flush = homes->flush_each || status.st_dev != homes->device;
    return true;
}

bool deliver_home_open_sent(const struct deliver_homes *homes, struct deliver_home *home,
                            struct maildir *box, bool *needs_flush, struct error *error)
{
    if (!special_folder_find(home->inbox.fd, SPECIAL_SENT, home->sent, error)
        || !maildir_open(home->inbox.fd, home->sent, box, error))
        return false;
    bool looked = look_at_device(homes, box, needs_flush, error);
    if (!looked)
        maildir_close(box);
    return looked;
}

bool deliver_home_open(struct deliver_homes *homes, struct deliver_home *home, struct error *error)
{
    int fd;
    if (home->is_open)
        return true;
    if (homes->open >= DELIVER_HOMES_OPEN_MAX)
        deliver_homes_close(homes);
    if (homes->is_system && strcmp(home->path, homes->system_path) != 0)
        return error_set(error, ERROR_TEMPORARY, "another Maildir of the same uid is open");
    if (!account_directory_open(homes->root_fd, homes->is_system ? "" : home->path, &fd, error))
        return false;
    bool opened = maildir_open_inbox(fd, &home->inbox, error);
    fd_discard(&fd);
    if (!opened)
        return false;
    if (!look_at_device(homes, &home->inbox, &home->needs_flush, error)) {
        maildir_close(&home->inbox);
        return false;
    }
    maildir_find_init(&home->find, home->inbox.fd);
    home->is_open = true;
    homes->open++;
    if (!home->swept)
        maildir_sweep(&home->inbox, time(NULL));
    home->swept = true;
    return true;
}
