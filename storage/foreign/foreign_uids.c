/* Reading the UIDs of another server; see foreign_uids.h. */
#include "storage/foreign/foreign_uids.h"

#include <stdlib.h>

#include "common/size.h"
#include "common/text/cursor.h"
#include "storage/maildir_name.h"

#define NEXT_UID_MAX (UINT64_C(1) << 32)

enum { FIRST_CAPACITY = 256 };

/* ---- the first line ---- */

/* "1 " uidvalidity SP next-uid */
static bool parse_first_version_1(struct cursor *in, struct foreign_uids *uids)
{
    uint64_t uidvalidity;
    if (!cursor_take_number(in, &uidvalidity) || uidvalidity == 0 || uidvalidity > UINT32_MAX
        || !cursor_skip(in, ' ') || !cursor_take_number(in, &uids->next_uid))
        return false;
    uids->uidvalidity = (uint32_t)uidvalidity;
    return true;
}

static struct slice take_word(struct cursor *in)
{
    struct slice rest = cursor_rest(in);
    size_t end = slice_find_octet(rest, ' ');
    in->at += end;
    cursor_skip(in, ' ');
    return slice_range(rest, 0, end);
}

/* "3 " *( letter value SP ); letters that we do not know say nothing of UIDs. */
static bool parse_first_version_3(struct cursor *in, struct foreign_uids *uids)
{
    while (!cursor_at_end(in)) {
        struct slice word = take_word(in);
        uint64_t number = 0;
        bool is_number = slice_parse_number(slice_from(word, 1), &number);
        if (slice_starts_with(word, SLICE("V")) && is_number && number <= UINT32_MAX)
            uids->uidvalidity = (uint32_t)number;
        else if (slice_starts_with(word, SLICE("N")) && is_number)
            uids->next_uid = number;
    }
    return uids->uidvalidity != 0;
}

typedef bool parse_line(struct slice line, struct foreign_uid *item);

/* ---- the others ---- */

static bool take_uid(struct cursor *in, struct foreign_uid *item)
{
    uint64_t uid;
    if (!cursor_take_number(in, &uid) || uid == 0 || uid > UINT32_MAX || !cursor_skip(in, ' '))
        return false;
    item->uid = (uint32_t)uid;
    return true;
}

/* The file may be called otherwise by now, but for this part. */
static bool take_name(struct slice text, struct foreign_uid *item)
{
    struct maildir_name name;
    if (!maildir_name_parse(text, &name))
        return false;
    item->key = name.key;
    item->base = slice_range(text, 0, slice_find_octet(text, ':'));
    return true;
}

static bool parse_line_version_1(struct slice line, struct foreign_uid *item)
{
    struct cursor in = cursor_of(line);
    *item = (struct foreign_uid){.uid = 0};
    return take_uid(&in, item) && take_name(cursor_rest(&in), item);
}

static bool parse_line_version_3(struct slice line, struct foreign_uid *item)
{
    struct cursor in = cursor_of(line);
    *item = (struct foreign_uid){.uid = 0};
    if (!take_uid(&in, item))
        return false;
    while (!cursor_at_end(&in) && !cursor_skip(&in, ':')) {
        struct slice word = take_word(&in);
        if (slice_starts_with(word, SLICE("P")))
            item->pop3 = slice_from(word, 1);
        else if (slice_starts_with(word, SLICE("G")))
            item->guid = slice_from(word, 1);
    }
    return take_name(cursor_rest(&in), item);
}

/* ---- the list ---- */

static bool add(struct foreign_uids *uids, const struct foreign_uid *item)
{
    if (uids->count == uids->capacity) {
        size_t capacity = uids->capacity ? uids->capacity : FIRST_CAPACITY / 2;
        if (!size_mul(capacity, 2, &capacity))
            return false;
        struct foreign_uid *grown = reallocarray(uids->items, capacity, sizeof(*grown));
        if (!grown)
            return false;
        uids->items = grown;
        uids->capacity = capacity;
    }
    uids->items[uids->count++] = *item;
    return true;
}

/* Lines stand in the file as they came: the text is one, so addresses are their order. */
static int compare_places(const struct foreign_uid *a, const struct foreign_uid *b)
{
    return (a->key.ptr > b->key.ptr) - (a->key.ptr < b->key.ptr);
}

static int compare_uids(const void *left, const void *right)
{
    const struct foreign_uid *a = left, *b = right;
    return a->uid != b->uid ? (a->uid > b->uid) - (a->uid < b->uid) : compare_places(a, b);
}

static int compare_keys(const void *left, const void *right)
{
    const struct foreign_uid *a = left, *b = right;
    int order = slice_compare(a->key, b->key);
    return order != 0 ? order : compare_places(b, a);
}

static void note_bad(struct foreign_uids *uids, size_t line)
{
    uids->bad_lines++;
    if (uids->first_bad_line == 0)
        uids->first_bad_line = line;
}

/* The first of those that are equal in that order stays. */
static void keep_firsts(struct foreign_uids *uids,
                        bool (*same)(const struct foreign_uid *a, const struct foreign_uid *b))
{
    size_t kept = 0;
    for (size_t i = 0; i < uids->count; i++)
        if (kept == 0 || !same(&uids->items[kept - 1], &uids->items[i]))
            uids->items[kept++] = uids->items[i];
    uids->count = kept;
}

static bool same_uid(const struct foreign_uid *a, const struct foreign_uid *b)
{
    return a->uid == b->uid;
}

static bool same_key(const struct foreign_uid *a, const struct foreign_uid *b)
{
    return slice_equal(a->key, b->key);
}

static void put_in_order(struct foreign_uids *uids)
{
    if (uids->count == 0)
        return;
    qsort(uids->items, uids->count, sizeof(*uids->items), compare_uids);
    size_t before = uids->count;
    keep_firsts(uids, same_uid);
    uids->bad_lines += before - uids->count;
    uint64_t above = (uint64_t)uids->items[uids->count - 1].uid + 1;
    if (uids->next_uid < above)
        uids->next_uid = above;
    qsort(uids->items, uids->count, sizeof(*uids->items), compare_keys);
    keep_firsts(uids, same_key);
}

static bool parse_lines(struct slice text, parse_line *parse, struct foreign_uids *uids,
                        struct error *error)
{
    for (size_t number = 2; text.len > 0; number++) {
        size_t end = slice_find_octet(text, '\n');
        struct foreign_uid item;
        bool is_whole = end < text.len; /* the last one may have been cut off */
        if (!is_whole || !parse(slice_range(text, 0, end), &item))
            note_bad(uids, number);
        else if (!add(uids, &item))
            return error_memory(error);
        text = slice_from(text, end + 1);
    }
    return true;
}

bool foreign_uids_parse(struct slice text, struct foreign_uids *uids, struct error *error)
{
    static const struct {
        struct slice version;
        bool (*first)(struct cursor *in, struct foreign_uids *uids);
        parse_line *others;
    } versions[] = {
        {SLICE("1 "), parse_first_version_1, parse_line_version_1},
        {SLICE("3 "), parse_first_version_3, parse_line_version_3},
    };
    *uids = (struct foreign_uids){.items = NULL};
    size_t end = slice_find_octet(text, '\n');
    struct slice first = slice_range(text, 0, end);
    for (size_t i = 0; i < ARRAY_LENGTH(versions); i++) {
        struct cursor in = cursor_of(slice_from(first, versions[i].version.len));
        if (!slice_starts_with(first, versions[i].version) || !versions[i].first(&in, uids))
            continue;
        if (!parse_lines(slice_from(text, end + 1), versions[i].others, uids, error))
            return false;
        put_in_order(uids);
        if (uids->next_uid == 0)
            uids->next_uid = 1;
        return uids->next_uid <= NEXT_UID_MAX
               || error_set(error, ERROR_PERMANENT, "line 1: the next UID is too large");
    }
    return error_set(error, ERROR_PERMANENT, "line 1: no UIDVALIDITY in it");
}

void foreign_uids_clear(struct foreign_uids *uids)
{
    free(uids->items);
    *uids = (struct foreign_uids){.items = NULL};
}

void foreign_uids_order_by_uid(struct foreign_uids *uids)
{
    if (uids->count > 0)
        qsort(uids->items, uids->count, sizeof(*uids->items), compare_uids);
}

static int compare_key(const void *key, const void *item)
{
    return slice_compare(*(const struct slice *)key, ((const struct foreign_uid *)item)->key);
}

const struct foreign_uid *foreign_uids_find(const struct foreign_uids *uids, struct slice key)
{
    if (uids->count == 0)
        return NULL;
    return bsearch(&key, uids->items, uids->count, sizeof(*uids->items), compare_key);
}
