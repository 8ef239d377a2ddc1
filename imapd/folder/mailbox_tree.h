/*
 * The folders of the account as a client sees them: in the order of a tree, with the names that
 * exist only because something lies below them (RFC 3501 6.3.8, \Noselect). imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_MAILBOX_TREE_H
#define IMAPD_FOLDER_MAILBOX_TREE_H

#include "imapd/mailbox.h"
#include "storage/folders.h"

enum tree_trait {
    TREE_FOLDER = 1 << 0, /* there is such a folder; else only one below it, or a subscription */
    TREE_SUBSCRIBED = 1 << 1,
    TREE_SPECIAL_USE = 1 << 2, /* this and the next two are LIST's to note */
    TREE_CHOSEN = 1 << 3,
    TREE_UNNAMED = 1 << 4, /* chosen, but no pattern matches it */
};

#define TREE_TOP SIZE_MAX

struct tree_entry {
    const char *name;      /* UTF-8 */
    const char *directory; /* on disk; NULL: no TREE_FOLDER, or another account's */
    unsigned rights;       /* to another account's: enum acl_right; 0: it is none */
    size_t above;          /* the entry that this one is below, or TREE_TOP */
    unsigned traits;       /* enum tree_trait */
    unsigned below;        /* the traits of all that is below it */
    unsigned special_use;  /* LIST's: enum special_use */
};

struct mailbox_tree {
    struct tree_entry *entries; /* each before what lies below it */
    size_t count;
    struct folder_list list; /* owns the names of those that exist */
    struct arena arena;
};

/* What is in it beside the folders. */
struct tree_additions {
    const struct subscriptions *subscriptions; /* names that need not exist; NULL: none */
    const char *expunged; /* below the mailbox of that name what was expunged; NULL: nothing */
    struct slice shared;  /* other accounts' mailboxes, as imapd/shared/shared_names.h has them */
};

/* On failure it is cleared. */
bool mailbox_tree_read_with(struct mailbox_tree *tree, int account_fd,
                            const struct tree_additions *additions, struct error *error);
/* The same without other accounts' mailboxes. */
bool mailbox_tree_read(struct mailbox_tree *tree, int account_fd,
                       const struct subscriptions *subscriptions, const char *expunged,
                       struct error *error);
void mailbox_tree_clear(struct mailbox_tree *tree); /* may run twice */

/* NULL: there is none. */
struct tree_entry *mailbox_tree_find(const struct mailbox_tree *tree, struct slice name);

/* Notes traits of that entry, there and in all above it. */
void mailbox_tree_note(struct mailbox_tree *tree, struct tree_entry *entry, unsigned traits);

/* Orders names as a tree: "a" < "a/b" < "a b". */
int mailbox_tree_compare(struct slice a, struct slice b);

/* The names above `name` that do not lead to `last`, the name that came before it in that order:
 * *end is where the next of them ends in `name`; start with 0. False: there is none any more. */
bool mailbox_tree_next_superior(struct slice last, struct slice name, size_t *end);

#endif
