/* The role smtpd-relay; see relay.h. Reads queue's records and the DNS; speaks to the world. */
#include "smtpd/relay/relay.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sodium.h>
#include <utlist.h>

#include "common/disk/fd.h"
#include "smtpd/queue/outcome/outcome_text.h"
#include "smtpd/relay/tls_count.h"
#include "smtpd/relay/tls_post.h"

static const double sweep_seconds = 60.0;
static const double patience_seconds = 1.0;

enum {
    RESERVED_DESCRIPTORS = 64,      /* channels, the loop, the journal's line */
    DESCRIPTORS_PER_CONNECTION = 2, /* its socket, and a body in a file */
    PASSWORD_MAX = 511,
};
_Static_assert(RESERVED_DESCRIPTORS + DESCRIPTORS_PER_CONNECTION * ROLE_CONNECTIONS_LEAST
                   <= ROLE_DESCRIPTORS_LEAST,
               "a server that starts sends");

/* ---- results ---- */

static void log_outcome(struct relay *relay, const struct outgoing *message, size_t place,
                        const struct peer *peer)
{
    const struct outgoing_recipient *recipient = &message->recipients[place];
    struct outcome_text text = outcome_text_parse(outgoing_text(message, place));
    bool done = recipient->status == RELAY_DONE;
    const char *tls = peer && peer->tls_version ? peer->tls_version : "none";
    const char *cipher = peer && peer->tls_cipher ? peer->tls_cipher : "";
    const char *verified = peer && peer->tls_verified ? peer->tls_verified : "";
    struct log_field id = {.key = "queue_id", .type = LOG_FIELD_ID, .bytes = message->id_text};
    LOG(&relay->role->log, done ? LOG_INFO : LOG_WARNING, done ? "relayed" : "not_relayed", id,
        log_bytes("to", recipient->address), log_bytes("destination", message->destination_name),
        log_bytes("result", text.words), log_bytes("reply", text.reply),
        log_bytes("host", text.peer), log_text("tls", tls), log_text("cipher", cipher),
        log_text("verified", verified),
        log_text("demanded_by", peer ? peer->settings->demanded_by : ""),
        log_text("broken_tls", peer ? peer->settings->broken_tls : NULL),
        log_number("ms", (int64_t)(turn_now_ms() - message->began_ms)));
}

/* Logs the dialogue of a message that not all recipients got, for the history (docs/log.md). */
static void log_attempt(struct relay *relay, const struct outgoing *message,
                        const struct peer *peer)
{
    size_t place = outgoing_first_undelivered(message);
    if (place == message->recipient_count)
        return;
    struct outcome_text text = outcome_text_parse(outgoing_text(message, place));
    struct buffer said = BUFFER_WITH_LIMIT(TRANSCRIPT_MAX + TRANSCRIPT_MARK_MAX);
    transcript_format(&message->transcript, &said);
    bool is_secured = peer && peer->tls_version;
    struct log_field fields[LOG_FIELDS_MAX] = {
        {.key = "queue_id", .type = LOG_FIELD_ID, .bytes = message->id_text},
        log_bytes("destination", message->destination_name),
        log_bytes("result", text.words),
        log_bytes("host", text.peer),
        log_text("tls", is_secured ? peer->tls_version : ""),
        log_text("cipher", is_secured ? peer->tls_cipher : ""),
        log_text("verified", is_secured ? peer->tls_verified : ""),
        log_text("demanded_by", peer ? peer->settings->demanded_by : ""),
        log_number("ms", (int64_t)(turn_now_ms() - message->began_ms)),
    };
    size_t count = 9;
    for (struct slice rest = buffer_slice(&said); rest.len > 0 && count < LOG_FIELDS_MAX;
         rest = slice_from(rest, LOG_VALUE_MAX))
        fields[count++] = log_bytes("said", slice_range(rest, 0, LOG_VALUE_MAX));
    log_detail(&relay->role->log, "attempt", fields, count);
    buffer_clear(&said);
}

static uint32_t wait_of(const struct outlet *outlet)
{
    uint64_t now = turn_now_ms();
    if (!outlet || outlet->wait_until_ms <= now)
        return 0;
    return (uint32_t)(outlet->wait_until_ms - now);
}

static void send_result(struct relay *relay, struct role_peer *queue,
                        const struct outgoing *message)
{
    struct buffer tail = BUFFER_WITH_LIMIT(OUTGOING_RESULT_MAX);
    struct error error;
    struct relay_result result = {
        .header = {.type = RELAY_RESULT, .request = message->request},
        .id = message->id,
        .recipients = (uint32_t)message->recipient_count,
        .window = outlet_window(message->outlet),
        .wait_ms = wait_of(message->outlet),
    };
    outgoing_append_outcomes(message, &tail);
    bool sent = tail.failed ? error_memory(&error)
                            : ipc_send_record(&queue->channel, &result.header, sizeof(result),
                                              buffer_slice(&tail), &error);
    if (!sent) {
        /* queue would wait forever: a new channel starts over. */
        LOG(&relay->role->log, LOG_ERROR, "result_not_sent",
            log_number("recipients", (int64_t)message->recipient_count), log_failure(&error));
        role_exit(relay->role);
    }
    buffer_clear(&tail);
}

static void exit_if_done(struct relay *relay)
{
    struct outlet *outlet, *next;
    if (!relay->role->stopping || relay->messages > 0)
        return;
    if (relay->connections == 0)
        role_exit(relay->role);
    HASH_ITER (hh, relay->outlets, outlet, next)
        outlet_quit(outlet);
}

struct role_peer *relay_queue_of(struct relay *relay, const struct outgoing *message)
{
    return role_find_peer_number(relay->role, ROLE_QUEUE, message->queue_number);
}

void relay_finish(struct relay *relay, struct outgoing *message, const struct peer *peer)
{
    struct role_peer *queue = relay_queue_of(relay, message);
    for (size_t i = 0; queue && i < message->recipient_count; i++)
        log_outcome(relay, message, i, peer);
    if (queue)
        log_attempt(relay, message, peer);
    if (queue)
        send_result(relay, queue, message);
    relay->messages--;
    outgoing_free(message);
    exit_if_done(relay);
}

/* ---- connections ---- */

static void on_free_ended(struct deferred *deferred)
{
    struct relay *relay =
        (struct relay *)(void *)((uint8_t *)deferred - offsetof(struct relay, free_ended));
    struct connection *ended = relay->ended;
    relay->ended = NULL;
    outlet_free_connections(ended);
}

void relay_connection_ended(struct relay *relay)
{
    relay->connections--;
    turn_defer(&relay->turn, &relay->free_ended);
    if (relay->starved)
        outlet_feed(relay->starved);
    exit_if_done(relay);
}

bool relay_has_room(struct relay *relay)
{
    if (relay->connections < relay->connections_max)
        return true;
    outlet_end_an_idle_connection(relay);
    return false; /* but soon: relay_connection_ended() */
}

/* ---- queue ---- */

static bool on_any_message(struct role_peer *queue, const struct ipc_packet *packet, int *body_fd,
                           struct error *error)
{
    struct relay *relay = queue->role->state;
    struct outgoing *message =
        outgoing_new(slice_of(packet->record, packet->length), body_fd, error);
    if (!message)
        return false;
    message->queue_number = queue->number;
    relay->messages++;
    if (tls_post_is_wanted(message))
        tls_post_take(relay, message);
    else
        outlet_take(relay, message);
    return true;
}

static bool on_message(void *owner, struct ipc_packet *packet, struct error *error)
{
    int none = -1;
    return on_any_message(owner, packet, &none, error);
}

static bool on_message_file(void *owner, struct ipc_packet *packet, struct error *error)
{
    return on_any_message(owner, packet, &packet->descriptors[0], error);
}

/* A new channel may already exist: the two events are unordered. */
static void on_queue_down(struct relay *relay, uint32_t number)
{
    struct outlet *outlet, *next;
    HASH_ITER (hh, relay->outlets, outlet, next)
        outlet_forget_messages(outlet, number);
}

/* ---- the rest ---- */

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct relay *relay = timer->data;
    struct outlet *outlet, *next;
    uint64_t now = turn_now_ms();
    HASH_ITER (hh, relay->outlets, outlet, next)
        if (outlet_is_forgettable(outlet, now))
            outlet_free(outlet);
}

/* If a silent server could keep its connection for as long as `reply` allows (five minutes), a long
 * queue with one dead destination in ten would soon have all connections wait for dead ones. */
static void on_patience(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct relay *relay = timer->data;
    unsigned half = relay->connections_max / 2;
    if (relay->connections > half)
        outlet_give_up_silent(relay, relay->connections - half);
}

/* ---- birth ---- */

/* The first line, without its end. */
static char *read_password(int fd)
{
    uint8_t octets[PASSWORD_MAX + 1];
    size_t got = 0;
    char *password = NULL;
    if (fd_pread_full(fd, octets, sizeof(octets), 0, &got, NULL)) {
        struct slice line = slice_of(octets, got);
        line = slice_range(line, 0, slice_find_octet(line, '\n'));
        if (slice_ends_with(line, SLICE("\r")))
            line.len--;
        if (line.len > 0 && line.len <= PASSWORD_MAX)
            password = strndup((const char *)line.ptr, line.len);
    }
    sodium_memzero(octets, sizeof(octets));
    return password;
}

static bool read_passwords(struct relay *relay, struct error *error)
{
    struct role *role = relay->role;
    const struct config *config = &role->config;
    relay->passwords = calloc(config->route_count + 1, sizeof(relay->passwords[0]));
    if (!relay->passwords)
        return error_memory(error);
    for (size_t i = 0; i < config->route_count; i++) {
        if (!config->routes[i].password_file.text)
            continue;
        int fd = role_take_file(role, DESCRIPTOR_PASSWORD, (uint32_t)i);
        relay->passwords[i] = fd < 0 ? NULL : read_password(fd);
        fd_discard(&fd);
        if (!relay->passwords[i])
            LOG(&role->log, LOG_ERROR, "password_unusable",
                log_text("route", config->routes[i].domain),
                log_text("file", config->routes[i].password_file.text));
    }
    return true;
}

/* Without a list of authorities no name can be verified; everything else works. */
static bool open_tls(struct relay *relay, struct error *error)
{
    relay->tls = tls_client_new(relay->role->config.relay.authorities.text, error);
    if (relay->tls)
        return true;
    LOG(&relay->role->log, LOG_WARNING, "no_authorities", log_failure(error));
    relay->tls = tls_client_new(NULL, error);
    return relay->tls != NULL;
}

static void keep_budget(struct relay *relay)
{
    struct rlimit limit;
    relay->connections_max = relay->role->config.relay.connections;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t budget =
        limit.rlim_cur > RESERVED_DESCRIPTORS ? limit.rlim_cur - RESERVED_DESCRIPTORS : 0;
    budget /= DESCRIPTORS_PER_CONNECTION;
    if (budget >= relay->connections_max)
        return;
    LOG(&relay->role->log, LOG_WARNING, "connections_limited",
        log_number("connections", (int64_t)budget), log_number("wanted", relay->connections_max),
        log_text("reason", "RLIMIT_NOFILE"));
    relay->connections_max = budget > 0 ? (unsigned)budget : 1;
}

static bool prepare(struct role *role, struct error *error)
{
    struct relay *relay = role->state;
    relay->role = role;
    relay->chunk = malloc(OUTGOING_CHUNK);
    if (!relay->chunk)
        return error_memory(error);
    if (sodium_init() < 0)
        return error_set(error, ERROR_TEMPORARY, "libsodium does not start");
    keep_budget(relay);
    return read_passwords(relay, error) && open_tls(relay, error)
           && target_own_gather(&relay->targets.own, error);
}

static bool start(struct role *role, struct error *error)
{
    (void)error;
    struct relay *relay = role->state;
    turn_init(&relay->turn, role->loop);
    dns_client_init(&relay->dns, role);
    fetch_client_init(&relay->fetch, role);
    relay->targets.config = &role->config;
    relay->targets.dns = &relay->dns;
    relay->targets.fetch = &relay->fetch;
    relay->targets.turn = &relay->turn;
    relay->free_ended = (struct deferred){.run = on_free_ended};
    ev_timer_init(&relay->sweep, on_sweep, sweep_seconds, sweep_seconds);
    relay->sweep.data = relay;
    ev_timer_start(role->loop, &relay->sweep);
    ev_timer_init(&relay->patience, on_patience, patience_seconds, patience_seconds);
    relay->patience.data = relay;
    ev_timer_start(role->loop, &relay->patience);
    return true;
}

static void peer_up(struct role_peer *peer)
{
    struct relay *relay = peer->role->state;
    if (peer->kind == ROLE_RESOLVER)
        dns_client_up(&relay->dns, peer);
    else if (peer->kind == ROLE_FETCH)
        fetch_client_up(&relay->fetch, peer);
}

static void peer_down(struct role_peer *peer)
{
    struct relay *relay = peer->role->state;
    if (peer->kind == ROLE_RESOLVER)
        dns_client_down(&relay->dns, peer);
    else if (peer->kind == ROLE_FETCH)
        fetch_client_down(&relay->fetch, peer);
    else
        on_queue_down(relay, peer->number);
}

static void stop(struct role *role)
{
    struct role_peer *peer;
    struct ipc_header leaves = {.type = RELAY_LEAVES};
    DL_FOREACH (role->peers, peer)
        if (peer->kind == ROLE_QUEUE)
            ipc_send_record(&peer->channel, &leaves, sizeof(leaves), slice_of(NULL, 0), NULL);
    exit_if_done(role->state);
}

static void count(struct role *role, struct role_counts *counts)
{
    const struct relay *relay = role->state;
    counts->sessions = relay->connections;
    counts->queued = relay->messages;
}

/* ---- TLS reports ---- */

static bool on_tls_lookup(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *queue = owner;
    const struct relay_tls_lookup *record = packet->record;
    struct slice domain = ipc_packet_tail(packet, sizeof(*record));
    if (!tls_lookup_is_possible(domain))
        return error_set(error, ERROR_PEER, "malformed question for a domain's record");
    tls_lookup_begin(queue->role->state, queue->number, record->header.request, domain);
    return true;
}

static const struct ipc_rule from_queue[] = {
    {RELAY_MESSAGE, sizeof(struct relay_message), IPC_RECORD_MAX, 0, on_message},
    {RELAY_MESSAGE_FILE, sizeof(struct relay_message), IPC_RECORD_MAX, 1, on_message_file},
    {RELAY_TLS_LOOKUP, sizeof(struct relay_tls_lookup) + 1,
     sizeof(struct relay_tls_lookup) + DNS_NAME_MAX, 0, on_tls_lookup},
};

static const struct role_link links[] = {
    {ROLE_QUEUE, from_queue, sizeof(from_queue) / sizeof(from_queue[0])},
    {ROLE_RESOLVER, dns_client_rules, DNS_CLIENT_RULES},
    {ROLE_FETCH, fetch_client_rules, FETCH_CLIENT_RULES},
};

const struct role_spec relay_role = {
    .sandbox = {.calls = SANDBOX_CONNECT, .files = SANDBOX_NO_FILES},
    .links = links,
    .link_count = sizeof(links) / sizeof(links[0]),
    .prepare = prepare,
    .start = start,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .stop = stop,
    .count = count,
};
