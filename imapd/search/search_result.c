/* Formats results; see search_result.h. */
#include "imapd/search/search_result.h"

#include <stdlib.h>

bool search_result_add(struct search_result *result, size_t position, struct error *error)
{
    enum { FIRST_POSITIONS = 256 };
    if (result->count == result->capacity) {
        size_t capacity = result->capacity ? result->capacity * 2 : FIRST_POSITIONS;
        uint32_t *more = reallocarray(result->positions, capacity, sizeof(*more));
        if (!more)
            return error_memory(error);
        result->positions = more;
        result->capacity = capacity;
    }
    result->positions[result->count++] = (uint32_t)position;
    return true;
}

void search_result_clear(struct search_result *result)
{
    free(result->positions);
    *result = (struct search_result){.count = 0};
}

/* --- which of them --- */

/* A part of the result. */
struct part {
    size_t first;
    size_t end;
};

static struct part all_of(const struct search_result *result)
{
    return (struct part){0, result->count};
}

static struct part partial_of(const struct search_result *result,
                              const struct search_return *returns)
{
    struct part part;
    partial_range_resolve(&returns->partial, result->count, &part.first, &part.end);
    return part;
}

enum { EACH = SEARCH_RETURNS_MIN | SEARCH_RETURNS_MAX | SEARCH_RETURNS_PARTIAL };

/* Whether the options select only some of the matches (RFC 5182 2.4, RFC 7162 3.1.10, RFC 9394
 * 3.2) */
static bool is_of_some(const struct search_return *returns)
{
    return (returns->items & EACH) != 0
           && !(returns->items & (SEARCH_RETURNS_ALL | SEARCH_RETURNS_COUNT));
}

/* The parts selected then; a message may be in several. */
static size_t some_of(const struct search_result *result, const struct search_return *returns,
                      struct part parts[3])
{
    size_t count = 0;
    if (result->count == 0)
        return 0;
    if (returns->items & SEARCH_RETURNS_MIN)
        parts[count++] = (struct part){0, 1};
    if (returns->items & SEARCH_RETURNS_PARTIAL)
        parts[count++] = partial_of(result, returns);
    if (returns->items & SEARCH_RETURNS_MAX)
        parts[count++] = (struct part){result->count - 1, result->count};
    return count;
}

static size_t parts_of(const struct search_result *result, const struct search_return *returns,
                       struct part parts[3])
{
    if (is_of_some(returns))
        return some_of(result, returns, parts);
    parts[0] = all_of(result);
    return 1;
}

/* --- telling --- */

static uint32_t name_of(const struct search_telling *telling, uint32_t position)
{
    return telling->by_uid ? telling->view->slots[position].uid : position + 1;
}

static void append_list(const struct search_result *result, const struct search_telling *telling,
                        struct buffer *text)
{
    for (size_t i = 0; i < result->count; i++) {
        buffer_append_octet(text, ' ');
        buffer_append_number(text, name_of(telling, result->positions[i]));
    }
}

/* As a sequence-set in the given order: numbers ascending by one form a range (RFC 5267 3.2). */
static void append_set(const struct search_result *result, struct part part,
                       const struct search_telling *telling, struct buffer *text)
{
    for (size_t i = part.first; i < part.end;) {
        uint32_t first = name_of(telling, result->positions[i]);
        uint32_t last = first;
        if (i > part.first)
            buffer_append_octet(text, ',');
        for (i++; i < part.end && name_of(telling, result->positions[i]) == last + 1; i++)
            last++;
        buffer_append_number(text, first);
        if (last == first)
            continue;
        buffer_append_octet(text, ':');
        buffer_append_number(text, last);
    }
}

static void append_one(const struct search_result *result, const struct search_telling *telling,
                       const char *name, size_t which, struct buffer *text)
{
    buffer_append_string(text, name);
    buffer_append_number(text, name_of(telling, result->positions[which]));
}

/* "the highest mod-sequence for all messages being returned" (RFC 7162 3.1.6, 3.1.10) */
static uint64_t highest_modseq(const struct search_result *result,
                               const struct search_return *returns, const struct view *view)
{
    struct part parts[3];
    uint64_t highest = 0;
    size_t count = parts_of(result, returns, parts);
    for (size_t p = 0; p < count; p++) {
        for (size_t i = parts[p].first; i < parts[p].end; i++) {
            const struct message *message = view_message(view, result->positions[i]);
            if (message && message->modseq > highest)
                highest = message->modseq;
        }
    }
    return highest;
}

static void append_modseq(const struct search_result *result, const struct search_return *returns,
                          const struct search_telling *telling, struct buffer *text)
{
    uint64_t modseq = telling->tells_modseq ? highest_modseq(result, returns, telling->view) : 0;
    if (modseq == 0)
        return;
    buffer_append_string(text, returns->items ? " MODSEQ " : " (MODSEQ ");
    buffer_append_number(text, modseq);
    buffer_append_string(text, returns->items ? "" : ")");
}

static void append_partial(const struct search_result *result, const struct search_return *returns,
                           const struct search_telling *telling, struct buffer *text)
{
    struct part part = partial_of(result, returns);
    buffer_append(text, SLICE(" PARTIAL ("));
    partial_range_format(&returns->partial, text);
    buffer_append_octet(text, ' ');
    if (part.first == part.end)
        buffer_append(text, SLICE("NIL"));
    append_set(result, part, telling, text);
    buffer_append_octet(text, ')');
}

/* "MIN ... MUST NOT be included if there are no matches", and so on (RFC 4731 3.1). */
static void append_items(const struct search_result *result, const struct search_return *returns,
                         const struct search_telling *telling, struct buffer *text)
{
    unsigned items = returns->items;
    bool any = result->count > 0;
    if ((items & SEARCH_RETURNS_MIN) && any)
        append_one(result, telling, " MIN ", 0, text);
    if ((items & SEARCH_RETURNS_MAX) && any)
        append_one(result, telling, " MAX ", result->count - 1, text);
    if (items & SEARCH_RETURNS_COUNT)
        buffer_append_format(text, " COUNT %zu", result->count);
    if ((items & SEARCH_RETURNS_ALL) && any) {
        buffer_append(text, SLICE(" ALL "));
        append_set(result, all_of(result), telling, text);
    }
    if (items & SEARCH_RETURNS_PARTIAL)
        append_partial(result, returns, telling, text);
}

static void append_mailbox(const struct search_telling *telling, struct buffer *text)
{
    if (!telling->mailbox)
        return;
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    mailbox_name_format(slice_of_string(telling->mailbox), telling->form, &wire);
    buffer_append(text, SLICE(" MAILBOX "));
    imap_append_mailbox(text, buffer_slice(&wire), telling->form);
    buffer_append(text, SLICE(" UIDVALIDITY "));
    buffer_append_number(text, telling->view->folder->record.uidvalidity);
    buffer_clear(&wire);
}

void search_result_write(const struct search_result *result, const struct search_return *returns,
                         const struct search_telling *telling, struct buffer *text)
{
    if (returns->items == SEARCH_SAVES) /* "suppresses any SEARCH response", RFC 5182 2.1 */
        return;
    if (telling->mailbox && result->count == 0)
        return;
    if (returns->items == 0) {
        buffer_append_format(text, "* %s", telling->name);
        append_list(result, telling, text);
    } else {
        buffer_append(text, SLICE("* ESEARCH (TAG \""));
        buffer_append(text, telling->tag); /* has no quoted-specials */
        buffer_append_octet(text, '"');
        append_mailbox(telling, text);
        buffer_append_string(text, telling->by_uid ? ") UID" : ")");
        append_items(result, returns, telling, text);
    }
    append_modseq(result, returns, telling, text);
    buffer_append(text, SLICE("\r\n"));
}

static void append_update(const struct search_result *result, const char *item,
                          const struct search_telling *telling, struct buffer *text)
{
    if (result->count == 0)
        return;
    buffer_append_format(text, " %s (0 ", item);
    append_set(result, all_of(result), telling, text);
    buffer_append_octet(text, ')');
}

void search_result_write_update(const struct search_result *added,
                                const struct search_result *removed,
                                const struct search_telling *telling, struct buffer *text)
{
    buffer_append(text, SLICE("* ESEARCH (TAG \""));
    buffer_append(text, telling->tag);
    buffer_append_string(text, telling->by_uid ? "\") UID" : "\")");
    append_update(added, "ADDTO", telling, text);
    append_update(removed, "REMOVEFROM", telling, text);
    buffer_append(text, SLICE("\r\n"));
}

/* --- "$" --- */

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The messages of the view in the set, in order; some perhaps twice. */
static bool collect(const struct search_result *result, const struct search_return *returns,
                    struct search_result *meant, struct error *error)
{
    struct part parts[3];
    bool sorted = true;
    size_t count = parts_of(result, returns, parts);
    for (size_t p = 0; p < count; p++) {
        for (size_t i = parts[p].first; i < parts[p].end; i++) {
            uint32_t position = result->positions[i];
            sorted = sorted && (meant->count == 0 || meant->positions[meant->count - 1] < position);
            if (!search_result_add(meant, position, error))
                return false;
        }
    }
    if (!sorted)
        qsort(meant->positions, meant->count, sizeof(meant->positions[0]), compare_numbers);
    return true;
}

/* Consecutive UIDs form one range; *ranges has room for all. */
static size_t make_ranges(const struct search_result *meant, const struct view *view,
                          struct sequence_range *ranges)
{
    size_t count = 0;
    for (size_t i = 0; i < meant->count; i++) {
        uint32_t uid = view->slots[meant->positions[i]].uid;
        if (count > 0 && uid <= ranges[count - 1].last + 1)
            ranges[count - 1].last = uid;
        else
            ranges[count++] = (struct sequence_range){uid, uid};
    }
    return count;
}

/* Moves them to the view, without spare room. */
static bool keep(const struct search_result *meant, struct view *view, struct error *error)
{
    struct sequence_range *ranges = reallocarray(NULL, meant->count, sizeof(*ranges));
    if (!ranges)
        return error_memory(error);
    size_t count = make_ranges(meant, view, ranges);
    struct sequence_range *fitting = reallocarray(ranges, count, sizeof(*ranges));
    view_take_saved(view, fitting ? fitting : ranges, count);
    return true;
}

bool search_result_save(const struct search_result *result, const struct search_return *returns,
                        struct view *view, struct error *error)
{
    struct search_result meant = {.count = 0};
    view_take_saved(view, NULL, 0);
    bool saved =
        collect(result, returns, &meant, error) && (meant.count == 0 || keep(&meant, view, error));
    search_result_clear(&meant);
    return saved;
}
