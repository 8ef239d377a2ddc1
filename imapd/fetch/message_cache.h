/*
 * What is remembered of messages that were read, so that they are not read again: the user's index
 * on disk (storage/index.h), and the parts of the message read last, for clients that fetch a large
 * attachment in a hundred pieces. One a mailbox. All of it is dispensable: where the index fails,
 * that is logged once, and the mailbox goes on without. imapd-mailbox.
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

/* The parts of one message. */
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
    bool failed;             /* and not to be opened again */
    unsigned users;          /* commands that read it */
    struct deferred at_turn_end;
    ev_timer unflushed; /* something was put: to be written soon */
    ev_timer unused;    /* then it is closed, with its memory */
    struct message_tree last;
};

void message_cache_init(struct message_cache *cache, struct mailbox *mailbox);
void message_cache_clear(struct message_cache *cache); /* may run twice */

/* After a reload: limits.mime-depth and limits.mime-parts for what is read from now on. */
void message_cache_take_limits(struct message_cache *cache, const struct config *config);

/* For a command that works on this folder: opens the index, and has it forget messages of the
 * folder that are gone. Each call wants one message_cache_leave(). */
void message_cache_enter(struct message_cache *cache, struct folder *folder);
void message_cache_leave(struct message_cache *cache);

/* Without entering it: tells all that the index knows of a folder, if there is an index. */
void message_cache_visit_facts(struct message_cache *cache, uint32_t uidvalidity,
                               index_visit *visit, void *owner);

/* The folder is no more: forgets a slice of what is known of its messages. True: that was all. */
bool message_cache_forget(struct message_cache *cache, uint32_t uidvalidity);

/* The index, while it is entered and nothing failed; else NULL: to be asked anew in each turn. */
struct index *message_cache_index(const struct message_cache *cache);

/* A call of the index failed. ERROR_NOT_FOUND is no failure. */
void message_cache_on_failure(struct message_cache *cache, const struct error *error);

/* What was put in this turn is to be kept. */
void message_cache_commit(struct message_cache *cache);

/* Trades the last message's parts for those in *tree, which are now the last. */
void message_cache_trade(struct message_cache *cache, struct message_tree *tree);

#endif
