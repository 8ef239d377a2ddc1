/* The connections of line.h. relay. */
#include "smtpd/relay/line.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "smtpd/relay/relay.h"
#include "smtpd/relay/tls_count.h"

enum { TRIES_MAX = 3 }; /* of a message, by connections that break before it is sent */

static const struct peer_handler line_handler;

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

/* The next place, if it is of the same host and the other family: they stand by turns. */
static void choose_other(struct line *line)
{
    const struct target_place *place = &line->target->places[line->place];
    if (line->place + 1 >= line->target->place_count || place[1].host != place->host
        || place[1].address.family == place->address.family)
        return;
    line->settings.other = place[1].address;
    line->settings.other_source = choose_source(line->outlet, place[1].address.family);
}

static void connect_line(struct line *line)
{
    struct outlet *outlet = line->outlet;
    struct relay *relay = outlet->relay;
    const struct config_route *route = outlet->route;
    const struct config *config = &relay->role->config;
    const struct target_place *place = &line->target->places[line->place];
    const struct target_host *host = &line->target->hosts[place->host];
    line->settings = (struct peer_settings){
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
    tls_choice_make(route, line->target, host, line->tlsa, &line->settings);
    if (line->broken_tls[0] != '\0') {
        line->settings.tls = PEER_TLS_NEVER;
        line->settings.broken_tls = line->broken_tls;
    }
    choose_other(line);
    line->peer.owner = line;
    line->number = ++relay->last_connection;
    peer_open(&line->peer, &line->settings, &line_handler, &relay->turn, relay->chunk);
}

struct line *line_open(struct outlet *outlet, size_t place, const char *broken_tls)
{
    struct line *line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    line->outlet = outlet;
    line->target = target_share(outlet->target);
    line->place = place;
    line->after_other = place > 0;
    line->places = 1;
    line->since_ms = turn_now_ms();
    snprintf(line->broken_tls, sizeof(line->broken_tls), "%s", broken_tls);
    DL_APPEND(outlet->lines, line);
    outlet->line_count++;
    outlet->opening++;
    outlet->relay->connections++;
    DL_APPEND2(outlet->relay->opening, line, prev_opening, next_opening);
    connect_line(line);
    return line;
}

bool line_open_after(const struct line *before, size_t place, const char *broken_tls)
{
    struct line *line = line_open(before->outlet, place, broken_tls);
    if (!line)
        return false;
    line->after_unfit = before->after_unfit;
    line->after_other = before->after_other;
    line->places = before->places + 1;
    line->since_ms = before->since_ms;
    transcript_join(&line->peer.opening, &before->peer.opening);
    return true;
}

static void note_idle(struct line *line, bool is_idle)
{
    struct relay *relay = line->outlet->relay;
    if (line->is_idle == is_idle)
        return;
    line->is_idle = is_idle;
    if (is_idle)
        DL_APPEND2(relay->idle, line, prev_idle, next_idle);
    else
        DL_DELETE2(relay->idle, line, prev_idle, next_idle);
}

static void has_opened(struct line *line)
{
    line->outlet->opening--;
    DL_DELETE2(line->outlet->relay->opening, line, prev_opening, next_opening);
}

void line_end(struct line *line)
{
    struct outlet *outlet = line->outlet;
    struct relay *relay = outlet->relay;
    note_idle(line, false);
    DL_DELETE(outlet->lines, line);
    outlet->line_count -= !line->is_leaving;
    if (!line->is_ready)
        has_opened(line);
    outlet->unused_since_ms = turn_now_ms();
    line->outlet = NULL;
    DL_APPEND(relay->ended, line);
    relay_connection_ended(relay);
}

void line_log(const struct line *line, const struct peer_failure *why)
{
    const struct outlet *outlet = line->outlet;
    const struct peer *peer = &line->peer;
    char address[IP_ADDRESS_TEXT_SIZE];
    ip_address_format(&line->settings.address, address);
    int64_t took_ms = (int64_t)(turn_now_ms() - peer->opened_ms);
    const struct target_place *place = &line->target->places[line->place];
    const char *policy = target_policy_name(line->target->hosts[place->host].policy);
    bool is_bad_tls = why && why->kind == PEER_BAD_TLS;
    const char *result = is_bad_tls ? tls_result_name(tls_count_result_of(why)) : "";
    if (!why)
        LOG(&outlet->relay->role->log, LOG_INFO, "connected_to",
            log_hex("connection", line->number), log_bytes("destination", outlet->name),
            log_text("host", line->settings.host), log_text("address", address),
            log_number("port", line->settings.port),
            log_text("tls", peer->tls_version ? peer->tls_version : "none"),
            log_text("cipher", peer->tls_cipher ? peer->tls_cipher : ""),
            log_text("verified", peer->tls_verified ? peer->tls_verified : ""),
            log_text("demanded_by", line->settings.demanded_by),
            log_text("broken_tls", line->broken_tls), log_text("mta_sts", policy),
            log_number("ms", took_ms));
    else
        LOG(&outlet->relay->role->log, LOG_WARNING, "connection_failed",
            log_hex("connection", line->number), log_bytes("destination", outlet->name),
            log_text("host", line->settings.host), log_text("address", address),
            log_number("port", line->settings.port),
            log_text("demanded_by", line->settings.demanded_by), log_text("mta_sts", policy),
            log_text("code", why->code), log_text("error", why->words),
            log_text("tls_result", result), log_bytes("reply", buffer_slice(&why->reply)),
            log_number("messages", peer->transactions), log_number("ms", took_ms));
}

/* For the domain's TLS reports: not where a route or the message has its own way, nor twice where
 * the handshake failed before. */
bool outlet_is_counted(const struct outlet *outlet)
{
    const struct config_route *route = outlet->route;
    if (route && (route->host.text || route->tls == CONFIG_TLS_NEVER))
        return false;
    return !outlet->tls_is_optional && tls_lookup_is_possible(outlet->name);
}

void line_count_tls(const struct line *line, const struct peer_failure *why)
{
    const struct outlet *outlet = line->outlet;
    if (!outlet_is_counted(outlet) || line->broken_tls[0] != '\0')
        return;
    tls_count_connection(outlet->relay, &(struct tls_counted){.domain = outlet->name,
                                                              .target = line->target,
                                                              .place = line->place,
                                                              .peer = &line->peer,
                                                              .why = why});
}

/* ---- messages of a connection ---- */

static void on_ready(struct peer *peer)
{
    struct line *line = peer->owner;
    struct outlet *outlet = line->outlet;
    has_opened(line);
    line->is_ready = true;
    outlet->relay->served++;
    outlet->pipelines = capabilities_offer(&peer->offers, OFFERS_PIPELINING);
    if (line->target == outlet->target)
        outlet->best_place = line->place;
    line_log(line, NULL);
    line_count_tls(line, NULL);
}

static struct outgoing *on_next(struct peer *peer, bool ahead)
{
    struct line *line = peer->owner;
    struct outgoing *message = outlet_next_message(line->outlet, ahead);
    if (!ahead)
        note_idle(line, !message);
    return message;
}

static void on_settled(struct peer *peer, struct outgoing *message)
{
    struct line *line = peer->owner;
    struct outlet *outlet = line->outlet;
    if (outlet->wait_until_ms <= turn_now_ms())
        outlet_succeed(outlet);
    outlet_finish(outlet, message, peer);
}

static void on_returned(struct peer *peer, struct outgoing *message, const struct peer_failure *why)
{
    struct line *line = peer->owner;
    struct outlet *outlet = line->outlet;
    bool lost = !relay_queue_of(outlet->relay, message);
    message->tries += why != NULL && !why->was_enough;
    if (why && peer->transactions == 0 && line->place + 1 >= line->target->place_count)
        message->tries = TRIES_MAX; /* a new connection, and no other server to turn to */
    if (!lost && message->tries < TRIES_MAX && !(why && why->kind == PEER_LOCAL)) {
        DL_PREPEND(outlet->waiting, message);
        outlet->waiting_count++;
        return;
    }
    struct buffer text = BUFFER_WITH_LIMIT(RELAY_TEXT_MAX);
    if (why)
        peer_append_outcome(&line->settings, slice_of_string(why->code), why->words,
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
    struct line *line = peer->owner;
    line->is_leaving = true;
    note_idle(line, false);
    line->outlet->line_count--;
    if (line->outlet->waiting_count > 0)
        outlet_work_later(line->outlet);
}

static void on_slowed(struct peer *peer)
{
    struct line *line = peer->owner;
    struct outlet *outlet = line->outlet;
    if (outlet->allowed > 1)
        outlet->allowed = outlet->allowed / 2;
    else
        outlet_wait_after_failure(outlet);
}

/* Whoever comes next tries that address first. */
static void on_moved(struct peer *peer)
{
    struct line *line = peer->owner;
    const struct target *target = line->target;
    line->place++;
    line->settings.address = line->settings.other;
    line->settings.source = line->settings.other_source;
    target_note_faster(&line->outlet->relay->targets,
                       target->hosts[target->places[line->place].host].name,
                       line->settings.address.family);
}

static const struct peer_handler line_handler = {
    .moved = on_moved,
    .ready = on_ready,
    .next = on_next,
    .settled = on_settled,
    .returned = on_returned,
    .slowed = on_slowed,
    .leaving = on_leaving,
    .closed = line_on_closed,
};

void outlet_free_lines(struct line *lines)
{
    struct line *line, *next;
    DL_FOREACH_SAFE (lines, line, next) {
        peer_clear(&line->peer);
        target_release(line->target);
        free(line);
    }
}
