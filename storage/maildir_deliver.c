/* Delivers into a folder, exactly once; see maildir_deliver.h. */
#include "storage/maildir_deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "storage/maildir_name.h"
#include "storage/tombstone.h"

enum { LOOKS_MAX = 3 };

/* ---- names ---- */

/* The two names of a delivery: with sizes in new/, without in tmp/, where they are not known yet.
 */
struct names {
    char temporary[MAILDIR_NAME_SIZE]; /* the unique part: what a repeated delivery looks for */
    char final[MAILDIR_NAME_SIZE];
};

static bool add_flags(uint32_t flags, char final[MAILDIR_NAME_SIZE], struct error *error)
{
    char key[MAILDIR_NAME_SIZE];
    memcpy(key, final, MAILDIR_NAME_SIZE);
    const struct maildir_name name = {.key = slice_of_string(key), .flags = flags};
    return maildir_name_format(&name, final)
           || error_set(error, ERROR_PERMANENT, "name %.60s is too long", key);
}

static bool make_names(const struct maildir_delivery *delivery, struct names *names,
                       struct error *error)
{
    char unique[DELIVERED_UNIQUE_SIZE];
    uint64_t octets = pieces_octets(delivery->pieces, delivery->piece_count), bare_lf;
    if (!delivered_unique_format(delivery->queue_id, delivery->recipient, unique))
        return error_set(error, ERROR_PERMANENT, "queue id %.60s is too long", delivery->queue_id);
    if (!pieces_count_bare_lf(delivery->pieces, delivery->piece_count, &bare_lf, error))
        return false;
    struct maildir_key key = {
        .seconds = delivery->arrival > 0 ? (uint64_t)delivery->arrival : 0,
        .unique = slice_of_string(unique),
        .host = delivery->host,
        .octets = octets,
        .crlf_octets = octets + bare_lf,
    };
    maildir_key_format_unique(&key, names->temporary);
    maildir_key_format(&key, names->final);
    return delivery->flags == 0 || add_flags(delivery->flags, names->final, error);
}

/* ---- writing ---- */

static bool write_pieces(int tmp_fd, const char *name, const struct maildir_delivery *delivery,
                         struct error *error)
{
    /* O_TRUNC: a try cut short by a crash may have left its half under the same name. */
    int fd = openat(tmp_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "create tmp/%.100s", name);
    bool written = pieces_write(fd, delivery->pieces, delivery->piece_count, error);
    if (written && delivery->flush && fsync(fd) != 0)
        written = error_errno(error, "flush");
    if (written)
        written = fd_close(&fd, error);
    fd_discard(&fd);
    return written || error_prefix(error, "tmp/%.100s", name);
}

static bool flush_directory(int fd, const struct maildir_delivery *delivery, struct error *error)
{
    return !delivery->flush || fsync(fd) == 0 || error_errno(error, "flush directory");
}

static bool write_and_rename(const struct maildir *box, const struct names *names,
                             const struct maildir_delivery *delivery, struct error *error)
{
    bool done = write_pieces(box->tmp_fd, names->temporary, delivery, error);
    if (done && renameat(box->tmp_fd, names->temporary, box->new_fd, names->final) != 0)
        done = error_errno(error, "rename tmp/%.100s", names->temporary);
    if (!done) {
        unlinkat(box->tmp_fd, names->temporary, 0);
        return false;
    }
    return flush_directory(box->new_fd, delivery, error);
}

/* Replaces only a file that still exists: the mailbox process may be renaming it just now, and then
 * there would be two. */
static bool replace(const struct maildir *box, const char *temporary, int place_fd,
                    const char *name, struct error *error)
{
    if (renameat2(box->tmp_fd, temporary, place_fd, name, RENAME_EXCHANGE) == 0)
        return unlinkat(box->tmp_fd, temporary, 0) == 0
               || error_errno(error, "remove tmp/%.100s", temporary);
    bool unknown = errno == EINVAL || errno == ENOSYS; /* to the file system */
    return (unknown && renameat(box->tmp_fd, temporary, place_fd, name) == 0)
           || error_errno(error, "replace %.100s", name);
}

/* ERROR_NOT_FOUND: it has another name by now, or is gone. */
static bool write_and_replace(const struct maildir *box, const struct names *names,
                              const struct maildir_location *at,
                              const struct maildir_delivery *delivery, struct error *error)
{
    int place_fd = maildir_place_fd(box, at->place);
    bool done = write_pieces(box->tmp_fd, names->temporary, delivery, error)
                && replace(box, names->temporary, place_fd, at->name, error);
    if (!done) {
        unlinkat(box->tmp_fd, names->temporary, 0);
        return false;
    }
    return flush_directory(place_fd, delivery, error);
}

bool maildir_deliver(const struct maildir_target *target, const struct maildir_delivery *delivery,
                     struct error *error)
{
    struct names names;
    const struct maildir *box = target->box;
    if (!make_names(delivery, &names, error) || !write_and_rename(box, &names, delivery, error))
        return false;
    maildir_find_add(target->find, target->folder, names.final);
    return true;
}

/* ---- the second time ---- */

static bool is_intact(const struct maildir *box, const struct maildir_location *at,
                      const struct maildir_delivery *delivery, bool *intact, struct error *error)
{
    int fd;
    struct stat status;
    if (!maildir_open_file(box, at->place, at->name, &fd, &status, error))
        return false;
    *intact = false;
    /* What the disk has, not the page cache: after a flush that failed the kernel calls pages clean
     * that never reached the disk. Pages still dirty stay. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    bool looked = (uint64_t)status.st_size != pieces_octets(delivery->pieces, delivery->piece_count)
                  || pieces_equal_file(fd, delivery->pieces, delivery->piece_count, intact, error);
    /* The try that wrote it may have ended before its flush. */
    if (looked && *intact && delivery->flush
        && (fsync(fd) != 0 || fsync(maildir_place_fd(box, at->place)) != 0))
        looked = error_errno(error, "flush message");
    fd_discard(&fd);
    return looked;
}

/* Checks the file and rewrites it if it is wrong. ERROR_NOT_FOUND: it no longer exists. */
static bool confirm(const struct maildir_target *target, const struct names *names,
                    const struct maildir_location *at, const struct maildir_delivery *delivery,
                    struct error *error)
{
    struct maildir box;
    bool intact;
    if (!maildir_open(target->inbox->fd, at->folder, &box, error))
        return false;
    bool confirmed = is_intact(&box, at, delivery, &intact, error);
    if (confirmed && !intact)
        confirmed = write_and_replace(&box, names, at, delivery, error);
    maildir_close(&box);
    return confirmed;
}

bool maildir_deliver_again(const struct maildir_target *target,
                           const struct maildir_delivery *delivery, enum maildir_delivered *outcome,
                           struct error *error)
{
    struct names names;
    bool gone;
    if (!make_names(delivery, &names, error))
        return false;
    struct slice unique = slice_of_string(names.temporary);
    for (unsigned look = 0; look < LOOKS_MAX; look++) {
        struct maildir_location at;
        *outcome = MAILDIR_FOUND;
        if (maildir_find_unique(target->find, unique, &at, error)) {
            if (confirm(target, &names, &at, delivery, error))
                return true;
            if (error->kind != ERROR_NOT_FOUND)
                return false;
            maildir_find_forget(target->find); /* moved or removed since: look again */
            continue;
        }
        if (error->kind != ERROR_NOT_FOUND)
            return false;
        *outcome = MAILDIR_GONE;
        if (!tombstone_exists(target->inbox, unique, &gone, error))
            return false;
        return gone || error_set(error, ERROR_NOT_FOUND, "not delivered before");
    }
    return error_set(error, ERROR_TEMPORARY, "message %.100s does not stand still",
                     names.temporary);
}
