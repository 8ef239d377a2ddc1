/* Tombstones of messages that must not come back; see tombstone.h. */
#include "storage/tombstone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/text/cursor.h"

#define SUFFIX ".gone"

enum { BATCH_SECONDS = 60 };

bool delivered_unique_format(const char *queue_id, uint32_t recipient,
                             char unique[DELIVERED_UNIQUE_SIZE])
{
    int length = snprintf(unique, DELIVERED_UNIQUE_SIZE, "Q%sR%u", queue_id, recipient);
    return length > 0 && length < DELIVERED_UNIQUE_SIZE;
}

/* seconds "." "Q" 1*(ALPHA / DIGIT / "-") "." host: only our names have a Q there */
bool delivered_unique_is_one(const struct maildir_name *name)
{
    struct cursor in = cursor_of(name->unique);
    uint64_t seconds;
    return cursor_take_number(&in, &seconds) && cursor_skip(&in, '.') && cursor_skip(&in, 'Q');
}

bool tombstone_is_young(const struct maildir_name *name, const struct stat *status, int64_t now)
{
    return delivered_unique_is_one(name) && now - status->st_mtim.tv_sec <= TOMBSTONE_YOUNG_SECONDS;
}

/* seconds "." "A" 16HEXDIG "." host */
bool appended_is_young(const struct maildir_name *name, int64_t now)
{
    enum { RANDOM_DIGITS = 16 };
    struct cursor in = cursor_of(name->unique);
    uint64_t seconds;
    if (!cursor_take_number(&in, &seconds) || !cursor_skip(&in, '.') || !cursor_skip(&in, 'A'))
        return false;
    struct slice rest = cursor_rest(&in);
    return slice_find_octet(rest, '.') == RANDOM_DIGITS
           && (uint64_t)now <= seconds + TOMBSTONE_YOUNG_SECONDS;
}

static bool was_cut(const struct maildir_name *name, const struct stat *status, int64_t now)
{
    uint64_t octets = (uint64_t)status->st_size;
    return (tombstone_is_young(name, status, now) && octets != name->octets)
           || (appended_is_young(name, now) && octets < name->octets);
}

bool delivered_check_whole(const char *name, const struct stat *status, int64_t now,
                           struct error *error)
{
    struct maildir_name parsed;
    if (!maildir_name_parse(slice_of_string(name), &parsed) || parsed.octets == 0
        || !was_cut(&parsed, status, now))
        return true;
    return error_set(error, ERROR_TEMPORARY, "message %.100s was cut short by a crash%s", name,
                     delivered_unique_is_one(&parsed) ? " and is to be delivered again" : "");
}

bool tombstone_is_name(const char *name)
{
    return slice_ends_with(slice_of_string(name), SLICE(SUFFIX));
}

/* False where it would be longer than a name can be: none of our names is. */
static bool tombstone_name(struct slice unique, char name[MAILDIR_NAME_SIZE])
{
    if (unique.len + sizeof(SUFFIX) > MAILDIR_NAME_SIZE)
        return false;
    memcpy(name, unique.ptr, unique.len);
    memcpy(name + unique.len, SUFFIX, sizeof(SUFFIX));
    return true;
}

static bool make_file(int tmp_fd, const char *name, struct error *error)
{
    int fd = openat(tmp_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "create tombstone %.100s", name);
    fd_discard(&fd); /* it is empty: nothing was written that could fail */
    return true;
}

static bool can_link(const struct tombstone_batch *batch, int64_t now)
{
    return batch->first[0] != '\0' && now >= batch->begun && now - batch->begun < BATCH_SECONDS;
}

bool tombstone_make(const struct maildir *inbox, struct slice unique, int64_t now,
                    struct tombstone_batch *batch, struct error *error)
{
    char name[MAILDIR_NAME_SIZE];
    if (!tombstone_name(unique, name))
        return error_set(error, ERROR_PERMANENT, "name is too long for a tombstone");
    if (can_link(batch, now)
        && (linkat(inbox->tmp_fd, batch->first, inbox->tmp_fd, name, 0) == 0 || errno == EEXIST))
        return true;
    /* The first, or one link too many, or a file system without links. */
    if (!make_file(inbox->tmp_fd, name, error))
        return false;
    memcpy(batch->first, name, sizeof(name));
    batch->begun = now;
    return true;
}

bool tombstone_make_if_young(const struct maildir *inbox, const struct maildir *box,
                             enum maildir_place place, const char *name, int64_t now,
                             struct tombstone_batch *batch, struct error *error)
{
    struct maildir_name parsed;
    struct stat status;
    if (!maildir_name_parse(slice_of_string(name), &parsed) || !delivered_unique_is_one(&parsed))
        return true;
    if (fstatat(maildir_place_fd(box, place), name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || error_errno(error, "look at message %.100s", name);
    return !tombstone_is_young(&parsed, &status, now)
           || tombstone_make(inbox, parsed.unique, now, batch, error);
}

bool tombstone_exists(const struct maildir *inbox, struct slice unique, bool *exists,
                      struct error *error)
{
    char name[MAILDIR_NAME_SIZE];
    struct stat status;
    *exists = false;
    if (!tombstone_name(unique, name))
        return true;
    if (fstatat(inbox->tmp_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        *exists = true;
    else if (errno != ENOENT)
        return error_errno(error, "look for tombstone %.100s", name);
    return true;
}
