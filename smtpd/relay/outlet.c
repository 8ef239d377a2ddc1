/* Messages and connections of one outlet; see outlet.h. relay. */
#include "smtpd/relay/outlet.h"

#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>
#include <utlist.h>

#include "smtpd/queue/outcome/outcome_text.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/relay/relay.h"
#include "smtpd/relay/routes.h"
#include "smtpd/relay/tls_choice.h"
#include "smtpd/relay/tls_count.h"

enum {
    TRIES_MAX = 3,              /* of a message, by connections that break before it is sent */
    WAIT_MOST_MS = 1800 * 1000, /* after failures */
    WAIT_DOUBLINGS = 5,
    REMEMBERED_MS = 600 * 1000, /* without mail */
    PLACES_LEAST = 2,           /* RFC 5321 5.1: that are tried in one attempt, however long */
    PATIENCE = 20,              /* times relay.connect: then no other is */
    AHEAD = 2,                  /* messages for each connection with PIPELINING */
};

/* A connection and what it is made of. */
struct line {
    struct peer peer; /* its owner is this line */
    struct line *prev, *next;
    struct line *prev_idle, *next_idle;       /* relay->idle */
    struct line *prev_opening, *next_opening; /* relay->opening, unless it is_ready */
    struct outlet *outlet;
    struct target *target; /* a share */
    size_t place;
    uint64_t number; /* for the log */
    bool is_ready;
    bool is_idle; /* in relay->idle: had nothing to do when it last asked */
    bool is_leaving;
    bool after_unfit;     /* there were places before it that do not do for REQUIRETLS, */
    bool after_other;     /* and some that failed in another way, or were not looked at */
    unsigned places;      /* that were tried in this attempt, this one too */
    uint64_t since_ms;    /* when the first of them was; turn_now_ms() */
    char broken_tls[200]; /* why the handshake failed before: without TLS this time; empty: it did
                             not */
    struct tls_client_tlsa tlsa[TLS_CHOICE_TLSA_MAX];
    struct peer_settings settings;
};

static void work_later(struct outlet *outlet)
{
    turn_defer(&outlet->relay->turn, &outlet->work);
}

/* ---- what queue is told ---- */

unsigned outlet_window(const struct outlet *outlet)
{
    if (!outlet)
        return 1;
    unsigned most = outlet->allowed * (outlet->pipelines ? AHEAD : 1);
    return most < RELAY_WINDOW_MAX ? most : RELAY_WINDOW_MAX;
}

/* The first wait of queue.retry, doubled with each failure more, up to 30 min, a fifth more or
 * less: many destinations that failed together (the line was down) are not tried again together. */
static void wait_after_failure(struct outlet *outlet)
{
    unsigned doublings = outlet->failures < WAIT_DOUBLINGS ? outlet->failures : WAIT_DOUBLINGS;
    uint64_t first_ms = outlet->relay->role->config.queue.retry.items_ms[0];
    uint64_t wait_ms = (first_ms < WAIT_MOST_MS ? first_ms : WAIT_MOST_MS) << doublings;
    if (wait_ms > WAIT_MOST_MS)
        wait_ms = WAIT_MOST_MS;
    wait_ms = wait_ms * 4 / 5 + randombytes_uniform((uint32_t)wait_ms * 2 / 5);
    outlet->failures++;
    outlet->allowed = 1;
    outlet->wait_until_ms = turn_now_ms() + wait_ms;
}

static void succeed(struct outlet *outlet)
{
    outlet->failures = 0;
    outlet->wait_until_ms = 0;
    if (outlet->allowed < outlet->most)
        outlet->allowed++;
}

static void finish(struct outlet *outlet, struct outgoing *message, const struct peer *peer)
{
    outlet->under_way--;
    outlet->unused_since_ms = turn_now_ms();
    relay_finish(outlet->relay, message, peer);
}

static void settle_and_finish(struct outlet *outlet, struct outgoing *message,
                              const struct outcome *outcome)
{
    outgoing_settle_rest(message, outcome);
    finish(outlet, message, NULL);
}

/* All that waits, since there is no connection and none to be had. */
static void settle_waiting(struct outlet *outlet, const struct outcome *outcome)
{
    while (outlet->waiting) {
        struct outgoing *message = outlet->waiting;
        DL_DELETE(outlet->waiting, message);
        outlet->waiting_count--;
        settle_and_finish(outlet, message, outcome);
    }
}

static void format_failure(const char *code, const char *words, struct buffer *text)
{
    char line[OUTCOME_WORDS_MAX + 1];
    snprintf(line, sizeof(line), "%s %s", code, words);
    outcome_text_format(&(struct outcome_text){.words = slice_of_string(line)}, text);
}

static void fail_waiting(struct outlet *outlet, enum relay_status status, const char *code,
                         const char *words)
{
    struct buffer text = BUFFER_WITH_LIMIT(RELAY_TEXT_MAX);
    format_failure(code, words, &text);
    settle_waiting(outlet, &(struct outcome){.status = status, .text = buffer_slice(&text)});
    buffer_clear(&text);
}

/* ---- connections ---- */

static const struct peer_handler line_handler;

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

/* broken_tls: why there is to be no TLS; empty: there may be. */
static struct line *open_line(struct outlet *outlet, size_t place, const char *broken_tls)
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

/* In the place of one that failed, whose story is the beginning of its own. */
static bool open_line_after(const struct line *before, size_t place, const char *broken_tls)
{
    struct line *line = open_line(before->outlet, place, broken_tls);
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

/* The connection is no more; freed at the end of the turn. */
static void end_line(struct line *line)
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

static void log_connection(const struct line *line, const struct peer_failure *why)
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
static bool is_counted(const struct outlet *outlet)
{
    const struct config_route *route = outlet->route;
    if (route && (route->host.text || route->tls == CONFIG_TLS_NEVER))
        return false;
    return !outlet->tls_is_optional && tls_lookup_is_possible(outlet->name);
}

static void count_tls(const struct line *line, const struct peer_failure *why)
{
    const struct outlet *outlet = line->outlet;
    if (!is_counted(outlet) || line->broken_tls[0] != '\0')
        return;
    tls_count_connection(outlet->relay, &(struct tls_counted){.domain = outlet->name,
                                                              .target = line->target,
                                                              .place = line->place,
                                                              .peer = &line->peer,
                                                              .why = why});
}

/* ---- failures of a connection ---- */

static const char *name_demand(const char *by)
{
    static const struct {
        struct slice by;
        const char *words;
    } demands[] = {
        {{(const uint8_t *)"dane", 4}, " (the host's TLSA records demand TLS)"},
        {{(const uint8_t *)"mta-sts", 7},
         " (the domain's MTA-STS policy demands TLS with a certificate for that host)"},
        {{(const uint8_t *)"requiretls", 10}, " (the message demands REQUIRETLS)"},
        {{(const uint8_t *)"route", 5}, " (the route in the configuration demands it)"},
    };
    for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++)
        if (slice_equal(slice_of_string(by), demands[i].by))
            return demands[i].words;
    return "";
}

/* What went wrong, and where TLS did, who wants it. */
static void tell_why(const struct line *line, const struct peer_failure *why,
                     struct outcome *outcome, struct buffer *text)
{
    char words[sizeof(why->words) + 100];
    bool is_bad_tls = why->kind == PEER_BAD_TLS, is_unfit = why->is_unfit;
    snprintf(words, sizeof(words), "%s%s", why->words,
             is_bad_tls ? name_demand(is_unfit ? "requiretls" : line->settings.demanded_by) : "");
    if (why->reply.len > 0)
        outcome->flags = RELAY_PEER_SAID;
    char code[sizeof(why->code)];
    snprintf(code, sizeof(code), "%c%s", outcome->status == RELAY_PERMANENT ? '5' : '4',
             is_bad_tls && is_unfit ? ".7.10" : why->code + 1);
    peer_append_outcome(&line->settings, slice_of_string(code), words, buffer_slice(&why->reply),
                        text);
    outcome->text = buffer_slice(text);
}

/* RFC 8689 4.2.1: only if no server does. One that could not be spoken to may, and what passes is
 * tried again (RFC 5321 4.5.4.1). */
static enum relay_status status_of(const struct line *line)
{
    return line->after_unfit && !line->after_other ? RELAY_PERMANENT : RELAY_TEMPORARY;
}

/* RFC 8689 5: a report is not lost because no server does what is demanded of it. It goes as any
 * other message does. */
static void release_reports(struct outlet *outlet)
{
    struct outgoing *message, *next;
    DL_FOREACH_SAFE (outlet->waiting, message, next) {
        if (message->reverse_path.len > 0)
            continue;
        DL_DELETE(outlet->waiting, message);
        outlet->waiting_count--;
        outlet->under_way--;
        message->requires_tls = false;
        message->flags &= ~(uint32_t)QUEUE_REQUIRETLS;
        outlet_take(outlet->relay, message);
    }
}

/* Where no way led to a host with addresses of both families, both are behind us. */
static size_t place_behind(const struct line *line, const struct peer_failure *why)
{
    return line->place + 1 + (why->kind == PEER_UNREACHABLE && line->peer.tried_other);
}

/* The next attempt begins with the place behind this line's, which there was no time for; else it
 * asks the DNS, and begins with other ones of equal hosts and many addresses. */
static void leave_target(const struct line *line, size_t next)
{
    struct outlet *outlet = line->outlet;
    outlet->best_place = next;
    if (line->target == outlet->target && next < line->target->place_count)
        return;
    target_release(outlet->target);
    outlet->target = NULL;
    outlet->best_place = 0;
}

/* Every place that there was time for was tried by this line. What waits is settled, unless others
 * carry it. */
static void fail_outlet(struct line *line, const struct peer_failure *why)
{
    size_t next = place_behind(line, why);
    struct outlet *outlet = line->outlet;
    if (outlet->line_count > outlet->opening) {
        /* The server lets us have those that stand, and no more. */
        outlet->allowed = outlet->line_count - outlet->opening;
        return;
    }
    if (outlet->opening > 1)
        return; /* others are still being tried */
    struct buffer text = BUFFER_WITH_LIMIT(RELAY_TEXT_MAX);
    line->after_other |= next < line->target->place_count;
    struct outcome outcome = {.status = status_of(line)};
    tell_why(line, why, &outcome, &text);
    if (!line->after_unfit) /* that is the message's affair */
        wait_after_failure(outlet);
    struct outgoing *message;
    DL_FOREACH (outlet->waiting, message)
        transcript_join(&message->transcript, &line->peer.opening);
    if (outcome.status == RELAY_PERMANENT)
        release_reports(outlet);
    settle_waiting(outlet, &outcome);
    buffer_clear(&text);
    leave_target(line, next);
}

/* A domain may have dozens of addresses where each is silent for as long as it can. */
static bool has_time(const struct line *line)
{
    uint64_t patience_ms = PATIENCE * line->outlet->relay->role->config.relay.connect_ms;
    return line->places < PLACES_LEAST || turn_now_ms() - line->since_ms < patience_ms;
}

/* Where anything is allowed and TLS was what failed, the same place in the clear (RFC 7435 3: some
 * protection where it can be had, and mail where it cannot); else the next place. False: there is
 * none. */
static bool try_next(const struct line *line, const struct peer_failure *why)
{
    struct outlet *outlet = line->outlet;
    if (outlet->waiting_count == 0 || outlet->relay->role->stopping
        || line->target != outlet->target)
        return false;
    if (why->kind == PEER_BAD_TLS && line->settings.tls == PEER_TLS_MAY)
        return open_line_after(line, line->place, why->words);
    size_t next = place_behind(line, why);
    return next < line->target->place_count && has_time(line) && open_line_after(line, next, "");
}

/* A server that greets and then takes nothing is no better than one that does not answer: whoever
 * is tried next begins with the place behind it, where there is one. */
static void leave_place(const struct line *line)
{
    struct outlet *outlet = line->outlet;
    outlet->failures++;
    if (line->target == outlet->target && outlet->best_place == line->place)
        outlet->best_place = (line->place + 1) % outlet->target->place_count;
}

static void on_closed(struct peer *peer, const struct peer_failure *why)
{
    struct line *line = peer->owner;
    struct outlet *outlet = line->outlet;
    if (why)
        log_connection(line, why);
    if (why && why->kind == PEER_BAD_TLS && !line->is_ready)
        count_tls(line, why);
    if (why && why->is_unfit)
        line->after_unfit = true;
    else if (why)
        line->after_other = true;
    bool goes_on = why && !line->is_ready && try_next(line, why);
    if (why && !line->is_ready && !goes_on)
        fail_outlet(line, why);
    else if (why && line->is_ready && peer->transactions == 0)
        leave_place(line);
    end_line(line);
    work_later(outlet);
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
    log_connection(line, NULL);
    count_tls(line, NULL);
}

static bool can_open_more(const struct outlet *outlet)
{
    return outlet->opening > 0 || outlet->line_count < outlet->allowed;
}

/* messages-per-minute: a bucket of one second's worth, one at least. */
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

static struct outgoing *take_waiting(struct outlet *outlet, bool ahead)
{
    struct outgoing *message = outlet->waiting;
    if (!message || ev_is_active(&outlet->rate_timer))
        return NULL;
    /* Behind a message that is slow to be answered only if no connection could be free sooner. */
    if (ahead && can_open_more(outlet))
        return NULL;
    if (!take_token(outlet))
        return NULL;
    DL_DELETE(outlet->waiting, message);
    outlet->waiting_count--;
    return message;
}

static struct outgoing *on_next(struct peer *peer, bool ahead)
{
    struct line *line = peer->owner;
    struct outgoing *message = take_waiting(line->outlet, ahead);
    if (!ahead)
        note_idle(line, !message);
    return message;
}

static void on_settled(struct peer *peer, struct outgoing *message)
{
    struct line *line = peer->owner;
    struct outlet *outlet = line->outlet;
    if (outlet->wait_until_ms <= turn_now_ms())
        succeed(outlet);
    finish(outlet, message, peer);
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
        wait_after_failure(outlet);
    finish(outlet, message, peer);
}

static void on_leaving(struct peer *peer)
{
    struct line *line = peer->owner;
    line->is_leaving = true;
    note_idle(line, false);
    line->outlet->line_count--;
    if (line->outlet->waiting_count > 0)
        work_later(line->outlet);
}

static void on_slowed(struct peer *peer)
{
    struct line *line = peer->owner;
    struct outlet *outlet = line->outlet;
    if (outlet->allowed > 1)
        outlet->allowed = outlet->allowed / 2;
    else
        wait_after_failure(outlet);
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
    .closed = on_closed,
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
        work_later(outlet);
        return;
    }
    LOG(&outlet->relay->role->log, LOG_WARNING, "no_target", log_bytes("destination", outlet->name),
        log_text("code", why->code), log_text("error", why->words),
        log_text("tls_result", why->tls != 0 ? tls_result_name(why->tls) : ""));
    if (is_counted(outlet))
        tls_count_failed_target(outlet->relay, outlet->name, why);
    bool is_unfit = outlet->requires_tls && names_no_host(why);
    enum relay_status status = is_unfit ? RELAY_PERMANENT : why->status;
    if (status == RELAY_TEMPORARY)
        wait_after_failure(outlet);
    if (is_unfit)
        release_reports(outlet);
    fail_waiting(outlet, status, is_unfit ? "5.7.10" : why->code, why->words);
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
        fail_waiting(outlet, RELAY_TEMPORARY, "4.3.5",
                     "the configuration has no route of that name with a host");
        return;
    }
    const struct target_wish wish = {.route = outlet->route,
                                     .domain = outlet->name,
                                     .ignores_policies = outlet->tls_is_optional};
    outlet->search = target_search(&relay->targets, &wish, on_target, outlet);
    if (!outlet->search)
        fail_waiting(outlet, RELAY_TEMPORARY, "4.3.0", "no memory");
}

/* As many as there are messages, always the same first: those that are not needed end. */
static size_t poke_idle(struct outlet *outlet)
{
    size_t poked = 0;
    struct line *line;
    DL_FOREACH (outlet->lines, line) {
        if (poked == outlet->waiting_count)
            break;
        if (peer_is_idle(&line->peer)) {
            peer_poke(&line->peer);
            poked++;
        }
    }
    return poked;
}

static void poke_busy(struct outlet *outlet)
{
    struct line *line;
    DL_FOREACH (outlet->lines, line)
        if (line->is_ready)
            peer_poke(&line->peer);
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

/* As many connections as there are messages without one. */
static void open_lines(struct outlet *outlet, size_t served)
{
    while (outlet->waiting_count > served && outlet->line_count < outlet->allowed) {
        if (!has_target(outlet)) {
            find_target(outlet);
            return;
        }
        if (!relay_has_room(outlet->relay)) {
            starve(outlet);
            return;
        }
        if (!open_line(outlet, outlet->best_place, "")) {
            if (outlet->line_count == 0)
                fail_waiting(outlet, RELAY_TEMPORARY, "4.3.0", "no memory for a connection");
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
    open_lines(outlet, served);
    if (!can_open_more(outlet))
        poke_busy(outlet);
}

static void on_work(struct deferred *deferred)
{
    struct outlet *outlet =
        (struct outlet *)(void *)((uint8_t *)deferred - offsetof(struct outlet, work));
    struct relay *relay = outlet->relay;
    carry_on(outlet);
    /* The place that a starved one was offered may not be needed there any more. */
    if (relay->starved && relay->connections < relay->connections_max)
        outlet_feed(relay->starved);
}

static void on_rate_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    work_later(timer->data);
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
    work_later(outlet);
}

static bool is_of_queue(const struct outgoing *message, uint32_t queue_number)
{
    return message && message->queue_number == queue_number;
}

void outlet_forget_messages(struct outlet *outlet, uint32_t queue_number)
{
    struct outgoing *message, *next;
    struct line *line;
    DL_FOREACH_SAFE (outlet->waiting, message, next) {
        if (!is_of_queue(message, queue_number))
            continue;
        DL_DELETE(outlet->waiting, message);
        outlet->waiting_count--;
        settle_and_finish(outlet, message, &(struct outcome){.status = RELAY_TEMPORARY});
    }
    DL_FOREACH (outlet->lines, line)
        if (is_of_queue(line->peer.current.message, queue_number)
            || is_of_queue(line->peer.ahead.message, queue_number))
            peer_abort(&line->peer, "the queue is gone");
}

void outlet_quit(struct outlet *outlet)
{
    struct line *line;
    DL_FOREACH (outlet->lines, line)
        if (!line->is_leaving)
            peer_quit(&line->peer);
}

void outlet_feed(struct outlet *outlet)
{
    stop_starving(outlet);
    work_later(outlet);
}

void outlet_end_an_idle_connection(struct relay *relay)
{
    struct line *line;
    DL_FOREACH2 (relay->idle, line, next_idle)
        if (peer_is_idle(&line->peer) && line->outlet->waiting_count == 0) {
            peer_quit(&line->peer);
            return;
        }
}

void outlet_give_up_silent(struct relay *relay, unsigned most)
{
    uint64_t now = turn_now_ms(), patience_ms = relay->role->config.relay.connect_ms / 3;
    struct line *line;
    DL_FOREACH2 (relay->opening, line, next_opening) {
        if (most-- == 0 || now - line->peer.opened_ms < patience_ms)
            return;
        peer_give_up(&line->peer);
    }
}

bool outlet_is_forgettable(const struct outlet *outlet, uint64_t now_ms)
{
    return outlet->under_way == 0 && outlet->line_count == 0 && !outlet->search
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
