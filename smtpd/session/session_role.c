/*
 * The smtpd-session process: its birth, its peers (auth, keys, filter, queue) and what they may
 * send, its connections. Every answer of a peer is parsed here, and a malformed one ends the peer.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include <sodium.h>

#include "common/auth/auth_protocol.h"
#include "common/auth/recipient_targets.h"
#include "common/disk/fd.h"
#include "common/size.h"
#include "smtpd/filter/filter_protocol.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/session/session_internal.h"

enum {
    IDS_LOW = QUEUE_IDS_LENT / 2, /* more are asked for below this */
    REPLY_LIMIT = 8192,           /* octets of one reply with all its lines */
};

static struct smtp_server *server_of(const struct role *role)
{
    return role->state;
}

/* --- Questions -------------------------------------------------------------------------------- */

uint64_t session_new_request(struct session *session)
{
    struct smtp_server *server = session->server;
    if (++server->last_request == 0)
        server->last_request = 1;
    return (uint64_t)server->last_request << 32 | session->slot;
}

static struct role_peer *choose_peer(struct smtp_server *server, enum role_kind kind)
{
    struct role_peer *peer = role_find_peer(server->role, kind);
    if (!peer || kind != ROLE_FILTER)
        return peer;
    uint32_t turn = server->filter_turn++ % server->role->config.processes.filter;
    while (turn-- > 0)
        peer = role_next_peer(peer);
    return peer;
}

bool session_ask(struct session *session, const struct session_question *question)
{
    struct role_peer *peer = choose_peer(session->server, question->peer);
    if (!peer)
        return false;
    uint64_t request = question->request ? question->request : session_new_request(session);
    question->head->request = request;
    const struct ipc_message message = {.head = question->head,
                                        .head_octets = question->head_octets,
                                        .tail = question->tail,
                                        .tail_count = question->tail_count,
                                        .descriptors = question->descriptors,
                                        .descriptor_count = question->descriptor_count};
    struct error error = {.kind = ERROR_NONE};
    if (!ipc_send(&peer->channel, &message, &error)) {
        LOG(session_log(session), LOG_ERROR, "peer_not_reached", log_id("session", session->name),
            log_text("peer", role_kind_name(peer->kind)), log_failure(&error));
        return false;
    }
    session->wait = question->wait;
    session->wait_request = request;
    session->wait_peer = peer;
    return true;
}

/* The session that waits for this answer, for one of these reasons; NULL: it is gone. Its wait is
 * over. */
static struct session *take_waiting(const struct role_peer *peer, const struct ipc_packet *packet,
                                    uint32_t waits)
{
    const struct smtp_server *server = server_of(peer->role);
    uint64_t request = ipc_packet_header(packet)->request;
    uint32_t slot = (uint32_t)request;
    struct session *session = slot < server->slot_count ? server->sessions[slot] : NULL;
    if (!session || session->wait_request != request || session->wait_peer != peer
        || (waits & 1U << session->wait) == 0)
        return NULL;
    session_end_wait(session);
    return session;
}

#define FOR(wait) (1U << SESSION_WAIT_##wait)

static bool malformed(struct error *error, const char *record)
{
    return error_set(error, ERROR_PEER, "malformed %s", record);
}

/* --- Answers of auth -------------------------------------------------------------------------- */

static bool on_recipient_answer(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct auth_recipient_answer *answer = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*answer));
    struct slice targets = slice_from(tail, answer->text_octets);
    if (answer->text_octets > tail.len || answer->targets > AUTH_TARGETS_MAX
        || !recipient_targets_are(targets, answer->targets))
        return malformed(error, "AUTH_RECIPIENT_ANSWER");
    struct session *session = take_waiting(owner, packet, FOR(RECIPIENT));
    if (!session)
        return true;
    session_on_recipient_answer(session, answer->verdict, slice_range(tail, 0, answer->text_octets),
                                targets);
    session_step(session);
    return true;
}

static bool on_sender_answer(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct auth_sender_answer *answer = packet->record;
    struct session *session = take_waiting(owner, packet, FOR(SENDER) | FOR(FROM));
    if (!session)
        return true;
    if (session->state == SESSION_SUBMIT)
        session_on_from_answer(session, answer->allowed == 1);
    else
        session_on_sender_answer(session, answer->allowed == 1);
    session_step(session);
    return true;
}

static bool on_verdict(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct auth_verdict *verdict = packet->record;
    struct slice account = ipc_packet_tail(packet, sizeof(*verdict));
    if (account.len != verdict->account_octets)
        return malformed(error, "AUTH_VERDICT");
    struct session *session = take_waiting(owner, packet, FOR(PASSWORD));
    if (!session)
        return true;
    session_on_verdict(session, verdict->verdict, account, &verdict->token);
    session_step(session);
    return true;
}

static bool on_challenge(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct auth_challenge *challenge = packet->record;
    struct slice message = ipc_packet_tail(packet, sizeof(*challenge));
    if (message.len != challenge->message_octets)
        return malformed(error, "AUTH_CHALLENGE");
    struct session *session = take_waiting(owner, packet, FOR(PASSWORD));
    if (!session)
        return true;
    session_on_challenge(session, message);
    session_step(session);
    return true;
}

static bool on_offer(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct role_peer *auth = owner;
    const struct auth_offer *offer = packet->record;
    struct smtp_server *server = auth->role->state;
    server->scram = offer->scram == 1;
    return true;
}

static bool on_not_read(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct auth_not_read *answer = packet->record;
    struct session *session = take_waiting(owner, packet, FOR(OWNER));
    if (!session)
        return true;
    session_on_not_read(session, answer->permanent == 1);
    session_step(session);
    return true;
}

static const struct ipc_rule from_auth[] = {
    {AUTH_RECIPIENT_ANSWER, sizeof(struct auth_recipient_answer), IPC_RECORD_MAX, 0,
     on_recipient_answer},
    {AUTH_SENDER_ANSWER, sizeof(struct auth_sender_answer), sizeof(struct auth_sender_answer), 0,
     on_sender_answer},
    {AUTH_VERDICT, sizeof(struct auth_verdict), sizeof(struct auth_verdict) + MASTER_ACCOUNT_MAX, 0,
     on_verdict},
    {AUTH_CHALLENGE, sizeof(struct auth_challenge),
     sizeof(struct auth_challenge) + AUTH_MESSAGE_MAX, 0, on_challenge},
    {AUTH_OFFER, sizeof(struct auth_offer), sizeof(struct auth_offer), 0, on_offer},
    {AUTH_NOT_READ, sizeof(struct auth_not_read), sizeof(struct auth_not_read), 0, on_not_read},
};

/* --- The master answers for auth -------------------------------------------------------------- */

static struct session *take_reader(struct role *role, const struct ipc_packet *packet)
{
    const struct role_peer *auth = role_find_peer(role, ROLE_AUTH);
    return auth ? take_waiting(auth, packet, FOR(OWNER)) : NULL;
}

static bool on_admitted(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct session *session = take_reader(owner, packet);
    if (!session)
        return true; /* the client has left; closing our end tells the mailbox */
    session_on_admitted(session, ipc_packet_take(packet, 0));
    session_step(session);
    return true;
}

static bool on_not_admitted(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct session *session = take_reader(owner, packet);
    if (!session)
        return true;
    session_on_not_read(session, false);
    session_step(session);
    return true;
}

static const struct ipc_rule orders[] = {
    {ROLE_ADMITTED, sizeof(struct role_admitted), sizeof(struct role_admitted), 1, on_admitted},
    {ROLE_NOT_ADMITTED, sizeof(struct role_not_admitted), sizeof(struct role_not_admitted), 0,
     on_not_admitted},
};

/* --- Answers of filter ------------------------------------------------------------------------ */

/* A list of lengths and octets, of so many elements, each with at least one octet. */
static bool is_list(struct slice list, uint32_t count)
{
    while (count-- > 0) {
        uint16_t length;
        if (list.len < sizeof(length))
            return false;
        memcpy(&length, list.ptr, sizeof(length));
        if (length == 0 || list.len - sizeof(length) < length)
            return false;
        list = slice_from(list, sizeof(length) + length);
    }
    return list.len == 0;
}

static bool on_recipe(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct filter_recipe *recipe = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*recipe));
    size_t cut_octets = recipe->cuts * sizeof(struct filter_cut);
    struct slice cuts = slice_from(tail, recipe->prefix_octets);
    struct slice from = slice_from(cuts, cut_octets);
    if (recipe->prefix_octets > FILTER_PREFIX_MAX || recipe->cuts > FILTER_CUTS_MAX
        || recipe->from_count > FILTER_FROM_MAX || tail.len < recipe->prefix_octets + cut_octets
        || !is_list(from, recipe->from_count))
        return malformed(error, "FILTER_RECIPE");
    struct session *session = take_waiting(owner, packet, FOR(FILTER));
    if (!session)
        return true;
    session_on_recipe(
        session, &(struct session_recipe){.prefix = slice_range(tail, 0, recipe->prefix_octets),
                                          .cuts = slice_range(cuts, 0, cut_octets),
                                          .from = from,
                                          .findings = recipe->findings});
    session_step(session);
    return true;
}

/* 4yz or 5yz; anything else is 451. */
static struct smtp_reply refusal_of(uint16_t code, struct slice words)
{
    return smtp_reply_of_words(code >= 400 && code <= 599 ? code : 451, words);
}

static bool on_filter_refused(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct filter_refused *refused = packet->record;
    struct slice words = ipc_packet_tail(packet, sizeof(*refused));
    if (words.len != refused->text_octets)
        return malformed(error, "FILTER_REFUSED");
    struct session *session = take_waiting(owner, packet, FOR(FILTER));
    if (!session)
        return true;
    session_end_message(session, refusal_of(refused->code, words));
    session_step(session);
    return true;
}

static const struct ipc_rule from_filter[] = {
    {FILTER_RECIPE, sizeof(struct filter_recipe), IPC_RECORD_MAX, 0, on_recipe},
    {FILTER_REFUSED, sizeof(struct filter_refused), sizeof(struct filter_refused) + UINT16_MAX, 0,
     on_filter_refused},
};

/* --- Queue ------------------------------------------------------------------------------------ */

static void ask_for_ids(struct smtp_server *server)
{
    struct role_peer *queue = role_find_peer(server->role, ROLE_QUEUE);
    struct queue_more_ids record = {.header = {.type = QUEUE_MORE_IDS}};
    if (queue && !server->asked_for_ids)
        server->asked_for_ids =
            ipc_send_record(&queue->channel, &record.header, sizeof(record), SLICE(""), NULL);
}

uint64_t server_take_id(struct smtp_server *server)
{
    if (server->ids.left == 0) {
        server->ids = server->more_ids;
        server->more_ids = (struct id_range){.left = 0};
    }
    if (server->ids.left + server->more_ids.left <= IDS_LOW)
        ask_for_ids(server);
    if (server->ids.left == 0)
        return 0;
    server->ids.left--;
    return server->ids.next++;
}

bool server_is_ready(const struct smtp_server *server)
{
    return server->ids.left + server->more_ids.left > 0 && role_find_peer(server->role, ROLE_QUEUE)
           && role_find_peer(server->role, ROLE_AUTH) && role_find_peer(server->role, ROLE_FILTER);
}

static void resume_sessions(struct smtp_server *server)
{
    for (uint32_t i = 0; i < server->slot_count; i++) {
        struct session *session = server->sessions[i];
        if (!session || session->wait != SESSION_WAIT_READY)
            continue;
        session_end_wait(session);
        session_check_sender(session);
        session_step(session);
    }
}

/* A client that connects while the server starts, or sends MAIL while a role restarts, waits for a
 * moment instead of being refused. */
static void open_doors(struct smtp_server *server)
{
    if (!server_is_ready(server))
        return;
    resume_sessions(server);
    if (server->acceptor.suspended && (!server->tls.context || server->tls.keys.fd >= 0))
        acceptor_resume(&server->acceptor);
}

static bool on_ids(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct queue_ids *record = packet->record;
    struct role_peer *peer = owner;
    struct smtp_server *server = server_of(peer->role);
    struct id_range range = {.next = record->first, .left = record->count};
    server->asked_for_ids = false;
    if (server->ids.left == 0)
        server->ids = range;
    else
        server->more_ids = range;
    open_doors(server);
    return true;
}

static bool on_spooled(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct session *session = take_waiting(owner, packet, FOR(SPOOL));
    if (!session)
        return true;
    int write_fd = ipc_packet_take(packet, 0);
    session_on_spooled(session, write_fd, ipc_packet_take(packet, 1));
    session_step(session);
    return true;
}

static bool on_committed(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct session *session = take_waiting(owner, packet, FOR(COMMIT));
    if (!session)
        return true;
    session_on_committed(session);
    session_step(session);
    return true;
}

static bool on_queue_refused(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct queue_refused *refused = packet->record;
    struct slice words = ipc_packet_tail(packet, sizeof(*refused));
    if (words.len != refused->text_octets)
        return malformed(error, "QUEUE_REFUSED");
    struct session *session = take_waiting(owner, packet, FOR(SPOOL) | FOR(COMMIT));
    if (!session)
        return true;
    struct smtp_reply reply = refusal_of(refused->code, words);
    if (session->state == SESSION_SUBMIT)
        session_end_message(session, reply);
    else
        session_refuse_message(session, reply);
    session_step(session);
    return true;
}

static bool on_space(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct queue_space *record = packet->record;
    struct role_peer *peer = owner;
    server_of(peer->role)->space = record->enough == 1;
    return true;
}

static const struct ipc_rule from_queue[] = {
    {QUEUE_IDS, sizeof(struct queue_ids), sizeof(struct queue_ids), 0, on_ids},
    {QUEUE_SPOOLED, sizeof(struct ipc_header), sizeof(struct ipc_header), 2, on_spooled},
    {QUEUE_COMMITTED, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, on_committed},
    {QUEUE_REFUSED, sizeof(struct queue_refused), sizeof(struct queue_refused) + UINT16_MAX, 0,
     on_queue_refused},
    {QUEUE_SPACE, sizeof(struct queue_space), sizeof(struct queue_space), 0, on_space},
};

/* --- Peers come and go ------------------------------------------------------------------------ */

static void on_peer_up(struct role_peer *peer)
{
    struct smtp_server *server = server_of(peer->role);
    if (peer->kind == ROLE_KEYS)
        tls_role_keys_up(&server->tls, peer);
    open_doors(server);
}

/* What sessions had from that queue is worth nothing to the next one. */
static void forget_queue(struct smtp_server *server)
{
    server->ids = server->more_ids = (struct id_range){.left = 0};
    server->asked_for_ids = false;
    server->space = true;
    for (uint32_t i = 0; i < server->slot_count; i++)
        if (server->sessions[i] && server->sessions[i]->transaction
            && server->sessions[i]->wait != SESSION_WAIT_READY)
            session_lose_queue(server->sessions[i]);
}

static void on_peer_down(struct role_peer *peer)
{
    struct smtp_server *server = server_of(peer->role);
    for (uint32_t i = 0; i < server->slot_count; i++) {
        struct session *session = server->sessions[i];
        if (!session || session->wait_peer != peer)
            continue;
        session_lose_peer(session);
        session_step(session);
    }
    if (peer->kind == ROLE_QUEUE)
        forget_queue(server);
    if (peer->kind == ROLE_KEYS)
        tls_role_keys_down(&server->tls, peer);
}

/* --- Connections ------------------------------------------------------------------------------ */

static void on_free(struct deferred *deferred)
{
    free((uint8_t *)deferred - offsetof(struct session, freeing));
}

static void on_accepted(void *owner, struct accepted *accepted)
{
    struct smtp_server *server = owner;
    struct session *session = server->free_count > 0 ? calloc(1, sizeof(*session)) : NULL;
    if (!session)
        return;
    session->server = server;
    session->freeing.run = on_free;
    session->slot = server->free_slots[--server->free_count];
    session->number = (uint64_t)server->role->kind << 56 | (uint64_t)server->role->number << 32
                      | ++server->last_number;
    server->sessions[session->slot] = session;
    server->session_count++;
    session_begin(session, accepted);
}

void server_release_session(struct session *session)
{
    struct smtp_server *server = session->server;
    connections_leave(&server->acceptor.connections, &session->share);
    server->sessions[session->slot] = NULL;
    server->free_slots[server->free_count++] = session->slot;
    server->session_count--;
    stream_clear(&session->stream);
    turn_defer(&server->turn, &session->freeing);
    if (server->role->stopping && server->session_count == 0)
        role_exit(server->role);
}

/* One try; a client that misses it sees the connection end. */
static void on_refused(void *owner, const struct accepted *accepted,
                       enum connection_verdict verdict)
{
    const struct smtp_server *server = owner;
    if (config_service_is_implicit_tls(accepted->listen->service))
        return;
    struct buffer line = BUFFER_WITH_LIMIT(SMTP_REPLY_LINE_LIMIT);
    buffer_append_format(&line, "421 %s Too many connections (%s); try again later\r\n",
                         server->role->config.hostname, connection_verdict_limit(verdict));
    send(accepted->fd, line.ptr, line.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    buffer_clear(&line);
}

static void on_silent(void *owner, struct connection_share *share, enum connection_verdict verdict)
{
    (void)owner;
    struct session *session =
        (struct session *)(void *)((uint8_t *)share - offsetof(struct session, share));
    session_evict(session, connection_verdict_limit(verdict));
}

static const struct acceptor_handler acceptor_handler = {
    .on_accepted = on_accepted,
    .on_refused = on_refused,
    .on_silent = on_silent,
};

/* --- Birth and end ---------------------------------------------------------------------------- */

static bool prepare(struct role *role, struct error *error)
{
    struct smtp_server *server = server_of(role);
    server->role = role;
    server->space = true;
    buffer_init(&server->reply, REPLY_LIMIT);
    if (sodium_init() < 0)
        return error_set(error, ERROR_TEMPORARY, "libsodium does not start");
    return tls_role_open(&server->tls, role, NULL, error);
}

static bool make_slots(struct smtp_server *server, struct error *error)
{
    server->slot_count = server->acceptor.connections.limits.connections;
    server->sessions = calloc(server->slot_count, sizeof(struct session *));
    server->free_slots = calloc(server->slot_count, sizeof(*server->free_slots));
    if (!server->sessions || !server->free_slots)
        return error_memory(error);
    for (uint32_t i = 0; i < server->slot_count; i++)
        server->free_slots[i] = server->slot_count - 1 - i;
    server->free_count = server->slot_count;
    return true;
}

static bool start(struct role *role, struct error *error)
{
    struct smtp_server *server = server_of(role);
    uint32_t processes = role->kind == ROLE_SMTP ? role->config.processes.session
                                                 : role->config.processes.submission;
    turn_init(&server->turn, role->loop);
    if (!acceptor_open(&server->acceptor, role, processes, &acceptor_handler, server, error))
        return false;
    acceptor_suspend(&server->acceptor);
    return make_slots(server, error);
}

static void stop_sessions(struct smtp_server *server)
{
    for (uint32_t i = 0; i < server->slot_count; i++)
        if (server->sessions[i])
            session_stop(server->sessions[i]);
}

/* After a reload the transactions under way have all the time they need; when the server stops, the
 * master ends this process once timeouts.shutdown is over. */
static void stop(struct role *role)
{
    struct smtp_server *server = server_of(role);
    acceptor_stop(&server->acceptor);
    stop_sessions(server);
    if (server->session_count == 0)
        role_exit(role);
}

static void count(struct role *role, struct role_counts *counts)
{
    counts->sessions = server_of(role)->session_count;
}

static const struct role_link links[] = {
    {ROLE_AUTH, from_auth, ARRAY_LENGTH(from_auth)},
    {ROLE_KEYS, keys_client_rules, ARRAY_LENGTH(keys_client_rules)},
    {ROLE_FILTER, from_filter, ARRAY_LENGTH(from_filter)},
    {ROLE_QUEUE, from_queue, ARRAY_LENGTH(from_queue)},
};

const struct role_spec smtp_session_role = {
    .sandbox = {.calls = SANDBOX_ACCEPT, .files = SANDBOX_NO_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .orders = orders,
    .order_count = ARRAY_LENGTH(orders),
    .prepare = prepare,
    .start = start,
    .peer_up = on_peer_up,
    .peer_down = on_peer_down,
    .stop = stop,
    .count = count,
};
