/* Folders by their use; see special_folder.h. */
#include "storage/special_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/disk/fd.h"
#include "storage/folders.h"

enum claim { CLAIM_NONE, CLAIM_BY_CUSTOM, CLAIM_BY_RECORD };

static enum claim claim_of(int account_fd, const char *directory, enum special_use use)
{
    struct folder_record record;
    struct error error;
    int fd = openat(account_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return CLAIM_NONE;
    bool loaded = folder_record_load(fd, &record, &error);
    fd_discard(&fd);
    if (loaded)
        return record.special_use & use ? CLAIM_BY_RECORD : CLAIM_NONE;
    bool custom = error.kind == ERROR_NOT_FOUND && (special_use_of_directory(directory) & use);
    return custom ? CLAIM_BY_CUSTOM : CLAIM_NONE;
}

static const char *find_listed(int account_fd, const struct folder_list *list, enum special_use use)
{
    const char *by_custom = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const char *directory = list->entries[i].directory;
        enum claim claim = claim_of(account_fd, directory, use);
        if (claim == CLAIM_BY_RECORD)
            return directory;
        if (claim == CLAIM_BY_CUSTOM && !by_custom)
            by_custom = directory;
    }
    return by_custom;
}

bool special_folder_find(int account_fd, enum special_use use, char directory[MAILDIR_NAME_SIZE],
                         struct error *error)
{
    struct folder_list list;
    if (directory[0] != '\0' && claim_of(account_fd, directory, use) == CLAIM_BY_RECORD)
        return true;
    folder_list_init(&list);
    bool found = folders_list(account_fd, &list, error);
    if (found) {
        const char *of_use = find_listed(account_fd, &list, use);
        found = of_use != NULL || error_set(error, ERROR_NOT_FOUND, "no such folder");
        if (found)
            snprintf(directory, MAILDIR_NAME_SIZE, "%s", of_use);
    }
    folder_list_clear(&list);
    return found;
}
