/* One session's view of a folder; see view.h. */
#include "imapd/folder/view.h"

#include <stdlib.h>

#include <utlist.h>

static bool reserve(struct view *view, size_t count, struct error *error)
{
    if (count <= view->capacity)
        return true;
    size_t capacity = count + count / 8 + 16;
    struct view_slot *slots = reallocarray(view->slots, capacity, sizeof(*slots));
    if (!slots)
        return error_memory(error);
    view->slots = slots;
    view->capacity = capacity;
    return true;
}

/* A message is \Recent only in the first session that is told of it; EXAMINE does not clear it for
 * other sessions (RFC 3501 2.3.2, 6.3.2). */
static bool take_recent(const struct view *view, struct message *message)
{
    bool recent = message->recent;
    if (recent && !view->read_only)
        message->recent = false;
    return recent;
}

/* Makes slots of the messages above last_uid. */
static bool append_arrived(struct view *view, struct error *error)
{
    struct folder *folder = view->folder;
    size_t first = folder_position(folder, view->last_uid + 1);
    if (!reserve(view, view->count + (folder->count - first), error))
        return false;
    for (size_t i = first; i < folder->count; i++) {
        struct message *message = &folder->messages[i];
        if (!message->name)
            continue;
        bool recent = take_recent(view, message);
        view->slots[view->count++] = (struct view_slot){message->uid, recent ? VIEW_RECENT : 0};
        view->recent += recent;
        view->last_uid = message->uid;
    }
    return true;
}

/* ---- the slots kept for the next view ---- */

void view_rest_clear(struct view_rest *rest)
{
    free(rest->slots);
    *rest = (struct view_rest){.slots = NULL};
}

/* Only if no slot has a mark: then any new view would begin with the same slots. */
static void leave_rest(struct view *view)
{
    struct view_rest *rest = &view->folder->rest;
    if (view->recent > 0 || view->changed > 0 || view->gone > 0 || view->folder->deleted)
        return;
    view_rest_clear(rest);
    *rest = (struct view_rest){view->slots, view->count, view->capacity, view->last_uid};
    view->slots = NULL;
}

/* The kept slots may lack a message, where they come from a resumed view (view_past.c). */
static bool append_to_rest(struct view *view, struct error *error)
{
    struct view_rest *rest = &view->folder->rest;
    view->slots = rest->slots;
    view->count = rest->count;
    view->capacity = rest->capacity;
    view->last_uid = rest->last_uid;
    *rest = (struct view_rest){.slots = NULL};
    if (!append_arrived(view, error))
        return false;
    if (view->count == folder_message_count(view->folder))
        return true;
    view->count = view->recent = view->last_uid = 0;
    return append_arrived(view, error);
}

/* ---- opening ---- */

static void empty(struct view *view)
{
    free(view->slots);
    free(view->saved);
    *view = (struct view){.on_news = view->on_news, .manner = view->manner};
}

bool view_open(struct view *view, struct folder *folder, bool read_only, struct error *error)
{
    empty(view);
    view->folder = folder;
    view->read_only = read_only;
    view->fixed = 0;
    if (!append_to_rest(view, error)) {
        empty(view);
        return false;
    }
    view->told_recent = view->recent;
    DL_APPEND(folder->views, view);
    return true;
}

void view_close(struct view *view)
{
    struct folder *folder = view->folder;
    if (!folder)
        return;
    DL_DELETE(folder->views, view);
    leave_rest(view);
    empty(view);
    folder_close(folder);
}

/* ---- changes ---- */

static bool has_arrived(const struct view *view)
{
    return folder_last_uid(view->folder) > view->last_uid;
}

bool view_has_news(const struct view *view, enum view_extent extent)
{
    return view->folder
           && (has_arrived(view) || view->changed > 0 || view->keywords_changed
               || (view->gone > 0 && extent == VIEW_ALL));
}

static void tell_session(struct view *view)
{
    if (view->on_news)
        view->on_news(view);
}

static struct view_slot *find_slot(const struct view *view, uint32_t uid)
{
    size_t index = view_position(view, uid);
    return index < view->count && view->slots[index].uid == uid ? &view->slots[index] : NULL;
}

void view_on_changed(struct view *view, uint32_t uid)
{
    struct view_slot *slot = find_slot(view, uid);
    if (!slot || (slot->marks & (VIEW_CHANGED | VIEW_GONE)))
        return;
    slot->marks |= VIEW_CHANGED;
    view->changed++;
    tell_session(view);
}

static void forget_change(struct view *view, struct view_slot *slot)
{
    if (!(slot->marks & VIEW_CHANGED))
        return;
    slot->marks &= ~(uint32_t)VIEW_CHANGED;
    view->changed--;
}

void view_on_gone(struct view *view, uint32_t uid)
{
    struct view_slot *slot = find_slot(view, uid);
    if (!slot || (slot->marks & VIEW_GONE))
        return;
    forget_change(view, slot);
    slot->marks |= VIEW_GONE;
    view->gone++;
    tell_session(view);
}

void view_on_arrived(struct view *view)
{
    tell_session(view);
}

void view_on_keywords(struct view *view)
{
    view->keywords_changed = true;
    tell_session(view);
}

/* ---- telling ---- */

void view_write_highest_modseq(const struct view *view, struct writer *writer)
{
    buffer_append(&writer->text, SLICE("* OK [HIGHESTMODSEQ "));
    buffer_append_number(&writer->text, folder_highest_modseq(view->folder));
    buffer_append(&writer->text, SLICE("] The highest MODSEQ\r\n"));
}

static void append_keywords(const struct folder_record *record, struct buffer *text)
{
    for (size_t i = 0; i < FOLDER_KEYWORDS; i++) {
        if (record->keywords[i][0] == '\0')
            continue;
        buffer_append_octet(text, ' ');
        buffer_append_string(text, record->keywords[i]);
    }
}

/* PERMANENTFLAGS must not list a flag that the client cannot change (RFC 4314 4). */
static void append_permanent(const struct view *view, struct buffer *text)
{
    const struct folder_record *record = &view->folder->record;
    size_t before = text->len;
    if (!(view->fixed & VIEW_FIXED_DELETED))
        buffer_append(text, SLICE(" \\Deleted"));
    if (!(view->fixed & VIEW_FIXED_SEEN))
        buffer_append(text, SLICE(" \\Seen"));
    if (!(view->fixed & VIEW_FIXED_OTHERS)) {
        buffer_append(text, SLICE(" \\Answered \\Flagged \\Draft $Forwarded"));
        append_keywords(record, text);
        if (!folder_record_keywords_full(record))
            buffer_append(text, SLICE(" \\*"));
    }
    if (!text->failed && text->len > before) { /* without the first space */
        memmove(text->ptr + before, text->ptr + before + 1, text->len - before - 1);
        buffer_truncate(text, text->len - 1);
    }
}

void view_write_flag_lists(const struct view *view, struct writer *writer)
{
    const struct folder_record *record = &view->folder->record;
    struct buffer *text = &writer->text;
    struct slice flags = SLICE("\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded");
    buffer_append(text, SLICE("* FLAGS ("));
    buffer_append(text, flags);
    append_keywords(record, text);
    buffer_append(text, SLICE(")\r\n* OK [PERMANENTFLAGS ("));
    if (!view->read_only && view->fixed) {
        append_permanent(view, text);
    } else if (!view->read_only) {
        buffer_append(text, flags);
        append_keywords(record, text);
        if (!folder_record_keywords_full(record))
            buffer_append(text, SLICE(" \\*"));
    }
    buffer_append(text, SLICE(")] "));
    buffer_append_string(text, view->read_only ? "No flag can be changed\r\n"
                                               : "These flags are kept\r\n");
}

void view_append_flags(struct view *view, size_t index, const struct message *message,
                       struct buffer *text)
{
    struct view_slot *slot = &view->slots[index];
    forget_change(view, slot);
    imap_append_flags(text, message->flags, message->letters, &view->folder->record,
                      (slot->marks & VIEW_RECENT) && !(view->manner & VIEW_REV2));
}

static void tell_keywords(struct view *view, struct writer *writer)
{
    if (view->keywords_changed)
        view_write_flag_lists(view, writer);
    view->keywords_changed = false;
}

void view_begin_fetch(struct view *view, size_t index, struct writer *writer)
{
    struct buffer *text = &writer->text;
    bool by_uid = view->manner & VIEW_UID_ONLY;
    tell_keywords(view, writer);
    buffer_append(text, SLICE("* "));
    buffer_append_number(text, by_uid ? view->slots[index].uid : index + 1);
    buffer_append_string(text, by_uid ? " UIDFETCH (" : " FETCH (");
}

/* Adds the UID where it is due; UIDFETCH has it already (RFC 9586 3.3). */
static void begin_fetch(struct view *view, size_t index, const struct message *message,
                        bool with_uid, struct writer *writer)
{
    struct buffer *text = &writer->text;
    view_begin_fetch(view, index, writer);
    with_uid = with_uid || (view->manner & (VIEW_TELLS_VANISHED | VIEW_REV2)); /* RFC 7162 3.2.4 */
    if (!with_uid || (view->manner & VIEW_UID_ONLY))
        return;
    buffer_append(text, SLICE("UID "));
    buffer_append_number(text, message->uid);
    buffer_append_octet(text, ' ');
}

void view_append_modseq(const struct message *message, struct buffer *text)
{
    buffer_append_octet(text, '(');
    buffer_append_number(text, message->modseq);
    buffer_append_octet(text, ')');
}

void view_write_flags(struct view *view, size_t index, bool with_uid, struct writer *writer)
{
    const struct message *message = view_message(view, index);
    struct buffer *text = &writer->text;
    if (!message)
        return;
    begin_fetch(view, index, message, with_uid, writer);
    buffer_append(text, SLICE("FLAGS "));
    view_append_flags(view, index, message, text);
    if (view->manner & VIEW_TELLS_MODSEQ) {
        buffer_append(text, SLICE(" MODSEQ "));
        view_append_modseq(message, text);
    }
    buffer_append(text, SLICE(")\r\n"));
}

void view_write_modseq(struct view *view, size_t index, bool with_uid, struct writer *writer)
{
    const struct message *message = view_message(view, index);
    struct buffer *text = &writer->text;
    if (!message)
        return;
    begin_fetch(view, index, message, with_uid, writer);
    buffer_append(text, SLICE("MODSEQ "));
    view_append_modseq(message, text);
    buffer_append(text, SLICE(")\r\n"));
}

static void write_changed(struct view *view, bool with_uid, struct writer *writer)
{
    for (size_t i = 0; view->changed > 0 && i < view->count; i++) {
        if (view->slots[i].marks & VIEW_CHANGED) {
            if (!(view->manner & VIEW_HIDES_CHANGES))
                view_write_flags(view, i, with_uid, writer);
            forget_change(view, &view->slots[i]); /* also if the message was removed meanwhile */
        }
    }
}

/* Builds "* VANISHED 405,407:410" (RFC 7162 3.2.10) from ascending UIDs. */
struct gone_run {
    struct buffer *text;
    uint32_t first; /* 0: none yet */
    uint32_t last;
    bool any_written;
};

static void write_run(struct gone_run *run)
{
    if (run->first == 0)
        return;
    buffer_append_string(run->text, run->any_written ? "," : "* VANISHED ");
    buffer_append_number(run->text, run->first);
    if (run->last > run->first) {
        buffer_append_octet(run->text, ':');
        buffer_append_number(run->text, run->last);
    }
    run->any_written = true;
}

static void extend_run(struct gone_run *run, uint32_t uid)
{
    if (run->first != 0 && uid == run->last + 1) {
        run->last = uid;
        return;
    }
    write_run(run);
    run->first = run->last = uid;
}

static void end_vanished(struct gone_run *run)
{
    write_run(run);
    if (run->any_written)
        buffer_append(run->text, SLICE("\r\n"));
}

/* Each EXPUNGE renumbers the messages after it at once, so each number written counts only the
 * slots kept so far (RFC 3501 7.4.1). */
static void write_gone(struct view *view, struct writer *writer)
{
    struct gone_run run = {.text = &writer->text};
    size_t kept = 0;
    for (size_t i = 0; i < view->count; i++) {
        if (!(view->slots[i].marks & VIEW_GONE)) {
            view->slots[kept++] = view->slots[i];
            continue;
        }
        if (view->slots[i].marks & VIEW_RECENT)
            view->recent--;
        if (view->manner & (VIEW_TELLS_VANISHED | VIEW_UID_ONLY))
            extend_run(&run, view->slots[i].uid);
        else
            writer_count(writer, (uint32_t)kept + 1, "EXPUNGE");
    }
    end_vanished(&run);
    view->count = kept;
    view->gone = 0;
}

/* "an untagged EXISTS and RECENT when the size of the mailbox changes" (RFC 3501 5.2); EXPUNGE
 * implies the new size. */
bool view_sync(struct view *view, enum view_extent extent, bool with_uid, struct writer *writer,
               struct error *error)
{
    if (!view_has_news(view, extent))
        return true;
    tell_keywords(view, writer);
    write_changed(view, with_uid, writer);
    if (view->gone > 0 && extent == VIEW_ALL)
        write_gone(view, writer);
    size_t count = view->count;
    bool appended = !has_arrived(view) || append_arrived(view, error);
    if (view->count != count)
        writer_count(writer, (uint32_t)view->count, "EXISTS");
    if (view->recent != view->told_recent && !(view->manner & VIEW_REV2))
        writer_count(writer, (uint32_t)view->recent, "RECENT");
    view->told_recent = view->recent;
    return appended;
}

/* ---- messages ---- */

struct message *view_message(const struct view *view, size_t index)
{
    const struct folder *folder = view->folder;
    uint32_t uid = view->slots[index].uid;
    /* View and folder differ little: most often the position is the same. */
    if (index < folder->count && folder->messages[index].uid == uid)
        return folder->messages[index].name ? &folder->messages[index] : NULL;
    return folder_find(folder, uid);
}

size_t view_position(const struct view *view, uint32_t uid)
{
    size_t low = 0;
    size_t high = view->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view->slots[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void view_take_saved(struct view *view, struct sequence_range *uids, size_t count)
{
    free(view->saved);
    view->saved = uids;
    view->saved_count = count;
}

static bool add_saved(const struct view *view, struct sequence_set *set, bool by_uid)
{
    for (size_t i = 0; set->saved && i < view->saved_count; i++) {
        struct sequence_range uids = view->saved[i];
        size_t first = view_position(view, uids.first);
        size_t end = view_position(view, uids.last + 1);
        if (first < end
            && !(by_uid ? sequence_set_add_range(set, uids.first, uids.last)
                        : sequence_set_add_range(set, (uint32_t)first + 1, (uint32_t)end)))
            return false;
    }
    return true;
}

/* "$" may be empty, and then names nothing, also by number (RFC 5182 2.1). */
bool view_resolve(const struct view *view, struct sequence_set *set, bool by_uid)
{
    uint32_t last_uid = view->count ? view->slots[view->count - 1].uid : 0;
    bool added = add_saved(view, set, by_uid);
    sequence_set_resolve(set, by_uid ? last_uid : (uint32_t)view->count);
    if (by_uid || !added)
        return added;
    return (view->count > 0 || set->saved) && sequence_set_largest(set) <= view->count;
}

struct view_walk view_walk_begin(const struct sequence_set *set, bool by_uid)
{
    return (struct view_walk){.set = set, .by_uid = by_uid};
}

/* The first slot of the range that the walk has not passed. */
static size_t enter_range(const struct view *view, const struct view_walk *walk,
                          const struct sequence_range *range)
{
    size_t first = range->first - 1;
    if (walk->by_uid) {
        if (walk->index < view->count && view->slots[walk->index].uid >= range->first)
            return walk->index;
        first = view_position(view, range->first);
    }
    return first > walk->index ? first : walk->index;
}

bool view_walk_next(const struct view *view, struct view_walk *walk, size_t *index)
{
    for (; walk->range < walk->set->count; walk->range++) {
        const struct sequence_range *range = &walk->set->ranges[walk->range];
        size_t at = enter_range(view, walk, range);
        if (at >= view->count)
            return false;
        uint32_t number = walk->by_uid ? view->slots[at].uid : (uint32_t)at + 1;
        if (number <= range->last) {
            *index = at;
            walk->index = at + 1;
            return true;
        }
    }
    return false;
}

size_t view_walk_count(const struct view *view, struct view_walk walk)
{
    size_t count = 0;
    size_t index;
    while (view_walk_next(view, &walk, &index))
        count++;
    return count;
}

uint32_t view_keep_highest(const struct view *view, struct sequence_set *set, bool by_uid,
                           size_t limit)
{
    struct view_walk walk = view_walk_begin(set, by_uid);
    size_t count = view_walk_count(view, walk);
    size_t index = 0;
    if (count <= limit)
        return 0;
    for (size_t skipped = 0; skipped <= count - limit; skipped++)
        view_walk_next(view, &walk, &index);
    sequence_set_cut(set, by_uid ? view->slots[index].uid : (uint32_t)index + 1);
    return view->slots[index].uid;
}
