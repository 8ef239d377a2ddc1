/*
 * The folders of the account as a client sees them: in the order of a tree, with the names that
 * exist only because something lies below them (RFC 3501 6.3.8, \Noselect). imapd-mailbox.
 */
#ifndef IMAPD_MAILBOX_TREE_H
#define IMAPD_MAILBOX_TREE_H

#include "imapd/mailbox.h"
#include "storage/folders.h"

struct tree_entry {
    const char *name;      /* UTF-8 */
    const char *directory; /* on disk; NULL: there is no such folder, only some below it */
    bool has_children;
};

struct mailbox_tree {
    struct tree_entry *entries; /* each before what lies below it */
    size_t count;
    struct folder_list list; /* owns the names of those that exist */
    struct arena arena;
};

/* On failure it is cleared. */
bool mailbox_tree_read(struct mailbox_tree *tree, int account_fd, struct error *error);
void mailbox_tree_clear(struct mailbox_tree *tree); /* may run twice */

/* Orders names as a tree: "a" < "a/b" < "a b". */
int mailbox_tree_compare(struct slice a, struct slice b);

/* The names above `name` that do not lead to `last`, the name that came before it in that order:
 * *end is where the next of them ends in `name`; start with 0. False: there is none any more. */
bool mailbox_tree_next_superior(struct slice last, struct slice name, size_t *end);

#endif
