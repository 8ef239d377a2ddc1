/* Changing, removing, copying and appending messages; see maildir_store.h. */
#include "storage/maildir_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "storage/email_id.h"
#include "storage/pieces.h"
#include "storage/tombstone.h"

/* ---- names ---- */

bool maildir_make_unique(struct maildir_uniques *uniques, char letter,
                         char unique[MAILDIR_UNIQUE_MAX + 1], struct error *error)
{
    ssize_t octets = sizeof(uniques->next);
    if (!uniques->begun && getrandom(&uniques->next, (size_t)octets, 0) != octets)
        return error_errno(error, "get random octets");
    uniques->begun = true;
    snprintf(unique, MAILDIR_UNIQUE_MAX + 1, "%c%016llx", letter,
             (unsigned long long)uniques->next++);
    return true;
}

/* The name in cur/ of a message that has this key now. */
static void format_name(const struct maildir_key *key, const struct maildir_name *wanted,
                        char text[MAILDIR_NAME_SIZE])
{
    char key_text[MAILDIR_NAME_SIZE];
    struct maildir_name name = *wanted;
    maildir_key_format(key, key_text);
    name.key = slice_of_string(key_text);
    name.extra = (struct slice){NULL, 0};
    maildir_name_format(&name, text); /* a key of ours leaves room */
}

/* ---- flags and UIDs ---- */

/* Replaces a key that leaves no room by a short one that contains the message's EMAILID. It has no
 * sizes, which are not known without the file. */
static bool shorten(const struct maildir_name *wanted, char renamed[MAILDIR_NAME_SIZE],
                    struct error *error)
{
    char unique[MAILDIR_UNIQUE_MAX + 1], key[MAILDIR_NAME_SIZE];
    struct maildir_uniques uniques = {.begun = false};
    if (!maildir_make_unique(&uniques, 'L', unique, error))
        return false;
    email_id_append(wanted, unique);
    maildir_key_format_unique(&(struct maildir_key){.seconds = wanted->seconds,
                                                    .unique = slice_of_string(unique),
                                                    .host = SLICE("long")},
                              key);
    struct maildir_name name = *wanted;
    name.key = slice_of_string(key);
    name.extra = (struct slice){NULL, 0};
    return maildir_name_format(&name, renamed);
}

bool maildir_change(const struct maildir *box, enum maildir_place place, const char *name,
                    const struct maildir_name *wanted, char renamed[MAILDIR_NAME_SIZE],
                    struct error *error)
{
    bool has_room = wanted->key.len + wanted->extra.len <= MAILDIR_KEY_MAX;
    if (has_room)
        maildir_name_format(wanted, renamed);
    else if (!shorten(wanted, renamed, error))
        return false;
    return renameat(maildir_place_fd(box, place), name, box->cur_fd, renamed) == 0
           || error_errno(error, "rename message %.80s", name);
}

/* ---- removing ---- */

bool maildir_remove_one_of(const struct maildir *inbox, const struct maildir *box,
                           enum maildir_place place, const char *name, int64_t now,
                           struct tombstone_batch *batch, struct error *error)
{
    if (!tombstone_make_if_young(inbox, box, place, name, now, batch, error))
        return false;
    return unlinkat(maildir_place_fd(box, place), name, 0) == 0
           || error_errno(error, "remove message %.80s", name);
}

bool maildir_remove(const struct maildir *inbox, const struct maildir *box,
                    enum maildir_place place, const char *name, int64_t now, struct error *error)
{
    struct tombstone_batch alone = {.begun = 0};
    return maildir_remove_one_of(inbox, box, place, name, now, &alone, error);
}

/* new/ too: on disk a message of cur/ may still be there, since that rename was never flushed. */
void maildir_list_removed(const struct maildir *inbox, const struct maildir *box,
                          int fds[MAILDIR_REMOVED_FDS])
{
    fds[0] = inbox->tmp_fd;
    fds[1] = box->new_fd;
    fds[2] = box->cur_fd;
}

static bool flush_each(const int *fds, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (fsync(fds[i]) != 0)
            return error_errno(error, "flush messages");
    }
    return true;
}

bool maildir_flush_removed(const struct maildir *inbox, const struct maildir *box,
                           struct error *error)
{
    int fds[MAILDIR_REMOVED_FDS];
    maildir_list_removed(inbox, box, fds);
    return flush_each(fds, MAILDIR_REMOVED_FDS, error);
}

/* ---- flushing ---- */

void maildir_flush_discard(struct maildir_flush *flush)
{
    fd_discard(&flush->young_fd);
    flush->young = 0;
    flush->tombstones.first[0] = '\0';
}

/* Takes the descriptor. The first young file waits: if it stays alone, one fsync is cheaper than a
 * syncfs. Where syncfs is not to be trusted, each is flushed here. */
static bool flush_later(struct maildir_flush *flush, int fd, struct error *error)
{
    bool flushed = true;
    if (!flush->fs->syncfs && fsync(fd) != 0)
        flushed = error_errno(error, "flush message");
    if (flush->young++ == 0 && flush->fs->syncfs) {
        flush->young_fd = fd;
        return true;
    }
    fd_discard(&flush->young_fd);
    fd_discard(&fd);
    return flushed;
}

bool maildir_flush_list(const struct maildir_flush *flush, const struct maildir *box,
                        const struct maildir *from, int fds[MAILDIR_FLUSH_FDS], size_t *count,
                        struct error *error)
{
    bool by_syncfs = flush->young > 0 && flush->fs->syncfs;
    *count = 0;
    if (by_syncfs && flush->young > 1 && !fd_sync_filesystem(box->fd, error))
        return false;
    if (by_syncfs && flush->young == 1)
        fds[(*count)++] = flush->young_fd;
    fds[(*count)++] = box->cur_fd;
    if (from) {
        fds[(*count)++] = from->cur_fd;
        fds[(*count)++] = from->new_fd;
    }
    return true;
}

bool maildir_flush_commit(struct maildir_flush *flush, const struct maildir *box,
                          const struct maildir *from, struct error *error)
{
    int fds[MAILDIR_FLUSH_FDS];
    size_t count;
    bool flushed =
        maildir_flush_list(flush, box, from, fds, &count, error) && flush_each(fds, count, error);
    maildir_flush_discard(flush);
    return flushed;
}

/* ---- copying and moving ---- */

/* The message of a transfer. */
struct source {
    int fd; /* open for reading */
    struct stat status;
    struct maildir_name name;
    bool young;
};

static bool open_source(const struct maildir_transfer *transfer, struct source *source,
                        struct error *error)
{
    if (!maildir_name_parse(slice_of_string(transfer->name), &source->name))
        return error_set(error, ERROR_PERMANENT, "name %.80s is malformed", transfer->name);
    if (!maildir_open_file(transfer->from, transfer->place, transfer->name, &source->fd,
                           &source->status, error))
        return false;
    source->young = tombstone_is_young(&source->name, &source->status, transfer->now);
    if (delivered_check_whole(transfer->name, &source->status, transfer->now, error))
        return true;
    fd_discard(&source->fd);
    return false;
}

/* Takes the sizes from the old name if they are right, else counts them. */
static bool format_transferred(const struct maildir_transfer *transfer, const struct source *source,
                               struct maildir_uniques *uniques, char text[MAILDIR_NAME_SIZE],
                               struct error *error)
{
    char unique[MAILDIR_UNIQUE_MAX + 1];
    uint64_t octets = (uint64_t)source->status.st_size, bare_lf = 0;
    if (!maildir_make_unique(uniques, 'C', unique, error))
        return false;
    email_id_append(&source->name, unique);
    if (source->name.octets == octets && source->name.crlf_octets >= octets) {
        bare_lf = source->name.crlf_octets - octets;
    } else {
        struct piece whole = piece_of_file(source->fd, 0, octets);
        if (!pieces_count_bare_lf(&whole, 1, &bare_lf, error))
            return false;
    }
    struct maildir_key key = {(uint64_t)transfer->now, slice_of_string(unique), transfer->host,
                              octets, octets + bare_lf};
    format_name(&key, transfer->wanted, text);
    return true;
}

/* For file systems without hard links: copies through tmp/, flushed at once. */
static bool copy_octets(const struct maildir_transfer *transfer, const struct source *source,
                        const char *name, struct error *error)
{
    const struct maildir *to = transfer->to;
    const struct timespec times[2] = {{0, UTIME_OMIT}, source->status.st_mtim};
    struct piece whole = piece_of_file(source->fd, 0, (uint64_t)source->status.st_size);
    int fd = openat(to->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "create copy");
    bool copied = pieces_write(fd, &whole, 1, error);
    if (copied && (futimens(fd, times) != 0 || fsync(fd) != 0))
        copied = error_errno(error, "flush copy");
    copied = copied && fd_close(&fd, error);
    fd_discard(&fd);
    if (copied && renameat(to->tmp_fd, name, to->cur_fd, name) != 0)
        copied = error_errno(error, "rename copy");
    if (!copied)
        unlinkat(to->tmp_fd, name, 0);
    return copied;
}

static bool has_no_links(int code)
{
    return code == EXDEV || code == EPERM || code == EMLINK || code == EOPNOTSUPP;
}

bool maildir_copy(const struct maildir_transfer *transfer, struct maildir_flush *flush,
                  char copied[MAILDIR_NAME_SIZE], struct error *error)
{
    struct source source;
    int from_fd = maildir_place_fd(transfer->from, transfer->place);
    if (!open_source(transfer, &source, error))
        return false;
    bool done = format_transferred(transfer, &source, &flush->uniques, copied, error);
    if (!done)
        goto close;
    if (linkat(from_fd, transfer->name, transfer->to->cur_fd, copied, 0) == 0) {
        if (!source.young)
            goto close;
        done = flush_later(flush, source.fd, error); /* takes the descriptor */
        source.fd = -1;
        if (!done)
            unlinkat(transfer->to->cur_fd, copied, 0);
    } else if (has_no_links(errno)) {
        done = copy_octets(transfer, &source, copied, error);
    } else {
        done = error_errno(error, "copy message %.80s", transfer->name);
    }
close:
    fd_discard(&source.fd);
    return done;
}

bool maildir_move(const struct maildir_transfer *transfer, struct maildir_flush *flush,
                  char moved[MAILDIR_NAME_SIZE], struct error *error)
{
    struct source source;
    if (!open_source(transfer, &source, error))
        return false;
    bool done = format_transferred(transfer, &source, &flush->uniques, moved, error)
                && (!source.young
                    || tombstone_make(transfer->inbox, source.name.unique, transfer->now,
                                      &flush->tombstones, error));
    if (done
        && renameat(maildir_place_fd(transfer->from, transfer->place), transfer->name,
                    transfer->to->cur_fd, moved)
               != 0)
        done = error_errno(error, "move message %.80s", transfer->name);
    if (done && source.young) {
        done = flush_later(flush, source.fd, error);
        source.fd = -1;
    }
    fd_discard(&source.fd);
    return done;
}

/* ---- APPEND ---- */

bool maildir_append_begin(struct maildir_append *append, const struct maildir *box,
                          struct error *error)
{
    *append = MAILDIR_APPEND_NONE;
    append->box = box;
    append->ends = LINE_ENDS_START;
    struct maildir_uniques uniques = {.begun = false};
    if (!maildir_make_unique(&uniques, 'A', append->unique, error))
        return false;
    snprintf(append->temporary, sizeof(append->temporary), "append.%s", append->unique);
    append->fd = openat(box->tmp_fd, append->temporary,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return append->fd >= 0 || error_errno(error, "create message");
}

bool maildir_append_write(struct maildir_append *append, struct slice octets, struct error *error)
{
    if (!fd_write_all(append->fd, octets, error))
        return false;
    line_ends_count(&append->ends, octets);
    append->octets += octets.len;
    return true;
}

bool maildir_append_finish(struct maildir_append *append, int64_t internal_date,
                           struct error *error)
{
    const struct timespec times[2] = {{0, UTIME_OMIT}, {internal_date, 0}};
    if (futimens(append->fd, times) != 0)
        return error_errno(error, "set date of message");
    return true;
}

bool maildir_append_open(const struct maildir_append *append, struct message_file *file,
                         struct error *error)
{
    int fd = openat(append->box->tmp_fd, append->temporary, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *file = MESSAGE_FILE_CLOSED;
    return fd >= 0 ? message_file_take(fd, append->ends.bare_lf == 0, file, error)
                   : error_errno(error, "open message");
}

bool maildir_append_flush(struct maildir_append *append, struct error *error)
{
    if (fsync(append->fd) != 0)
        return error_errno(error, "flush message");
    return fd_close(&append->fd, error);
}

bool maildir_append_commit(struct maildir_append *append, const struct maildir_append_as *as,
                           char appended[MAILDIR_NAME_SIZE], struct error *error)
{
    const struct maildir *box = append->box;
    struct maildir_key key = {(uint64_t)as->now, slice_of_string(append->unique), as->host,
                              append->octets, append->octets + append->ends.bare_lf};
    format_name(&key, as->wanted, appended);
    if (renameat(box->tmp_fd, append->temporary, box->cur_fd, appended) != 0) {
        error_errno(error, "rename message");
        maildir_append_abort(append);
        return false;
    }
    append->temporary[0] = '\0';
    return true;
}

void maildir_append_abort(struct maildir_append *append)
{
    fd_discard(&append->fd);
    if (append->temporary[0] != '\0')
        unlinkat(append->box->tmp_fd, append->temporary, 0);
    append->temporary[0] = '\0';
}

bool maildir_append_was_cut(const struct maildir *box, const char *text, int64_t now)
{
    struct stat status;
    struct maildir_name name;
    return maildir_name_parse(slice_of_string(text), &name) && appended_is_young(&name, now)
           && fstatat(box->cur_fd, text, &status, AT_SYMLINK_NOFOLLOW) == 0
           && (uint64_t)status.st_size < name.octets;
}
