/*
 * Reads the messages of a folder from new/ and cur/ into one array. A file that another program
 * renames meanwhile is neither missed nor listed twice.
 */
#ifndef STORAGE_MAILDIR_SCAN_H
#define STORAGE_MAILDIR_SCAN_H

#include "common/arena.h"
#include "storage/maildir.h"
#include "storage/maildir_name.h"

enum { MAILDIR_SCAN_MEMORY = 1 << 28 }; /* octets of names: some two million messages */

struct maildir_entry {
    const char *name; /* as on disk */
    uint16_t name_octets;
    uint16_t key_octets; /* the key is the beginning of the name */
    uint8_t place;       /* enum maildir_place */
    uint8_t round;       /* for maildir_scan.c */
};

struct maildir_list {
    struct maildir_entry *entries; /* sorted by key, which is the order of delivery */
    size_t count;
    size_t capacity;
    struct arena names;
};

static inline struct slice maildir_entry_name(const struct maildir_entry *entry)
{
    return slice_of(entry->name, entry->name_octets);
}

static inline struct slice maildir_entry_key(const struct maildir_entry *entry)
{
    return slice_of(entry->name, entry->key_octets);
}

void maildir_list_init(struct maildir_list *list);
void maildir_list_clear(struct maildir_list *list); /* may run twice */

/* Replaces the contents of the list. No two entries have the same key:
 * - a file that was renamed meanwhile and so seen under two names is listed under its current one;
 *   two hard links to one file are one message;
 * - of two different files with one key (a restored backup, a careless script) the later one is
 *   renamed on disk to a key of its own.
 * Names that begin with a dot, and anything but regular files, are not messages. */
bool maildir_scan(const struct maildir *box, struct maildir_list *list, struct error *error);

/* The same for new/ only, except that entries with the same key are all listed. */
bool maildir_scan_new(const struct maildir *box, struct maildir_list *list, struct error *error);

/* The entry with that key, or NULL. */
const struct maildir_entry *maildir_list_find(const struct maildir_list *list, struct slice key);

#endif
