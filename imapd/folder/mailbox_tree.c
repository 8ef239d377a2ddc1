/* The tree of mailbox_tree.h. */
#include "imapd/folder/mailbox_tree.h"

#include <stdlib.h>

#include "common/size.h"
#include "storage/acl.h"
#include "storage/expunged.h"

enum { TREE_MEMORY = 1 << 26 };

static int rank_of(uint8_t octet)
{
    return octet == '/' ? 0 : octet + 1;
}

int mailbox_tree_compare(struct slice a, struct slice b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < shorter; i++) {
        if (a.ptr[i] != b.ptr[i])
            return rank_of(a.ptr[i]) - rank_of(b.ptr[i]);
    }
    return (a.len > b.len) - (a.len < b.len);
}

static bool is_at_or_above(struct slice superior, struct slice name)
{
    struct slice rest = slice_from(name, superior.len);
    return slice_starts_with(name, superior) && (rest.len == 0 || rest.ptr[0] == '/');
}

bool mailbox_tree_next_superior(struct slice last, struct slice name, size_t *end)
{
    size_t start = *end ? *end + 1 : 0;
    for (size_t at = start; at < name.len; at++) {
        if (name.ptr[at] != '/' || is_at_or_above(slice_range(name, 0, at), last))
            continue;
        *end = at;
        return true;
    }
    return false;
}

static int compare_entries(const void *a, const void *b)
{
    const struct tree_entry *left = a;
    const struct tree_entry *right = b;
    return mailbox_tree_compare(slice_of_string(left->name), slice_of_string(right->name));
}

/* ---- the names ---- */

struct names {
    struct tree_entry *entries; /* in no order, one perhaps twice */
    size_t count;
};

/* Leaves out folders whose directory name, made by another program, maps to no name. */
static void gather_folders(struct names *names, const struct folder_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct folder_entry *folder = &list->entries[i];
        if (folder->name)
            names->entries[names->count++] = (struct tree_entry){
                .name = folder->name, .directory = folder->directory, .traits = TREE_FOLDER};
    }
}

static bool gather_subscriptions(struct names *names, const struct subscriptions *subscriptions,
                                 struct arena *arena)
{
    struct slice rest = buffer_slice(&subscriptions->text);
    struct slice name;
    while (subscriptions_next(&rest, &name)) {
        const char *copy = arena_copy_string(arena, name);
        if (!copy)
            return false;
        names->entries[names->count++] =
            (struct tree_entry){.name = copy, .traits = TREE_SUBSCRIBED};
    }
    return true;
}

static size_t count_lines(struct slice text)
{
    struct slice line;
    size_t count = 0;
    while (subscriptions_next(&text, &line))
        count++;
    return count;
}

/* rights SP name */
static bool gather_shared(struct names *names, struct slice text, struct arena *arena)
{
    struct slice line;
    unsigned rights;
    while (subscriptions_next(&text, &line)) {
        size_t space = slice_find_octet(line, ' ');
        if (!acl_rights_parse(slice_range(line, 0, space), &rights))
            continue;
        const char *copy = arena_copy_string(arena, slice_from(line, space + 1));
        if (!copy)
            return false;
        names->entries[names->count++] =
            (struct tree_entry){.name = copy, .traits = TREE_FOLDER, .rights = rights};
    }
    return true;
}

/* names->entries is the caller's to free, also on failure. */
static bool gather(struct names *names, struct mailbox_tree *tree,
                   const struct tree_additions *additions)
{
    const struct subscriptions *subscriptions = additions->subscriptions;
    size_t most = tree->list.count + count_lines(additions->shared)
                  + (subscriptions ? count_lines(buffer_slice(&subscriptions->text)) : 0);
    *names = (struct names){.entries = calloc(most, sizeof(*names->entries))};
    if (!names->entries)
        return false;
    gather_folders(names, &tree->list);
    if ((subscriptions && !gather_subscriptions(names, subscriptions, &tree->arena))
        || !gather_shared(names, additions->shared, &tree->arena))
        return false;
    qsort(names->entries, names->count, sizeof(*names->entries), compare_entries);
    return true;
}

/* ---- the tree of them ---- */

void mailbox_tree_note(struct mailbox_tree *tree, struct tree_entry *entry, unsigned traits)
{
    entry->traits |= traits;
    for (size_t at = entry->above; at != TREE_TOP; at = tree->entries[at].above) {
        struct tree_entry *superior = &tree->entries[at];
        if ((superior->below & traits) == traits)
            return; /* and so have all above it */
        superior->below |= traits;
    }
}

/* The parent of a name among the existing entries: the last entry, or one above that. */
static size_t find_above(const struct mailbox_tree *tree, struct slice name)
{
    if (!tree->entries || tree->count == 0)
        return TREE_TOP;
    size_t at = tree->count - 1;
    while (at != TREE_TOP && !is_at_or_above(slice_of_string(tree->entries[at].name), name))
        at = tree->entries[at].above;
    return at;
}

static bool append(struct mailbox_tree *tree, size_t *capacity, struct tree_entry entry)
{
    if (!tree->entries || tree->count == *capacity) {
        size_t grown = *capacity ? *capacity * 2 : 64;
        struct tree_entry *entries = reallocarray(tree->entries, grown, sizeof(entry));
        if (!entries)
            return false;
        tree->entries = entries;
        *capacity = grown;
    }
    entry.above = find_above(tree, slice_of_string(entry.name));
    tree->entries[tree->count] = entry;
    mailbox_tree_note(tree, &tree->entries[tree->count++], entry.traits);
    return true;
}

static bool append_with_superiors(struct mailbox_tree *tree, size_t *capacity,
                                  const struct tree_entry *entry)
{
    struct slice name = slice_of_string(entry->name);
    struct tree_entry *before = tree->count ? &tree->entries[tree->count - 1] : NULL;
    struct slice last = slice_of_string(before ? before->name : NULL);
    size_t end = 0;
    if (before && slice_equal(last, name)) { /* a folder, and subscribed to */
        before->directory = before->directory ? before->directory : entry->directory;
        before->rights |= entry->rights;
        mailbox_tree_note(tree, before, entry->traits);
        return true;
    }
    while (mailbox_tree_next_superior(last, name, &end)) {
        const char *superior = arena_copy_string(&tree->arena, slice_range(name, 0, end));
        if (!superior || !append(tree, capacity, (struct tree_entry){.name = superior}))
            return false;
    }
    return append(tree, capacity, *entry);
}

bool mailbox_tree_read_with(struct mailbox_tree *tree, int account_fd,
                            const struct tree_additions *additions, struct error *error)
{
    const char *expunged = additions->expunged;
    struct names names;
    size_t capacity = 0;
    *tree = (struct mailbox_tree){.count = 0};
    folder_list_init(&tree->list);
    arena_init(&tree->arena, TREE_MEMORY);
    if (!folders_list(account_fd, &tree->list, error)
        || (expunged && !expunged_list(account_fd, expunged, &tree->list, error))) {
        mailbox_tree_clear(tree);
        return false;
    }
    bool made = gather(&names, tree, additions);
    for (size_t i = 0; made && i < names.count; i++)
        made = append_with_superiors(tree, &capacity, &names.entries[i]);
    free(names.entries);
    if (made)
        return true;
    mailbox_tree_clear(tree);
    return error_memory(error);
}

bool mailbox_tree_read(struct mailbox_tree *tree, int account_fd,
                       const struct subscriptions *subscriptions, const char *expunged,
                       struct error *error)
{
    const struct tree_additions additions = {.subscriptions = subscriptions, .expunged = expunged};
    return mailbox_tree_read_with(tree, account_fd, &additions, error);
}

struct tree_entry *mailbox_tree_find(const struct mailbox_tree *tree, struct slice name)
{
    size_t low = 0, high = tree->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct tree_entry *entry = &tree->entries[middle];
        int order = mailbox_tree_compare(slice_of_string(entry->name), name);
        if (order == 0)
            return entry;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void mailbox_tree_clear(struct mailbox_tree *tree)
{
    free(tree->entries);
    tree->entries = NULL;
    tree->count = 0;
    folder_list_clear(&tree->list);
    arena_clear(&tree->arena);
}
