/* The tree of mailbox_tree.h. */
#include "imapd/mailbox_tree.h"

#include <stdlib.h>

#include "common/size.h"

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
    const struct folder_entry *left = a;
    const struct folder_entry *right = b;
    return mailbox_tree_compare(slice_of_string(left->name), slice_of_string(right->name));
}

/* Folders that other programs made under names that cannot be said go to the end, out of sight. */
static size_t part_speakable(struct folder_list *list)
{
    size_t speakable = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct folder_entry entry = list->entries[i];
        if (!entry.name)
            continue;
        list->entries[i] = list->entries[speakable];
        list->entries[speakable++] = entry;
    }
    return speakable;
}

static bool append(struct mailbox_tree *tree, size_t *capacity, struct tree_entry entry)
{
    if (tree->count == *capacity) {
        size_t grown = *capacity ? *capacity * 2 : 64;
        struct tree_entry *entries = reallocarray(tree->entries, grown, sizeof(entry));
        if (!entries)
            return false;
        tree->entries = entries;
        *capacity = grown;
    }
    if (tree->count > 0) {
        struct tree_entry *last = &tree->entries[tree->count - 1];
        last->has_children =
            is_at_or_above(slice_of_string(last->name), slice_of_string(entry.name));
    }
    tree->entries[tree->count++] = entry;
    return true;
}

static bool append_with_superiors(struct mailbox_tree *tree, size_t *capacity,
                                  const struct folder_entry *folder)
{
    struct slice name = slice_of_string(folder->name);
    struct slice last = slice_of_string(tree->count ? tree->entries[tree->count - 1].name : NULL);
    size_t end = 0;
    while (mailbox_tree_next_superior(last, name, &end)) {
        const char *superior = arena_copy_string(&tree->arena, slice_range(name, 0, end));
        if (!superior || !append(tree, capacity, (struct tree_entry){.name = superior}))
            return false;
    }
    return append(tree, capacity,
                  (struct tree_entry){.name = folder->name, .directory = folder->directory});
}

bool mailbox_tree_read(struct mailbox_tree *tree, int account_fd, struct error *error)
{
    size_t capacity = 0;
    *tree = (struct mailbox_tree){.count = 0};
    folder_list_init(&tree->list);
    arena_init(&tree->arena, TREE_MEMORY);
    if (!folders_list(account_fd, &tree->list, error)) {
        mailbox_tree_clear(tree);
        return false;
    }
    size_t count = part_speakable(&tree->list);
    qsort(tree->list.entries, count, sizeof(tree->list.entries[0]), compare_entries);
    for (size_t i = 0; i < count; i++) {
        if (!append_with_superiors(tree, &capacity, &tree->list.entries[i])) {
            mailbox_tree_clear(tree);
            return error_memory(error);
        }
    }
    return true;
}

void mailbox_tree_clear(struct mailbox_tree *tree)
{
    free(tree->entries);
    tree->entries = NULL;
    tree->count = 0;
    folder_list_clear(&tree->list);
    arena_clear(&tree->arena);
}
