/* Sets as arrays of ranges; see sequence_set.h. */
#include "imapd/syntax/sequence_set.h"

#include <stdlib.h>

void sequence_set_init(struct sequence_set *set, struct arena *arena)
{
    *set = (struct sequence_set){.arena = arena};
}

/* An arena cannot free one array: with doubling, the abandoned ones never exceed the set. */
static bool append(struct sequence_set *set, struct sequence_range range)
{
    enum { FIRST_RANGES = 4 };
    if (!set->ranges || set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : FIRST_RANGES;
        struct sequence_range *ranges = arena_alloc_array(set->arena, capacity, sizeof(range));
        set->full = !ranges;
        if (set->full)
            return false;
        if (set->ranges)
            memcpy(ranges, set->ranges, set->count * sizeof(range));
        set->ranges = ranges;
        set->capacity = capacity;
    }
    set->ranges[set->count++] = range;
    return true;
}

/* seq-number = nz-number / "*"    RFC 3501 9 */
static bool parse_number(struct cursor *in, uint32_t *number)
{
    struct cursor start = *in;
    uint64_t value;
    *number = 0;
    if (cursor_skip(in, '*'))
        return true;
    /* nz-number = digit-nz *DIGIT, (0 < n < 4,294,967,296) */
    if (!cursor_at_end(in) && *in->at != '0' && cursor_take_number(in, &value)
        && value <= UINT32_MAX) {
        *number = (uint32_t)value;
        return true;
    }
    *in = start;
    return false;
}

/* seq-number / seq-range; seq-range = seq-number ":" seq-number */
static bool parse_range(struct cursor *in, struct sequence_range *range)
{
    if (!parse_number(in, &range->first))
        return false;
    range->last = range->first;
    return !cursor_skip(in, ':') || parse_number(in, &range->last);
}

/* sequence-set = (seq-number / seq-range) ["," sequence-set] / "$"    RFC 9051 9, RFC 5182 3 */
bool sequence_set_parse(struct cursor *in, struct arena *arena, struct sequence_set *set)
{
    struct cursor start = *in;
    struct sequence_range range;
    sequence_set_init(set, arena);
    do {
        set->saved = cursor_skip(in, '$');
        if (set->saved)
            return true;
        if (!parse_range(in, &range) || !append(set, range)) {
            *in = start;
            return false;
        }
    } while (cursor_skip(in, ','));
    return true;
}

bool sequence_set_copy(const struct sequence_set *set, struct arena *arena,
                       struct sequence_set *copy)
{
    sequence_set_init(copy, arena);
    for (size_t i = 0; i < set->count; i++) {
        if (!append(copy, set->ranges[i]))
            return false;
    }
    return true;
}

static struct sequence_range resolve_range(struct sequence_range range, uint32_t largest)
{
    uint32_t first = range.first ? range.first : largest;
    uint32_t last = range.last ? range.last : largest;
    return first <= last ? (struct sequence_range){first, last}
                         : (struct sequence_range){last, first};
}

static int compare_ranges(const void *a, const void *b)
{
    const struct sequence_range *left = a;
    const struct sequence_range *right = b;
    return (left->first > right->first) - (left->first < right->first);
}

static bool touches(struct sequence_range earlier, struct sequence_range later)
{
    return later.first <= earlier.last || later.first - 1 == earlier.last;
}

/* In place: the write position never passes the read position. */
static void merge(struct sequence_set *set)
{
    size_t merged = 0;
    for (size_t i = 1; i < set->count; i++) {
        struct sequence_range *last = &set->ranges[merged];
        if (!touches(*last, set->ranges[i]))
            set->ranges[++merged] = set->ranges[i];
        else if (set->ranges[i].last > last->last)
            last->last = set->ranges[i].last;
    }
    if (set->count)
        set->count = merged + 1;
}

void sequence_set_resolve(struct sequence_set *set, uint32_t largest)
{
    size_t kept = 0;
    bool sorted = true;
    for (size_t i = 0; i < set->count; i++) {
        struct sequence_range range = resolve_range(set->ranges[i], largest);
        if (range.first == 0)
            continue;
        sorted = sorted && (kept == 0 || set->ranges[kept - 1].first <= range.first);
        set->ranges[kept++] = range;
    }
    set->count = kept;
    if (!sorted)
        qsort(set->ranges, set->count, sizeof(set->ranges[0]), compare_ranges);
    merge(set);
}

bool sequence_set_contains(const struct sequence_set *set, uint32_t number)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->ranges[low].first <= number;
}

uint32_t sequence_set_largest(const struct sequence_set *set)
{
    return set->count ? set->ranges[set->count - 1].last : 0;
}

uint64_t sequence_set_size(const struct sequence_set *set)
{
    uint64_t size = 0;
    for (size_t i = 0; i < set->count; i++)
        size += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
    return size;
}

bool sequence_set_add_range(struct sequence_set *set, uint32_t first, uint32_t last)
{
    struct sequence_range *before = set->count ? &set->ranges[set->count - 1] : NULL;
    if (!before || first != before->last + 1 || first == 0)
        return append(set, (struct sequence_range){first, last});
    before->last = last;
    return true;
}

bool sequence_set_add(struct sequence_set *set, uint32_t number)
{
    return sequence_set_add_range(set, number, number);
}

void sequence_set_cut(struct sequence_set *set, uint32_t lowest)
{
    size_t below = 0;
    while (below < set->count && set->ranges[below].last < lowest)
        below++;
    set->ranges += below;
    set->count -= below;
    set->capacity -= below;
    if (set->count > 0 && set->ranges[0].first < lowest)
        set->ranges[0].first = lowest;
}

void sequence_set_format(const struct sequence_set *set, struct buffer *text)
{
    for (size_t i = 0; i < set->count; i++) {
        if (i)
            buffer_append_octet(text, ',');
        buffer_append_number(text, set->ranges[i].first);
        if (set->ranges[i].last == set->ranges[i].first)
            continue;
        buffer_append_octet(text, ':');
        buffer_append_number(text, set->ranges[i].last);
    }
}
