/* The memory of message_cache.h. */
#include "imapd/fetch/message_cache.h"

#include <stddef.h>
#include <unistd.h>

#include "common/config/config.h"
#include "imapd/folder/folder.h"
#include "imapd/mailbox.h"

enum {
    UNUSED_SECONDS = 60,
    UNFLUSHED_SECONDS = 1, /* so much is lost with a kill */
    SWEPT_AT_ONCE = 1000,  /* messages; the rest another time */
    FORGOTTEN_AT_ONCE = 200,
};

static void close_index(struct message_cache *cache)
{
    index_close(cache->index);
    cache->index = NULL;
}

static void on_unused(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct message_cache *cache = timer->data;
    (void)events;
    ev_timer_stop(loop, timer);
    close_index(cache);
    arena_reset(&cache->last.arena);
    cache->last.uid = 0;
}

static void on_unflushed(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct message_cache *cache = timer->data;
    struct error error;
    (void)events;
    ev_timer_stop(loop, timer);
    if (cache->index && !cache->failed && !index_flush(cache->index, &error))
        message_cache_on_failure(cache, &error);
}

static void commit(struct deferred *deferred)
{
    struct message_cache *cache =
        (void *)((uint8_t *)deferred - offsetof(struct message_cache, at_turn_end));
    struct error error;
    if (cache->index && !cache->failed && !index_commit(cache->index, &error))
        message_cache_on_failure(cache, &error);
    if (!ev_is_active(&cache->unflushed)) {
        ev_timer_set(&cache->unflushed, UNFLUSHED_SECONDS, 0);
        ev_timer_start(cache->mailbox->turn.loop, &cache->unflushed);
    }
}

void message_cache_init(struct message_cache *cache, struct mailbox *mailbox)
{
    *cache = (struct message_cache){.mailbox = mailbox, .at_turn_end = {.run = commit}};
    ev_timer_init(&cache->unused, on_unused, 0, UNUSED_SECONDS);
    cache->unused.data = cache;
    ev_timer_init(&cache->unflushed, on_unflushed, UNFLUSHED_SECONDS, 0);
    cache->unflushed.data = cache;
    message_tree_init(&cache->last, mailbox->config);
}

void message_tree_init(struct message_tree *tree, const struct config *config)
{
    const struct mime_limits limits = message_limits(config);
    *tree = (struct message_tree){.uid = 0};
    arena_init(&tree->arena, mime_arena_limit(&limits));
}

void message_cache_take_limits(struct message_cache *cache, const struct config *config)
{
    arena_clear(&cache->last.arena);
    message_tree_init(&cache->last, config);
}

struct mime_limits message_limits(const struct config *config)
{
    return (struct mime_limits){.depth = config->limits.mime_depth,
                                .parts = config->limits.mime_parts};
}

void message_cache_clear(struct message_cache *cache)
{
    if (!cache->mailbox)
        return;
    ev_timer_stop(cache->mailbox->turn.loop, &cache->unused);
    ev_timer_stop(cache->mailbox->turn.loop, &cache->unflushed);
    turn_cancel(&cache->at_turn_end);
    close_index(cache);
    arena_clear(&cache->last.arena);
    cache->mailbox = NULL;
}

void message_cache_on_failure(struct message_cache *cache, const struct error *error)
{
    if (error->kind == ERROR_NOT_FOUND || cache->failed)
        return;
    cache->failed = true;
    LOG(cache->mailbox->log, LOG_WARNING, "index_not_used", log_failure(error));
}

struct index *message_cache_index(const struct message_cache *cache)
{
    return cache->failed ? NULL : cache->index;
}

void message_cache_commit(struct message_cache *cache)
{
    turn_defer(&cache->mailbox->turn, &cache->at_turn_end);
}

static bool is_alive(const void *owner, uint32_t uid)
{
    return folder_find(owner, uid) != NULL;
}

static void sweep(struct message_cache *cache, struct folder *folder)
{
    struct error error;
    bool swept;
    if (folder->index_swept)
        return;
    if (index_sweep(cache->index, folder->record.uidvalidity, is_alive, folder, SWEPT_AT_ONCE,
                    &swept, &error))
        folder->index_swept = swept;
    else
        message_cache_on_failure(cache, &error);
}

/* NULL: it cannot be used. */
static struct index *enter(struct message_cache *cache)
{
    struct error error;
    cache->users++;
    ev_timer_stop(cache->mailbox->turn.loop, &cache->unused);
    if (!cache->index && !cache->failed
        && !index_open(INDEX_DIRECTORY, NULL, NULL, &cache->index, &error))
        message_cache_on_failure(cache, &error);
    return message_cache_index(cache);
}

void message_cache_enter(struct message_cache *cache, struct folder *folder)
{
    if (enter(cache))
        sweep(cache, folder);
}

void message_cache_leave(struct message_cache *cache)
{
    cache->users--;
    if (cache->users > 0)
        return;
    if (cache->failed)
        close_index(cache);
    ev_timer_again(cache->mailbox->turn.loop, &cache->unused);
}

static bool is_there(const struct message_cache *cache)
{
    return cache->index || access(INDEX_DIRECTORY, F_OK) == 0;
}

void message_cache_visit_facts(struct message_cache *cache, uint32_t uidvalidity,
                               index_visit *visit, void *owner)
{
    struct error error;
    if (!is_there(cache))
        return;
    struct index *index = enter(cache);
    if (index && !index_visit_facts(index, uidvalidity, visit, owner, &error))
        message_cache_on_failure(cache, &error);
    message_cache_leave(cache);
}

bool message_cache_forget(struct message_cache *cache, uint32_t uidvalidity)
{
    struct error error;
    bool forgotten = true;
    if (!is_there(cache))
        return true;
    struct index *index = enter(cache);
    if (index && !index_forget(index, uidvalidity, FORGOTTEN_AT_ONCE, &forgotten, &error)) {
        message_cache_on_failure(cache, &error);
        forgotten = true;
    }
    message_cache_leave(cache);
    return forgotten;
}

void message_cache_trade(struct message_cache *cache, struct message_tree *tree)
{
    struct message_tree last = cache->last;
    cache->last = *tree;
    *tree = last;
}
