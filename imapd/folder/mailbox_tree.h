/*
 * The account's folders as a client sees them: as a tree, including names that exist only because
 * there is a folder below them (RFC 3501 6.3.8, \Noselect). imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_MAILBOX_TREE_H
#define IMAPD_FOLDER_MAILBOX_TREE_H

#include "imapd/mailbox.h"
#include "storage/folders.h"

enum tree_trait {
    TREE_FOLDER = 1 << 0, /* the folder exists; else only one below it, or a subscription */
    TREE_SUBSCRIBED = 1 << 1,
    TREE_SPECIAL_USE = 1 << 2, /* set by LIST, like the next two */
    TREE_CHOSEN = 1 << 3,      /* chosen by LIST's selection options */
    TREE_UNNAMED = 1 << 4,     /* chosen, but no pattern matches it */
};

#define TREE_TOP SIZE_MAX

struct tree_entry {
    const char *name;      /* UTF-8 */
    const char *directory; /* on disk; NULL: not TREE_FOLDER, or another account's mailbox */
    unsigned rights;       /* enum acl_right, for another account's mailbox; 0: this account's */
    size_t above;          /* index of the parent entry, or TREE_TOP */
    unsigned traits;       /* enum tree_trait */
    unsigned below;        /* union of the traits of all entries below */
    unsigned special_use;  /* enum special_use, for LIST */
};

struct mailbox_tree {
    struct tree_entry *entries; /* a parent comes before its children */
    size_t count;
    struct folder_list list; /* owns the names of existing folders */
    struct arena arena;
};

/* Entries of the tree besides the account's folders. */
struct tree_additions {
    const struct subscriptions *subscriptions; /* names that need not exist; NULL: none */
    const char *expunged; /* name of the undo mailbox (undo.h), with deleted folders; NULL: none */
    struct slice shared;  /* other accounts' mailboxes, as from shared_names_told() */
};

/* On failure the tree is cleared. */
bool mailbox_tree_read_with(struct mailbox_tree *tree, int account_fd,
                            const struct tree_additions *additions, struct error *error);
/* The same without other accounts' mailboxes. */
bool mailbox_tree_read(struct mailbox_tree *tree, int account_fd,
                       const struct subscriptions *subscriptions, const char *expunged,
                       struct error *error);
void mailbox_tree_clear(struct mailbox_tree *tree); /* may run twice */

/* NULL: there is none. */
struct tree_entry *mailbox_tree_find(const struct mailbox_tree *tree, struct slice name);

/* Adds traits to the entry, and to `below` of all entries above it. */
void mailbox_tree_note(struct mailbox_tree *tree, struct tree_entry *entry, unsigned traits);

/* Orders names as a tree: "a" < "a/b" < "a b". */
int mailbox_tree_compare(struct slice a, struct slice b);

/* Visits the parents of `name` that are not parents of `last`, the previous name in that order:
 * *end is where the next one ends in `name`; start with 0. False: there are no more. */
bool mailbox_tree_next_superior(struct slice last, struct slice name, size_t *end);

#endif
