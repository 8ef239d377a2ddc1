/* Names in UTF-8 on disk; see foreign_names.h. */
#include "storage/foreign/foreign_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "storage/folder_name.h"
#include "storage/folders.h"

enum { NAME_OCTETS = 2 * MAILDIR_NAME_SIZE };

bool foreign_name_of(struct slice directory, struct buffer *name)
{
    char text[MAILDIR_NAME_SIZE];
    if (directory.len >= sizeof(text))
        return false;
    memcpy(text, directory.ptr, directory.len);
    text[directory.len] = '\0';
    buffer_reset(name);
    if (folder_name_from_directory(text, name) && !name->failed)
        return true;
    buffer_reset(name);
    for (size_t i = 1; i < directory.len; i++)
        buffer_append_octet(name, directory.ptr[i] == '.' ? FOLDER_SEPARATOR : directory.ptr[i]);
    return folder_name_to_directory(buffer_slice(name), text, NULL);
}

static bool rename_one(int account_fd, const char *directory, struct foreign_names *found,
                       struct error *error)
{
    struct buffer name = BUFFER_WITH_LIMIT(NAME_OCTETS);
    char ours[MAILDIR_NAME_SIZE];
    bool means = foreign_name_of(slice_of_string(directory), &name) && !name.failed
                 && folder_name_to_directory(buffer_slice(&name), ours, NULL);
    buffer_clear(&name);
    if (!means) {
        found->left++;
        return true;
    }
    if (renameat2(account_fd, directory, account_fd, ours, RENAME_NOREPLACE) == 0)
        found->renamed++;
    else if (errno == EEXIST)
        found->left++;
    else
        return error_errno(error, "rename %.100s to %.100s", directory, ours);
    return true;
}

bool foreign_names_rename(int account_fd, struct foreign_names *found, struct error *error)
{
    struct folder_list list;
    *found = (struct foreign_names){.renamed = 0};
    folder_list_init(&list);
    bool done = folders_list(account_fd, &list, error);
    for (size_t i = 0; i < list.count && done; i++)
        if (!list.entries[i].name)
            done = rename_one(account_fd, list.entries[i].directory, found, error);
    folder_list_clear(&list);
    if (done && found->renamed > 0 && fsync(account_fd) != 0)
        done = error_errno(error, "flush directory of folders");
    return done;
}
