/* The vanished of resync.h. */
#include "imapd/folder/resync.h"

#include <stdlib.h>

struct vanished {
    const struct sequence_set *known; /* NULL: all */
    struct folder *folder;
    struct buffer uids;
};

static void on_gone(void *owner, uint32_t uid)
{
    struct vanished *vanished = owner;
    if (!vanished->known || sequence_set_contains(vanished->known, uid))
        buffer_append(&vanished->uids, slice_of(&uid, sizeof(uid)));
}

static int compare_uids(const void *a, const void *b)
{
    const uint32_t *left = a;
    const uint32_t *right = b;
    return (*left > *right) - (*left < *right);
}

/* The same UID may have been told twice. */
static bool make_set(struct vanished *vanished, struct sequence_set *set)
{
    uint32_t *uids = (uint32_t *)(void *)vanished->uids.ptr;
    size_t count = vanished->uids.len / sizeof(*uids);
    if (vanished->uids.failed)
        return false;
    if (count > 0)
        qsort(uids, count, sizeof(*uids), compare_uids);
    for (size_t i = 0; i < count; i++) {
        bool is_there = folder_find(vanished->folder, uids[i]) != NULL;
        bool is_told = i > 0 && uids[i] == uids[i - 1];
        if (!is_there && !is_told && !sequence_set_add(set, uids[i]))
            return false;
    }
    return true;
}

/* Of one range all that are not there. */
static bool add_missing(const struct folder *folder, struct sequence_range range,
                        struct sequence_set *set)
{
    uint64_t first = range.first;
    for (size_t i = folder_position(folder, range.first); i < folder->count; i++) {
        const struct message *message = &folder->messages[i];
        if (message->uid > range.last)
            break;
        if (!message->name)
            continue;
        if (message->uid > first && !sequence_set_add_range(set, (uint32_t)first, message->uid - 1))
            return false;
        first = (uint64_t)message->uid + 1;
    }
    return first > range.last || sequence_set_add_range(set, (uint32_t)first, range.last);
}

/* UIDs that were never given cannot be known to anybody. */
static bool add_all_missing(const struct folder *folder, const struct sequence_set *known,
                            struct sequence_set *set)
{
    uint32_t last = folder->uid_next - 1;
    if (!known)
        return last == 0 || add_missing(folder, (struct sequence_range){1, last}, set);
    for (size_t i = 0; i < known->count && known->ranges[i].first <= last; i++) {
        struct sequence_range range = known->ranges[i];
        range.last = range.last < last ? range.last : last;
        if (!add_missing(folder, range, set))
            return false;
    }
    return true;
}

bool resync_write_vanished(const struct view *view, const struct sequence_set *known,
                           uint64_t since_modseq, struct arena *arena, struct writer *writer,
                           struct error *error)
{
    struct vanished vanished = {.known = known, .folder = view->folder};
    struct sequence_set set;
    sequence_set_init(&set, arena);
    buffer_init(&vanished.uids, SIZE_MAX);
    bool made = folder_visit_gone(view->folder, since_modseq, on_gone, &vanished)
                    ? make_set(&vanished, &set)
                    : add_all_missing(view->folder, known, &set);
    buffer_clear(&vanished.uids);
    if (!made)
        return error_memory(error);
    if (set.count == 0)
        return true;
    buffer_append(&writer->text, SLICE("* VANISHED (EARLIER) "));
    sequence_set_format(&set, &writer->text);
    buffer_append(&writer->text, SLICE("\r\n"));
    return true;
}
