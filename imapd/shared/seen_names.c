/* The set of seen_names.h. */
#include "imapd/shared/seen_names.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash_table.h"

enum { NAMES_OCTETS = 1 << 20 };

struct seen_name {
    UT_hash_handle hh;
    size_t octets;
    uint8_t text[];
};

void seen_names_init(struct seen_names *seen)
{
    *seen = (struct seen_names){.names = NULL};
}

static void drop(struct seen_names *seen, struct seen_name *one)
{
    HASH_DEL(seen->names, one);
    seen->octets -= one->octets;
    free(one);
}

void seen_names_clear(struct seen_names *seen)
{
    while (seen->names)
        drop(seen, seen->names);
    seen_names_init(seen);
}

static struct seen_name *find(const struct seen_names *seen, struct slice name)
{
    struct seen_name *found = NULL;
    HASH_FIND(hh, seen->names, name.ptr, name.len, found);
    return found;
}

bool seen_names_has(const struct seen_names *seen, struct slice name)
{
    return find(seen, name) != NULL;
}

void seen_names_add(struct seen_names *seen, struct slice name)
{
    bool has_room = !seen->failed && name.len <= NAMES_OCTETS - seen->octets;
    struct seen_name *one = has_room ? calloc(1, sizeof(*one) + name.len) : NULL;
    seen->failed = !one;
    if (!one)
        return;
    one->octets = name.len;
    memcpy(one->text, name.ptr, name.len);
    HASH_ADD(hh, seen->names, text, name.len, one);
    if (hash_table_holds(&one->hh)) {
        seen->octets += name.len;
        return;
    }
    seen->failed = true;
    free(one);
}

void seen_names_remove(struct seen_names *seen, struct slice name)
{
    struct seen_name *one = find(seen, name);
    if (one)
        drop(seen, one);
}

bool seen_names_failed(const struct seen_names *seen)
{
    return seen->failed;
}

const struct seen_name *seen_names_next(const struct seen_names *seen, const struct seen_name *one)
{
    return one ? one->hh.next : seen->names;
}

struct slice seen_name_text(const struct seen_name *one)
{
    return slice_of(one->text, one->octets);
}
