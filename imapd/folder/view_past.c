/* The views of view_past.h. A set is the number of its octets, and for each range two numbers: how
 * many are left out before it, and how many it has more than one. */
#include "imapd/folder/view_past.h"

#include <stdlib.h>

#include <utlist.h>

#include "imapd/folder/folder_internal.h"

enum {
    PAST_READ_ONLY = 1 << 0,
    PAST_KEYWORDS_CHANGED = 1 << 1,
    PAST_MARKS = PAST_READ_ONLY | PAST_KEYWORDS_CHANGED,
    LETTERS = (1 << FOLDER_KEYWORDS) - 1,
};

/* ---- numbers and sets ---- */

void past_append_number(struct buffer *text, uint64_t number)
{
    for (; number > 0x7f; number >>= 7)
        buffer_append_octet(text, (uint8_t)(0x80 | (number & 0x7f)));
    buffer_append_octet(text, (uint8_t)number);
}

/* The shortest form alone: there is one record of a view. */
bool past_take_number(struct cursor *in, uint64_t most, uint64_t *number)
{
    uint64_t value = 0;
    uint8_t octet;
    for (unsigned shift = 0; shift < 64 && cursor_peek(in, &octet); shift += 7) {
        in->at++;
        uint64_t bits = octet & 0x7f;
        if ((bits << shift) >> shift != bits || (octet == 0 && shift > 0))
            return false;
        value |= bits << shift;
        if (octet & 0x80)
            continue;
        *number = value;
        return value <= most;
    }
    return false;
}

/* The next range of the set, which touches none before it; *last is 0 at first, and the last number
 * of each range then. False: there is none. */
static bool next_range(struct cursor *ranges, uint32_t *last, struct sequence_range *range)
{
    uint64_t gap, more;
    uint64_t most = UINT32_MAX - *last;
    if (most == 0 || !past_take_number(ranges, most - 1, &gap)
        || !past_take_number(ranges, most - gap - 1, &more) || (gap == 0 && *last > 0))
        return false;
    range->first = *last + (uint32_t)gap + 1;
    range->last = range->first + (uint32_t)more;
    *last = range->last;
    return true;
}

static bool take_set(struct cursor *in, struct past_set *set)
{
    struct sequence_range range;
    uint32_t last = 0;
    uint64_t octets;
    if (!past_take_number(in, UINT32_MAX, &octets) || octets > cursor_left(in))
        return false;
    *set = (struct past_set){.ranges = slice_range(cursor_rest(in), 0, octets)};
    struct cursor ranges = cursor_of(set->ranges);
    in->at += octets;
    while (!cursor_at_end(&ranges)) {
        if (!next_range(&ranges, &last, &range))
            return false;
        set->size += (uint64_t)range.last - range.first + 1;
    }
    return true;
}

/* ---- out ---- */

/* A set while it grows: ranges that touch are one. */
struct growing_set {
    struct buffer ranges;
    struct sequence_range open; /* not among them yet; of none `first` is 0 */
    uint32_t last;              /* of them */
};

static void end_range(struct growing_set *set)
{
    if (set->open.first == 0)
        return;
    past_append_number(&set->ranges, set->open.first - set->last - 1);
    past_append_number(&set->ranges, set->open.last - set->open.first);
    set->last = set->open.last;
}

static void add_range(struct growing_set *set, struct sequence_range range)
{
    if (set->open.first && range.first == set->open.last + 1) {
        set->open.last = range.last;
        return;
    }
    end_range(set);
    set->open = range;
}

static void append_set(struct buffer *text, struct growing_set *set)
{
    end_range(set);
    past_append_number(text, set->ranges.len);
    buffer_append(text, buffer_slice(&set->ranges));
    text->failed |= set->ranges.failed;
    buffer_clear(&set->ranges);
}

/* The UIDs of the slots with one of these marks; 0: of all. */
static void append_slots(const struct view *view, uint32_t marks, struct buffer *text)
{
    struct growing_set set = {.ranges = BUFFER_WITH_LIMIT(text->limit)};
    for (size_t i = 0; i < view->count; i++) {
        const struct view_slot *slot = &view->slots[i];
        if (!marks || (slot->marks & marks))
            add_range(&set, (struct sequence_range){slot->uid, slot->uid});
    }
    append_set(text, &set);
}

static void append_saved(const struct view *view, struct buffer *text)
{
    struct growing_set set = {.ranges = BUFFER_WITH_LIMIT(text->limit)};
    for (size_t i = 0; i < view->saved_count; i++)
        add_range(&set, view->saved[i]);
    append_set(text, &set);
}

static uint32_t letters_of(const struct folder *folder)
{
    uint32_t letters = 0;
    for (unsigned i = 0; i < FOLDER_KEYWORDS; i++) {
        if (folder->record.keywords[i][0] != '\0')
            letters |= 1U << i;
    }
    return letters;
}

bool view_past_format(const struct view *view, struct buffer *text)
{
    const struct folder *folder = view->folder;
    if (view->count > VIEW_PAST_MESSAGES_MAX || folder->deleted)
        return false;
    past_append_number(text, (view->read_only ? PAST_READ_ONLY : 0U)
                                 | (view->keywords_changed ? PAST_KEYWORDS_CHANGED : 0U));
    past_append_number(text, folder->record.uidvalidity);
    past_append_number(text, folder_highest_modseq(folder));
    past_append_number(text, view->last_uid);
    past_append_number(text, letters_of(folder));
    past_append_number(text, view->told_recent);
    append_slots(view, 0, text);
    append_slots(view, VIEW_RECENT, text);
    append_slots(view, VIEW_CHANGED, text);
    append_saved(view, text);
    return !text->failed;
}

/* ---- in ---- */

bool view_past_parse(struct cursor *in, struct view_past *past)
{
    uint64_t marks, uidvalidity, last_uid, letters, told_recent;
    *past = (struct view_past){.uidvalidity = 0};
    if (!past_take_number(in, PAST_MARKS, &marks) || !past_take_number(in, UINT32_MAX, &uidvalidity)
        || !past_take_number(in, INT64_MAX, &past->told_modseq)
        || !past_take_number(in, UINT32_MAX, &last_uid) || !past_take_number(in, LETTERS, &letters)
        || !past_take_number(in, VIEW_PAST_MESSAGES_MAX, &told_recent) || !take_set(in, &past->uids)
        || !take_set(in, &past->recent) || !take_set(in, &past->changed)
        || !take_set(in, &past->saved))
        return false;
    past->read_only = marks & PAST_READ_ONLY;
    past->keywords_changed = marks & PAST_KEYWORDS_CHANGED;
    past->uidvalidity = (uint32_t)uidvalidity;
    past->last_uid = (uint32_t)last_uid;
    past->letters = (uint32_t)letters;
    past->told_recent = (uint32_t)told_recent;
    return past->uids.size <= VIEW_PAST_MESSAGES_MAX;
}

/* ---- as it was ---- */

static bool restore_slots(const struct view_past *past, struct view *view, struct error *error)
{
    struct cursor ranges = cursor_of(past->uids.ranges);
    struct sequence_range range;
    uint32_t last = 0;
    view->slots = calloc(past->uids.size + 1, sizeof(*view->slots));
    if (!view->slots)
        return error_memory(error);
    view->capacity = past->uids.size + 1;
    while (next_range(&ranges, &last, &range)) {
        for (uint64_t uid = range.first; uid <= range.last; uid++)
            view->slots[view->count++].uid = (uint32_t)uid;
    }
    return true;
}

static void mark(struct view *view, const struct past_set *set, enum view_mark mark)
{
    struct cursor ranges = cursor_of(set->ranges);
    struct sequence_range range;
    uint32_t last = 0;
    while (next_range(&ranges, &last, &range)) {
        for (size_t i = view_position(view, range.first);
             i < view->count && view->slots[i].uid <= range.last; i++)
            view->slots[i].marks |= mark;
    }
}

/* What the folder says of each: both are in the order of UIDs. */
static void compare(struct view *view, uint64_t told_modseq)
{
    const struct folder *folder = view->folder;
    size_t at = 0;
    for (size_t i = 0; i < view->count; i++) {
        struct view_slot *slot = &view->slots[i];
        while (at < folder->count && folder->messages[at].uid < slot->uid)
            at++;
        const struct message *message = at < folder->count ? &folder->messages[at] : NULL;
        if (!message || message->uid != slot->uid || !message->name)
            slot->marks = (slot->marks & VIEW_RECENT) | VIEW_GONE;
        else if (message->modseq > told_modseq)
            slot->marks |= VIEW_CHANGED;
        view->recent += (slot->marks & VIEW_RECENT) != 0;
        view->changed += (slot->marks & VIEW_CHANGED) != 0;
        view->gone += (slot->marks & VIEW_GONE) != 0;
    }
}

static bool restore_saved(const struct view_past *past, struct view *view, struct error *error)
{
    struct cursor ranges = cursor_of(past->saved.ranges);
    uint32_t last = 0;
    size_t most = past->saved.ranges.len / 2; /* a range has two octets at least */
    if (most == 0)
        return true;
    struct sequence_range *saved = calloc(most, sizeof(*saved));
    if (!saved)
        return error_memory(error);
    size_t count = 0;
    while (next_range(&ranges, &last, &saved[count]))
        count++;
    view_take_saved(view, saved, count);
    return true;
}

bool view_past_restore(const struct view_past *past, struct view *view, struct folder *folder,
                       struct error *error)
{
    if (folder->record.uidvalidity != past->uidvalidity)
        return error_set(error, ERROR_NOT_FOUND, "it is another folder now");
    struct view was = {.on_news = view->on_news,
                       .manner = view->manner,
                       .folder = folder,
                       .read_only = past->read_only,
                       .last_uid = past->last_uid,
                       .told_recent = past->told_recent};
    if (!restore_slots(past, &was, error) || !restore_saved(past, &was, error)) {
        free(was.slots);
        return false;
    }
    mark(&was, &past->recent, VIEW_RECENT);
    mark(&was, &past->changed, VIEW_CHANGED);
    compare(&was, past->told_modseq);
    was.keywords_changed = past->keywords_changed || letters_of(folder) != past->letters;
    *view = was;
    DL_APPEND(folder->views, view);
    return true;
}
