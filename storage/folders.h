/*
 * The folders of an account: directories ".A.B" beside INBOX's cur/, new/ and tmp/. `account_fd` is
 * the account's directory; names are those on disk (folder_name.h has the user's). What these
 * calls changed is on disk when they return true. Blocking file I/O.
 *
 * Writers: the user's mailbox process; deliver, which only creates. Two that create the same folder
 * at once are fine.
 */
#ifndef STORAGE_FOLDERS_H
#define STORAGE_FOLDERS_H

#include "common/arena.h"
#include "storage/maildir.h"

enum {
    FOLDERS_MEMORY = 1 << 25,  /* octets of all names */
    FOLDERS_DELETED_DEPTH = 4, /* directories in a folder that is being removed */
};

struct folder_entry {
    const char *directory; /* on disk: "." or ".A.B" */
    const char *name;      /* the user's, UTF-8; NULL: made by another program, cannot be said */
};

struct folder_list {
    struct folder_entry *entries; /* INBOX first, then in the order of `directory` */
    size_t count;
    size_t capacity;
    struct arena memory;
};

void folder_list_init(struct folder_list *list);
void folder_list_clear(struct folder_list *list); /* may run twice */

/* Copies both; a name without a pointer: there is none. */
bool folder_list_add(struct folder_list *list, const char *directory, struct slice name,
                     struct error *error);

/* Replaces what the list held. */
bool folders_list(int account_fd, struct folder_list *list, struct error *error);

bool folders_exists(int account_fd, const char *directory);

/* ERROR_EXISTS: there is one already. Folders above it are not made: ".A.B" may stand alone. */
bool folders_create(int account_fd, const char *directory, struct error *error);

/* Removes the folder with all mail in it, not those below it. Tombstones are made for what was
 * delivered today. The folder vanishes at once, whole; a crash leaves its rest in INBOX/tmp, where
 * maildir_sweep removes it. ERROR_NOT_FOUND: there is none. INBOX cannot be deleted. */
bool folders_delete(const struct maildir *inbox, const char *directory, int64_t now,
                    struct error *error);

/* What it makes before and after: tombstones of the folder's young messages. */
bool folders_bury_young(const struct maildir *inbox, const struct maildir *box, int64_t now,
                        struct error *error);

/* Renames the folder and all below it (".A" to ".B", ".A.x" to ".B.x"). ERROR_NOT_FOUND: neither it
 * nor one below it exists; ERROR_EXISTS: one of the new names is taken, nothing was renamed.
 * ERROR_PERMANENT: a new name would be too long, or below the old one. Renaming INBOX is moving its
 * messages, which is the caller's. */
bool folders_rename(int account_fd, const char *from, const char *to, struct error *error);

/* The same for folders of that list. */
bool folders_rename_listed(int account_fd, const struct folder_list *list, const char *from,
                           const char *to, struct error *error);

/* A folder on its way out, in INBOX/tmp. */
bool folders_is_deleted_name(const char *name);

#endif
