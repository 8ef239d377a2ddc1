/*
 * The folders of an account: directories ".A.B" beside INBOX's cur/, new/ and tmp/. `account_fd` is
 * the account's directory; names are directory names (folder_name.h maps the user's names to them).
 * Changes are on disk when a call returns true. Blocking file I/O.
 *
 * Writers: the user's mailbox process; deliver, which only creates. Two processes may create the
 * same folder at once.
 */
#ifndef STORAGE_FOLDERS_H
#define STORAGE_FOLDERS_H

#include "common/arena.h"
#include "storage/maildir.h"

enum {
    FOLDERS_MEMORY = 1 << 25,  /* octets of all names */
    FOLDERS_DELETED_DEPTH = 4, /* levels of directories in a folder being removed */
};

struct folder_entry {
    const char *directory; /* on disk: "." or ".A.B" */
    const char *name;      /* the user's name, UTF-8; NULL: `directory` maps to no name */
};

struct folder_list {
    struct folder_entry *entries; /* INBOX first, then in the order of `directory` */
    size_t count;
    size_t capacity;
    struct arena memory;
};

void folder_list_init(struct folder_list *list);
void folder_list_clear(struct folder_list *list); /* may run twice */

/* Copies both; name.ptr NULL: the folder has no user's name. */
bool folder_list_add(struct folder_list *list, const char *directory, struct slice name,
                     struct error *error);

/* Replaces the contents of the list. */
bool folders_list(int account_fd, struct folder_list *list, struct error *error);

bool folders_exists(int account_fd, const char *directory);

/* ERROR_EXISTS: the folder exists. Parent folders are not created: ".A.B" may exist without
 * ".A". */
bool folders_create(int account_fd, const char *directory, struct error *error);

/* Removes the folder with all its mail, but not the folders below it. Makes tombstones for young
 * messages. The folder disappears at once, by a rename; after a crash its rest is in INBOX/tmp,
 * where maildir_sweep() removes it. ERROR_NOT_FOUND: there is no such folder. INBOX cannot be
 * deleted. */
bool folders_delete(const struct maildir *inbox, const char *directory, int64_t now,
                    struct error *error);

/* Makes tombstones for the folder's young messages, as folders_delete() does before and after. */
bool folders_bury_young(const struct maildir *inbox, const struct maildir *box, int64_t now,
                        struct error *error);

/* Renames the folder and all below it (".A" to ".B", ".A.x" to ".B.x"). ERROR_NOT_FOUND: neither it
 * nor one below it exists; ERROR_EXISTS: a new name is taken, and nothing was renamed.
 * ERROR_PERMANENT: a new name would be too long, or below the old one. To rename INBOX the caller
 * moves its messages instead. */
bool folders_rename(int account_fd, const char *from, const char *to, struct error *error);

/* The same for the folders of this list. */
bool folders_rename_listed(int account_fd, const struct folder_list *list, const char *from,
                           const char *to, struct error *error);

/* Whether this is the name of a folder being removed, in INBOX/tmp. */
bool folders_is_deleted_name(const char *name);

#endif
