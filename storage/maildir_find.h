/*
 * Finds messages of an account by the part of their name before the first comma: for repeated
 * deliveries, which must find a message in whichever folder and with whichever flags it now is. All
 * folders are read once, at the first look-up; a message that was *not* found then stays absent,
 * since only the owner of this struct delivers (and calls maildir_find_add()).
 *
 * One owner: the deliver process of the account, as long as there are repeated deliveries.
 */
#ifndef STORAGE_MAILDIR_FIND_H
#define STORAGE_MAILDIR_FIND_H

#include "common/arena.h"
#include "storage/maildir.h"
#include "storage/maildir_name.h"

struct maildir_find_entry;

struct maildir_find {
    int account_fd; /* borrowed */
    bool loaded;
    struct maildir_find_entry *entries; /* hash table */
    struct arena memory;
};

struct maildir_location {
    char folder[MAILDIR_NAME_SIZE]; /* on disk: "." or ".A.B" */
    enum maildir_place place;
    char name[MAILDIR_NAME_SIZE];
};

void maildir_find_init(struct maildir_find *find, int account_fd);
void maildir_find_clear(struct maildir_find *find); /* may run twice */

/* ERROR_NOT_FOUND: no folder has it. A location can be stale: if opening it fails with
 * ERROR_NOT_FOUND, call maildir_find_forget() and look again. */
bool maildir_find_unique(struct maildir_find *find, struct slice unique,
                         struct maildir_location *location, struct error *error);

/* Makes the next look-up read all folders again. */
void maildir_find_forget(struct maildir_find *find);

/* To be called when a message was delivered into this folder's new/ after the folders were read. */
void maildir_find_add(struct maildir_find *find, const char *folder, const char *name);

#endif
