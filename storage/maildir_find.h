/*
 * Where the messages of an account lie, by the part of their name before the first comma: for
 * repeated deliveries, which must find a message in whatever folder and under whatever flags the
 * user has it now. All folders are read once, at the first question; that a message was *not* there
 * then stays true, since only the owner of this struct delivers (and says so).
 *
 * One owner: the deliver process of the account, for as long as repeated deliveries come in.
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

/* ERROR_NOT_FOUND: no folder has it. A location can be stale: where opening it says
 * ERROR_NOT_FOUND, forget everything and ask again. */
bool maildir_find_unique(struct maildir_find *find, struct slice unique,
                         struct maildir_location *location, struct error *error);

/* The next question reads all folders again. */
void maildir_find_forget(struct maildir_find *find);

/* A message was delivered into that folder's new/ since the folders were read. */
void maildir_find_add(struct maildir_find *find, const char *folder, const char *name);

#endif
