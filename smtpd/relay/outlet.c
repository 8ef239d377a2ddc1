/* The table of outlets, and the work of each; see outlet.h. relay. */
#include "smtpd/relay/outlet.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "smtpd/relay/connection.h"
#include "smtpd/relay/relay.h"
#include "smtpd/relay/routes.h"
#include "smtpd/relay/tls_count.h"

enum { REMEMBERED_MS = 600 * 1000 }; /* without mail */

void outlet_work_later(struct outlet *outlet)
{
    turn_defer(&outlet->relay->turn, &outlet->work);
}

/* ---- messages that wait ---- */

static bool can_open_more(const struct outlet *outlet)
{
    return outlet->opening > 0 || outlet->connection_count < outlet->allowed;
}

/* messages-per-minute: a token bucket with one second's worth, at least one token. */
static bool take_token(struct outlet *outlet)
{
    if (!outlet->route || outlet->route->messages_per_minute == 0)
        return true;
    double per_ms = outlet->route->messages_per_minute / 60000.0;
    double most = per_ms * 1000.0 > 1.0 ? per_ms * 1000.0 : 1.0;
    uint64_t now = turn_now_ms();
    outlet->tokens += (double)(now - outlet->tokens_at_ms) * per_ms;
    outlet->tokens_at_ms = now;
    if (outlet->tokens > most)
        outlet->tokens = most;
    if (outlet->tokens >= 1.0) {
        outlet->tokens -= 1.0;
        return true;
    }
    ev_timer_set(&outlet->rate_timer, (1.0 - outlet->tokens) / per_ms / 1000.0 + 0.001, 0.0);
    ev_timer_start(outlet->relay->role->loop, &outlet->rate_timer);
    return false;
}

struct outgoing *outlet_next_message(struct outlet *outlet, bool ahead)
{
    struct outgoing *message = outlet->waiting;
    if (!message || ev_is_active(&outlet->rate_timer))
        return NULL;
    /* Queues a message after an unanswered one only if no other connection could be free sooner. */
    if (ahead && can_open_more(outlet))
        return NULL;
    if (!take_token(outlet))
        return NULL;
    DL_DELETE(outlet->waiting, message);
    outlet->waiting_count--;
    return message;
}

/* ---- work ---- */

/* The domain's MTA-STS policy vouches for none of its hosts: RFC 8689 4.2.1, step 2. */
static bool names_no_host(const struct target_failure *why)
{
    return why->policy.len > 0 && slice_equal(slice_of_string(why->code), SLICE("4.7.5"));
}

static void on_target(void *owner, struct target *target, const struct target_failure *why)
{
    struct outlet *outlet = owner;
    outlet->search = NULL;
    if (target) {
        target_release(outlet->target);
        outlet->target = target;
        outlet->best_place = 0;
        outlet_work_later(outlet);
        return;
    }
    LOG(&outlet->relay->role->log, LOG_WARNING, "no_target", log_bytes("destination", outlet->name),
        log_text("code", why->code), log_text("error", why->words),
        log_text("tls_result", why->tls != 0 ? tls_result_name(why->tls) : ""));
    if (outlet_is_counted(outlet))
        tls_count_failed_target(outlet->relay, outlet->name, why);
    bool is_unfit = outlet->requires_tls && names_no_host(why);
    enum relay_status status = is_unfit ? RELAY_PERMANENT : why->status;
    if (status == RELAY_TEMPORARY)
        outlet_wait_after_failure(outlet);
    if (is_unfit)
        outlet_release_reports(outlet);
    outlet_fail_waiting(outlet, status, is_unfit ? "5.7.10" : why->code, why->words);
}

static bool has_target(const struct outlet *outlet)
{
    return outlet->target && outlet->target->good_until_ms > turn_now_ms();
}

static void find_target(struct outlet *outlet)
{
    struct relay *relay = outlet->relay;
    if (outlet->search)
        return;
    if (slice_starts_with(outlet->name, SLICE("="))
        && !(outlet->route && outlet->route->host.text)) {
        outlet_fail_waiting(outlet, RELAY_TEMPORARY, "4.3.5",
                            "the configuration has no route of that name with a host");
        return;
    }
    const struct target_wish wish = {.route = outlet->route,
                                     .domain = outlet->name,
                                     .ignores_policies = outlet->tls_is_optional};
    outlet->search = target_search(&relay->targets, &wish, on_target, outlet);
    if (!outlet->search)
        outlet_fail_waiting(outlet, RELAY_TEMPORARY, "4.3.0", "no memory");
}

/* Pokes as many idle connections as there are messages, always in the same order, so that unneeded
 * ones time out. */
static size_t poke_idle(struct outlet *outlet)
{
    size_t poked = 0;
    struct connection *connection;
    DL_FOREACH (outlet->connections, connection) {
        if (poked == outlet->waiting_count)
            break;
        if (peer_is_idle(&connection->peer)) {
            peer_poke(&connection->peer);
            poked++;
        }
    }
    return poked;
}

static void poke_busy(struct outlet *outlet)
{
    struct connection *connection;
    DL_FOREACH (outlet->connections, connection)
        if (connection->is_ready)
            peer_poke(&connection->peer);
}

static void starve(struct outlet *outlet)
{
    if (outlet->is_starved)
        return;
    outlet->is_starved = true;
    DL_APPEND2(outlet->relay->starved, outlet, prev_starved, next_starved);
}

static void stop_starving(struct outlet *outlet)
{
    if (!outlet->is_starved)
        return;
    outlet->is_starved = false;
    DL_DELETE2(outlet->relay->starved, outlet, prev_starved, next_starved);
}

/* Opens as many connections as there are messages without one. */
static void open_connections(struct outlet *outlet, size_t served)
{
    while (outlet->waiting_count > served && outlet->connection_count < outlet->allowed) {
        if (!has_target(outlet)) {
            find_target(outlet);
            return;
        }
        if (!relay_has_room(outlet->relay)) {
            starve(outlet);
            return;
        }
        if (!connection_open(outlet, outlet->best_place, "")) {
            if (outlet->connection_count == 0)
                outlet_fail_waiting(outlet, RELAY_TEMPORARY, "4.3.0", "no memory for a connection");
            return;
        }
        served++;
    }
}

static void carry_on(struct outlet *outlet)
{
    if (outlet->waiting_count == 0)
        return;
    size_t served = poke_idle(outlet) + outlet->opening;
    open_connections(outlet, served);
    if (!can_open_more(outlet))
        poke_busy(outlet);
}

static void on_work(struct deferred *deferred)
{
    struct outlet *outlet =
        (struct outlet *)(void *)((uint8_t *)deferred - offsetof(struct outlet, work));
    struct relay *relay = outlet->relay;
    carry_on(outlet);
    /* A starved outlet may no longer need the connection it was offered. */
    if (relay->starved && relay->connections < relay->connections_max)
        outlet_feed(relay->starved);
}

static void on_rate_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    outlet_work_later(timer->data);
}

/* ---- the table ---- */

static char *make_key(const struct relay *relay, const struct config_route *route,
                      const struct outgoing *message, size_t *octets, size_t *name_at)
{
    char number[24];
    struct slice name = message->destination_name;
    const char *mark = message->requires_tls ? "!" : message->tls_is_optional ? "~" : "";
    int digits = snprintf(number, sizeof(number), "%s%td ", mark,
                          route ? route - relay->role->config.routes : (ptrdiff_t)-1);
    *name_at = (size_t)digits;
    *octets = *name_at + name.len;
    char *key = malloc(*octets);
    if (!key)
        return NULL;
    memcpy(key, number, *name_at);
    for (size_t i = 0; i < name.len; i++)
        key[*name_at + i] = (char)ascii_lower(name.ptr[i]);
    return key;
}

static struct outlet *new_outlet(struct relay *relay, const struct config_route *route, char *key,
                                 size_t octets)
{
    struct outlet *outlet = calloc(1, sizeof(*outlet));
    if (!outlet)
        return NULL;
    outlet->relay = relay;
    outlet->route = route;
    outlet->key = key;
    outlet->key_octets = octets;
    outlet->allowed = 1;
    outlet->most = route && route->connections ? route->connections
                                               : relay->role->config.relay.per_destination;
    outlet->tokens = 1.0;
    outlet->tokens_at_ms = outlet->unused_since_ms = turn_now_ms();
    outlet->work = (struct deferred){.run = on_work};
    ev_timer_init(&outlet->rate_timer, on_rate_timer, 0.0, 0.0);
    outlet->rate_timer.data = outlet;
    HASH_ADD_KEYPTR(hh, relay->outlets, key, octets, outlet);
    if (hash_table_holds(&outlet->hh))
        return outlet;
    free(outlet);
    return NULL;
}

static struct outlet *find_outlet(struct relay *relay, const struct outgoing *message)
{
    const struct config_route *route =
        routes_find(&relay->role->config, message->destination_name, message->reverse_path);
    size_t octets, name_at;
    char *key = make_key(relay, route, message, &octets, &name_at);
    if (!key)
        return NULL;
    struct outlet *outlet;
    HASH_FIND(hh, relay->outlets, key, octets, outlet);
    if (!outlet) {
        outlet = new_outlet(relay, route, key, octets);
        if (outlet) {
            outlet->name = slice_of(key + name_at, octets - name_at);
            outlet->tls_is_optional = message->tls_is_optional && !message->requires_tls;
            outlet->requires_tls = message->requires_tls;
            return outlet;
        }
    }
    free(key);
    return outlet;
}

/* ---- what the role calls ---- */

void outlet_take(struct relay *relay, struct outgoing *message)
{
    struct outlet *outlet = find_outlet(relay, message);
    message->outlet = outlet;
    if (!outlet) {
        struct outcome outcome = {.status = RELAY_TEMPORARY,
                                  .text = SLICE("4.3.0 no memory for a destination")};
        outgoing_settle_rest(message, &outcome);
        relay_finish(relay, message, NULL);
        return;
    }
    DL_APPEND(outlet->waiting, message);
    outlet->waiting_count++;
    outlet->under_way++;
    outlet_work_later(outlet);
}

static bool is_of_queue(const struct outgoing *message, uint32_t queue_number)
{
    return message && message->queue_number == queue_number;
}

void outlet_forget_messages(struct outlet *outlet, uint32_t queue_number)
{
    struct outgoing *message, *next;
    struct connection *connection;
    DL_FOREACH_SAFE (outlet->waiting, message, next) {
        if (!is_of_queue(message, queue_number))
            continue;
        DL_DELETE(outlet->waiting, message);
        outlet->waiting_count--;
        outlet_settle_and_finish(outlet, message, &(struct outcome){.status = RELAY_TEMPORARY});
    }
    DL_FOREACH (outlet->connections, connection)
        if (is_of_queue(connection->peer.current.message, queue_number)
            || is_of_queue(connection->peer.ahead.message, queue_number))
            peer_abort(&connection->peer, "the queue is gone");
}

void outlet_quit(struct outlet *outlet)
{
    struct connection *connection;
    DL_FOREACH (outlet->connections, connection)
        if (!connection->is_leaving)
            peer_quit(&connection->peer);
}

void outlet_feed(struct outlet *outlet)
{
    stop_starving(outlet);
    outlet_work_later(outlet);
}

void outlet_end_an_idle_connection(struct relay *relay)
{
    struct connection *connection;
    DL_FOREACH2 (relay->idle, connection, next_idle)
        if (peer_is_idle(&connection->peer) && connection->outlet->waiting_count == 0) {
            peer_quit(&connection->peer);
            return;
        }
}

void outlet_give_up_silent(struct relay *relay, unsigned most)
{
    uint64_t now = turn_now_ms(), patience_ms = relay->role->config.relay.connect_ms / 3;
    struct connection *connection;
    DL_FOREACH2 (relay->opening, connection, next_opening) {
        if (most-- == 0 || now - connection->peer.opened_ms < patience_ms)
            return;
        peer_give_up(&connection->peer);
    }
}

bool outlet_is_forgettable(const struct outlet *outlet, uint64_t now_ms)
{
    return outlet->under_way == 0 && outlet->connection_count == 0 && !outlet->search
           && outlet->unused_since_ms + REMEMBERED_MS < now_ms
           && outlet->wait_until_ms + REMEMBERED_MS < now_ms;
}

void outlet_free(struct outlet *outlet)
{
    HASH_DEL(outlet->relay->outlets, outlet);
    stop_starving(outlet);
    turn_cancel(&outlet->work);
    ev_timer_stop(outlet->relay->role->loop, &outlet->rate_timer);
    target_search_drop(outlet->search);
    target_release(outlet->target);
    free(outlet->key);
    free(outlet);
}
