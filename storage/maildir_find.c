/* The messages of an account by their unique part; see maildir_find.h. */
#include "storage/maildir_find.h"

#include <stdio.h>

#include "common/hash_table.h"
#include "storage/folders.h"
#include "storage/maildir_scan.h"

struct maildir_find_entry {
    UT_hash_handle hh;
    const char *folder;
    enum maildir_place place;
    const char *name; /* the key of the table is its beginning */
};

void maildir_find_init(struct maildir_find *find, int account_fd)
{
    *find = (struct maildir_find){.account_fd = account_fd};
    arena_init(&find->memory, 2 * (size_t)MAILDIR_SCAN_MEMORY);
}

void maildir_find_forget(struct maildir_find *find)
{
    HASH_CLEAR(hh, find->entries);
    arena_clear(&find->memory);
    find->loaded = false;
}

void maildir_find_clear(struct maildir_find *find)
{
    maildir_find_forget(find);
}

static bool add(struct maildir_find *find, const char *folder, enum maildir_place place,
                struct slice name)
{
    struct maildir_find_entry *entry = arena_alloc(&find->memory, sizeof(*entry));
    const char *copy = arena_copy_string(&find->memory, name);
    struct maildir_name parsed;
    if (!entry || !copy || !maildir_name_parse(slice_of_string(copy), &parsed))
        return false;
    *entry = (struct maildir_find_entry){.folder = folder, .place = place, .name = copy};
    HASH_ADD_KEYPTR(hh, find->entries, parsed.unique.ptr, parsed.unique.len, entry);
    return hash_table_holds(&entry->hh);
}

static bool load_folder(struct maildir_find *find, const char *directory, struct error *error)
{
    const char *folder = arena_copy_string(&find->memory, slice_of_string(directory));
    struct maildir box;
    struct maildir_list list;
    bool loaded = false;
    if (!folder)
        return error_memory(error);
    if (!maildir_open(find->account_fd, folder, &box, error))
        return error->kind == ERROR_NOT_FOUND; /* deleted a moment ago */
    maildir_list_init(&list);
    if (!maildir_scan(&box, &list, error))
        goto done;
    for (size_t i = 0; i < list.count; i++)
        if (!add(find, folder, list.entries[i].place, maildir_entry_name(&list.entries[i]))) {
            error_memory(error);
            goto done;
        }
    loaded = true;
done:
    maildir_list_clear(&list);
    maildir_close(&box);
    return loaded;
}

static bool load(struct maildir_find *find, struct error *error)
{
    struct folder_list folders;
    folder_list_init(&folders);
    bool loaded = folders_list(find->account_fd, &folders, error);
    for (size_t i = 0; loaded && i < folders.count; i++)
        loaded = load_folder(find, folders.entries[i].directory, error);
    folder_list_clear(&folders);
    if (!loaded)
        maildir_find_forget(find);
    find->loaded = loaded;
    return loaded;
}

bool maildir_find_unique(struct maildir_find *find, struct slice unique,
                         struct maildir_location *location, struct error *error)
{
    if (!find->loaded && !load(find, error))
        return error_prefix(error, "look for an earlier delivery");
    struct maildir_find_entry *entry;
    HASH_FIND(hh, find->entries, unique.ptr, unique.len, entry);
    if (!entry)
        return error_set(error, ERROR_NOT_FOUND, "not delivered before");
    location->place = entry->place;
    snprintf(location->folder, sizeof(location->folder), "%s", entry->folder);
    snprintf(location->name, sizeof(location->name), "%s", entry->name);
    return true;
}

void maildir_find_add(struct maildir_find *find, const char *folder, const char *name)
{
    if (!find->loaded)
        return;
    const char *copy = arena_copy_string(&find->memory, slice_of_string(folder));
    if (!copy || !add(find, copy, MAILDIR_NEW, slice_of_string(name)))
        maildir_find_forget(find); /* no memory: the next question reads again */
}
