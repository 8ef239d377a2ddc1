/* Connections of an outlet: opening, messages, end; see connection.h. relay. */
#include "smtpd/relay/connection.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "smtpd/relay/relay.h"
#include "smtpd/relay/tls_count.h"

enum { TRIES_MAX = 3 }; /* of a message, on connections that break before it is sent */

static const struct peer_handler handler;

/* ---- from open to end ---- */

static struct ip_address choose_source(struct outlet *outlet, uint8_t family)
{
    const struct config_route *route = outlet->route;
    for (size_t i = 0; route && i < route->source.count; i++) {
        const struct ip_address *source =
            &route->source.items[outlet->next_source++ % route->source.count];
        if (source->family == family)
            return *source;
    }
    return (struct ip_address){.family = IP_NONE};
}

/* Chooses the next place if it is of the same host and the other family: families alternate. */
static void choose_other(struct connection *connection)
{
    const struct target_place *place = &connection->target->places[connection->place];
    if (connection->place + 1 >= connection->target->place_count || place[1].host != place->host
        || place[1].address.family == place->address.family)
        return;
    connection->settings.other = place[1].address;
    connection->settings.other_source = choose_source(connection->outlet, place[1].address.family);
}

static void connect_to_place(struct connection *connection)
{
    struct outlet *outlet = connection->outlet;
    struct relay *relay = outlet->relay;
    const struct config_route *route = outlet->route;
    const struct config *config = &relay->role->config;
    const struct target_place *place = &connection->target->places[connection->place];
    const struct target_host *host = &connection->target->hosts[place->host];
    connection->settings = (struct peer_settings){
        .host = host->name,
        .address = place->address,
        .port = route ? route->port : 25,
        .source = choose_source(outlet, place->address.family),
        .helo = route && route->helo.text ? route->helo.text : config->hostname,
        .name_is_proved = host->is_proved,
        .lmtp = route && route->protocol == CONFIG_ROUTE_LMTP,
        .requires_tls = outlet->requires_tls,
        .tls_client = relay->tls,
        .user = route ? route->user.text : NULL,
        .password = route ? relay->passwords[route - config->routes] : NULL,
        .mime_limits = {.depth = config->limits.mime_depth, .parts = config->limits.mime_parts},
        .connect_ms = (unsigned)config->relay.connect_ms,
        .reply_ms = (unsigned)config->relay.reply_ms,
        .idle_ms = (unsigned)config->relay.idle_ms,
    };
    tls_choice_make(route, connection->target, host, connection->tlsa, &connection->settings);
    if (connection->broken_tls[0] != '\0') {
        connection->settings.tls = PEER_TLS_NEVER;
        connection->settings.broken_tls = connection->broken_tls;
    }
    choose_other(connection);
    connection->peer.owner = connection;
    connection->number = ++relay->last_connection;
    peer_open(&connection->peer, &connection->settings, &handler, &relay->turn, relay->chunk);
}

struct connection *connection_open(struct outlet *outlet, size_t place, const char *broken_tls)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    connection->outlet = outlet;
    connection->target = target_share(outlet->target);
    connection->place = place;
    connection->after_other = place > 0;
    connection->places = 1;
    connection->since_ms = turn_now_ms();
    snprintf(connection->broken_tls, sizeof(connection->broken_tls), "%s", broken_tls);
    DL_APPEND(outlet->connections, connection);
    outlet->connection_count++;
    outlet->opening++;
    outlet->relay->connections++;
    DL_APPEND2(outlet->relay->opening, connection, prev_opening, next_opening);
    connect_to_place(connection);
    return connection;
}

bool connection_open_after(const struct connection *before, size_t place, const char *broken_tls)
{
    struct connection *connection = connection_open(before->outlet, place, broken_tls);
    if (!connection)
        return false;
    connection->after_unfit = before->after_unfit;
    connection->after_other = before->after_other;
    connection->places = before->places + 1;
    connection->since_ms = before->since_ms;
    transcript_join(&connection->peer.opening, &before->peer.opening);
    return true;
}

static void note_idle(struct connection *connection, bool is_idle)
{
    struct relay *relay = connection->outlet->relay;
    if (connection->is_idle == is_idle)
        return;
    connection->is_idle = is_idle;
    if (is_idle)
        DL_APPEND2(relay->idle, connection, prev_idle, next_idle);
    else
        DL_DELETE2(relay->idle, connection, prev_idle, next_idle);
}

static void has_opened(struct connection *connection)
{
    connection->outlet->opening--;
    DL_DELETE2(connection->outlet->relay->opening, connection, prev_opening, next_opening);
}

void connection_end(struct connection *connection)
{
    struct outlet *outlet = connection->outlet;
    struct relay *relay = outlet->relay;
    note_idle(connection, false);
    DL_DELETE(outlet->connections, connection);
    outlet->connection_count -= !connection->is_leaving;
    if (!connection->is_ready)
        has_opened(connection);
    outlet->unused_since_ms = turn_now_ms();
    connection->outlet = NULL;
    DL_APPEND(relay->ended, connection);
    relay_connection_ended(relay);
}

void connection_log(const struct connection *connection, const struct peer_failure *why)
{
    const struct outlet *outlet = connection->outlet;
    const struct peer *peer = &connection->peer;
    char address[IP_ADDRESS_TEXT_SIZE];
    ip_address_format(&connection->settings.address, address);
    int64_t took_ms = (int64_t)(turn_now_ms() - peer->opened_ms);
    const struct target_place *place = &connection->target->places[connection->place];
    const char *policy = target_policy_name(connection->target->hosts[place->host].policy);
    bool is_bad_tls = why && why->kind == PEER_BAD_TLS;
    const char *result = is_bad_tls ? tls_result_name(tls_count_result_of(why)) : "";
    if (!why)
        LOG(&outlet->relay->role->log, LOG_INFO, "connected_to",
            log_hex("connection", connection->number), log_bytes("destination", outlet->name),
            log_text("host", connection->settings.host), log_text("address", address),
            log_number("port", connection->settings.port),
            log_text("tls", peer->tls_version ? peer->tls_version : "none"),
            log_text("cipher", peer->tls_cipher ? peer->tls_cipher : ""),
            log_text("verified", peer->tls_verified ? peer->tls_verified : ""),
            log_text("demanded_by", connection->settings.demanded_by),
            log_text("broken_tls", connection->broken_tls), log_text("mta_sts", policy),
            log_number("ms", took_ms));
    else
        LOG(&outlet->relay->role->log, LOG_WARNING, "connection_failed",
            log_hex("connection", connection->number), log_bytes("destination", outlet->name),
            log_text("host", connection->settings.host), log_text("address", address),
            log_number("port", connection->settings.port),
            log_text("demanded_by", connection->settings.demanded_by), log_text("mta_sts", policy),
            log_text("code", why->code), log_text("error", why->words),
            log_text("tls_result", result), log_bytes("reply", buffer_slice(&why->reply)),
            log_number("messages", peer->transactions), log_number("ms", took_ms));
}

/* For the domain's TLS reports: a route's host, a route without TLS and TLS-Required: No are not
 * counted; nor is a retry after a failed handshake (connection_count_tls). */
bool outlet_is_counted(const struct outlet *outlet)
{
    const struct config_route *route = outlet->route;
    if (route && (route->host.text || route->tls == CONFIG_TLS_NEVER))
        return false;
    return !outlet->tls_is_optional && tls_lookup_is_possible(outlet->name);
}

void connection_count_tls(const struct connection *connection, const struct peer_failure *why)
{
    const struct outlet *outlet = connection->outlet;
    if (!outlet_is_counted(outlet) || connection->broken_tls[0] != '\0')
        return;
    tls_count_connection(outlet->relay, &(struct tls_counted){.domain = outlet->name,
                                                              .target = connection->target,
                                                              .place = connection->place,
                                                              .peer = &connection->peer,
                                                              .why = why});
}

/* ---- messages of a connection ---- */

static void on_ready(struct peer *peer)
{
    struct connection *connection = peer->owner;
    struct outlet *outlet = connection->outlet;
    has_opened(connection);
    connection->is_ready = true;
    outlet->relay->served++;
    outlet->pipelines = capabilities_offer(&peer->offers, OFFERS_PIPELINING);
    if (connection->target == outlet->target)
        outlet->best_place = connection->place;
    connection_log(connection, NULL);
    connection_count_tls(connection, NULL);
}

static struct outgoing *on_next(struct peer *peer, bool ahead)
{
    struct connection *connection = peer->owner;
    struct outgoing *message = outlet_next_message(connection->outlet, ahead);
    if (!ahead)
        note_idle(connection, !message);
    return message;
}

static void on_settled(struct peer *peer, struct outgoing *message)
{
    struct connection *connection = peer->owner;
    struct outlet *outlet = connection->outlet;
    if (outlet->wait_until_ms <= turn_now_ms())
        outlet_succeed(outlet);
    outlet_finish(outlet, message, peer);
}

static void on_returned(struct peer *peer, struct outgoing *message, const struct peer_failure *why)
{
    struct connection *connection = peer->owner;
    struct outlet *outlet = connection->outlet;
    bool lost = !relay_queue_of(outlet->relay, message);
    message->tries += why != NULL && !why->was_enough;
    if (why && peer->transactions == 0 && connection->place + 1 >= connection->target->place_count)
        message->tries = TRIES_MAX; /* a new connection, and no other server to turn to */
    if (!lost && message->tries < TRIES_MAX && !(why && why->kind == PEER_LOCAL)) {
        DL_PREPEND(outlet->waiting, message);
        outlet->waiting_count++;
        return;
    }
    struct buffer text = BUFFER_WITH_LIMIT(RELAY_TEXT_MAX);
    if (why)
        peer_append_outcome(&connection->settings, slice_of_string(why->code), why->words,
                            buffer_slice(&why->reply), &text);
    outgoing_settle_rest(message,
                         &(struct outcome){.status = RELAY_TEMPORARY, .text = buffer_slice(&text)});
    buffer_clear(&text);
    if (why && why->kind != PEER_LOCAL && outlet->wait_until_ms <= turn_now_ms())
        outlet_wait_after_failure(outlet);
    outlet_finish(outlet, message, peer);
}

static void on_leaving(struct peer *peer)
{
    struct connection *connection = peer->owner;
    connection->is_leaving = true;
    note_idle(connection, false);
    connection->outlet->connection_count--;
    if (connection->outlet->waiting_count > 0)
        outlet_work_later(connection->outlet);
}

static void on_slowed(struct peer *peer)
{
    struct connection *connection = peer->owner;
    struct outlet *outlet = connection->outlet;
    if (outlet->allowed > 1)
        outlet->allowed = outlet->allowed / 2;
    else
        outlet_wait_after_failure(outlet);
}

/* The next connection tries that address first. */
static void on_moved(struct peer *peer)
{
    struct connection *connection = peer->owner;
    const struct target *target = connection->target;
    connection->place++;
    connection->settings.address = connection->settings.other;
    connection->settings.source = connection->settings.other_source;
    target_note_faster(&connection->outlet->relay->targets,
                       target->hosts[target->places[connection->place].host].name,
                       connection->settings.address.family);
}

static const struct peer_handler handler = {
    .moved = on_moved,
    .ready = on_ready,
    .next = on_next,
    .settled = on_settled,
    .returned = on_returned,
    .slowed = on_slowed,
    .leaving = on_leaving,
    .closed = connection_on_closed,
};

void outlet_free_connections(struct connection *connections)
{
    struct connection *connection, *next;
    DL_FOREACH_SAFE (connections, connection, next) {
        peer_clear(&connection->peer);
        target_release(connection->target);
        free(connection);
    }
}
