/*
 * Caches data of messages that were read: the user's index on disk (storage/index.h), and the part
 * tree of the last message read, for clients that fetch a large attachment in a hundred pieces. One
 * per mailbox. Not essential: if the index fails, that is logged once, and the mailbox goes on
 * without. imapd-mailbox.
 */
#ifndef IMAPD_FETCH_MESSAGE_CACHE_H
#define IMAPD_FETCH_MESSAGE_CACHE_H

#include <ev.h>

#include "common/mime/scan.h"
#include "common/role/turn.h"
#include "storage/index.h"

struct config;
struct folder;
struct mailbox;

/* The part tree of one message. */
struct message_tree {
    uint32_t uidvalidity;
    uint32_t uid; /* 0: of none */
    struct arena arena;
    const struct mime_part *root; /* in the arena */
};

void message_tree_init(struct message_tree *tree, const struct config *config);
struct mime_limits message_limits(const struct config *config);

struct message_cache {
    struct mailbox *mailbox; /* borrowed */
    struct index *index;     /* NULL: not open */
    bool failed;             /* the index failed, and is not opened again */
    unsigned users;          /* commands that use the index */
    struct deferred at_turn_end;
    ev_timer unflushed; /* runs while entries are to be flushed */
    ev_timer unused;    /* closes the unused index, to free its memory */
    struct message_tree last;
};

void message_cache_init(struct message_cache *cache, struct mailbox *mailbox);
void message_cache_clear(struct message_cache *cache); /* may run twice */

/* After a reload: takes the new limits.mime-depth and limits.mime-parts, for later reads. */
void message_cache_take_limits(struct message_cache *cache, const struct config *config);

/* For a command that works on this folder: opens the index, and removes its entries of removed
 * messages. Each call needs one message_cache_leave(). */
void message_cache_enter(struct message_cache *cache, struct folder *folder);
void message_cache_leave(struct message_cache *cache);

/* Visits all facts that the index has of a folder, if there is an index; needs no enter. */
void message_cache_visit_facts(struct message_cache *cache, uint32_t uidvalidity,
                               index_visit *visit, void *owner);

/* Removes a slice of the entries of a folder that no longer exists. True: done. */
bool message_cache_forget(struct message_cache *cache, uint32_t uidvalidity);

/* The index, while it is entered and has not failed; else NULL. To be called again in each turn. */
struct index *message_cache_index(const struct message_cache *cache);

/* To be called when a call of the index has failed; ERROR_NOT_FOUND is not a failure. */
void message_cache_on_failure(struct message_cache *cache, const struct error *error);

/* To be called in a turn that has put entries: they are committed at its end. */
void message_cache_commit(struct message_cache *cache);

/* Swaps the cached part tree with *tree. */
void message_cache_trade(struct message_cache *cache, struct message_tree *tree);

#endif
