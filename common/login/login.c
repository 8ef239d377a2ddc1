/*
 * Connections of a login role; see login.h for the states. Runs in imapd-login and pop3d-login;
 * reads what strangers send and believes nothing of it. Begin at on_accepted().
 */
#include "common/login/login.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <sodium.h>
#include <utlist.h>

#include "common/disk/fd.h"
#include "common/login/login_internal.h"
#include "common/login/sasl_question.h"
#include "common/role/handoff.h"
#include "common/size.h"
#include "common/tls/tls_certificates.h"
#include "common/tls/tls_stream.h"

enum {
    INPUT_OCTETS = HANDOFF_INPUT_MAX, /* unread; what is pipelined behind a login goes along */
    OUTPUT_HIGH_WATER = 16384,
    OUTPUT_OCTETS = 65536,
    REPLY_OCTETS = 16384,
    LINGER_MS = 2000,
    ASK_TIMEOUT_MS = 90000, /* auth answers within 60 s, or never */
};

/* What there is of a session beside its connection, until that is handed over again. */
struct login_sleep {
    int other_fd;        /* of `user`, which still carries; -1: nothing does */
    bool waking;         /* the master was asked */
    uint64_t left_until; /* turn_now_ms: when the client will have been silent for too long */
    size_t record_octets;
    uint8_t record[];
};

#define IN(state) (1U << LOGIN_##state)

static const uint32_t steps[LOGIN_STATES] = {
    [LOGIN_SECURING] = IN(TALKING) | IN(CLOSING),
    [LOGIN_TALKING] = IN(SECURING) | IN(ASKING) | IN(CLOSING),
    [LOGIN_ASKING] = IN(TALKING) | IN(CARRYING) | IN(CLOSING),
    [LOGIN_CARRYING] = IN(ASLEEP) | IN(RETURNING) | IN(CLOSING),
    [LOGIN_ASLEEP] = IN(CARRYING) | IN(CLOSING),
    [LOGIN_RETURNING] = IN(TALKING) | IN(CLOSING),
    [LOGIN_CLOSING] = IN(CLOSING),
};

/* Who waits for auth's answer may be silent. */
static void note_word(struct login_session *session)
{
    struct connections *connections = &session->server->acceptor.connections;
    if (session->state == LOGIN_ASKING)
        connections_excuse(connections, &session->share);
    else if (session->state != LOGIN_CLOSING)
        connections_hear(connections, &session->share, turn_now_ms());
}

void login_enter(struct login_session *session, enum login_state state)
{
    assert((steps[session->state] & 1U << state) != 0);
    session->state = state;
    note_word(session);
}

static struct log *log_of(const struct login_session *session)
{
    return &session->server->role->log;
}

static const struct login_protocol *protocol_of(const struct login_session *session)
{
    return session->server->protocol;
}

/* ---- the end ---- */

static struct login_session *session_of_freeing(struct deferred *deferred)
{
    return (struct login_session *)(void *)((uint8_t *)deferred
                                            - offsetof(struct login_session, freeing));
}

static void free_session(struct deferred *deferred)
{
    struct login_session *session = session_of_freeing(deferred);
    struct login_server *server = session->server;
    DL_DELETE(server->sessions, session);
    server->session_count--;
    free(session);
    if (server->role->stopping && server->session_count == 0)
        role_exit(server->role);
}

static void stop_asking(struct login_session *session)
{
    if (session->request == 0)
        return;
    HASH_DEL(session->server->asking, session);
    session->request = 0;
    session->exchanging = false;
}

static void tell_master(struct login_session *session, uint16_t type)
{
    struct ipc_header record = {.type = type, .request = session->number};
    role_tell_master(session->server->role, &record, sizeof(record), slice_of(NULL, 0));
}

static void forget_sleep(struct login_session *session)
{
    if (!session->sleep)
        return;
    fd_discard(&session->sleep->other_fd);
    free(session->sleep);
    session->sleep = NULL;
}

void login_stop_naming(struct login_session *session)
{
    if (session->served)
        HASH_DEL(session->server->served, session);
    session->served = false;
}

/* The user's process has no part in it any more, nor shall one have. */
static void stop_serving(struct login_session *session)
{
    login_forget_return(session);
    if (session->state != LOGIN_CARRYING && session->state != LOGIN_ASLEEP)
        return;
    login_stop_naming(session);
    if (session->sleep)
        tell_master(session, MASTER_GONE);
    forget_sleep(session);
}

/* Lets go of everything; the memory goes at the end of the turn. */
static void session_end(struct login_session *session)
{
    stop_asking(session);
    stop_serving(session);
    protocol_of(session)->forget(session);
    turn_cancel(&session->stepping);
    stream_clear(&session->client);
    stream_clear(&session->user);
    connections_leave(&session->server->acceptor.connections, &session->share);
    turn_defer(&session->server->turn, &session->freeing);
}

static void log_closed(const struct login_session *session, const char *reason)
{
    char client[IP_ADDRESS_TEXT_SIZE];
    LOG(log_of(session), LOG_INFO, "closed", log_id("session", session->name),
        log_text("client", ip_address_format(&session->address, client)),
        log_text("reason", reason), log_number("octets_in", (int64_t)session->client.octets_in),
        log_number("octets_out", (int64_t)session->client.octets_out));
}

void login_close(struct login_session *session, const char *reason)
{
    if (session->state == LOGIN_CLOSING)
        return;
    log_closed(session, reason);
    stop_asking(session);
    stop_serving(session);
    protocol_of(session)->forget(session);
    login_enter(session, LOGIN_CLOSING);
    stream_finish(&session->client, LINGER_MS);
}

static void say_farewell(struct login_session *session, enum login_end end, const char *reason)
{
    buffer_reset(&session->server->reply);
    protocol_of(session)->farewell(session, end);
    login_reply(session);
    login_close(session, reason);
}

void login_reply(struct login_session *session)
{
    struct buffer *reply = &session->server->reply;
    struct error error = {0};
    if (reply->failed) {
        error_memory(&error);
        stream_fail(&session->client, &error);
        return;
    }
    stream_write(&session->client, buffer_slice(reply));
}

bool login_count_bad_command(struct login_session *session)
{
    if (++session->bad_commands < login_config(session)->limits.bad_commands)
        return true;
    say_farewell(session, LOGIN_END_BAD_COMMANDS, "limits.bad-commands");
    return false;
}

/* ---- waiting ---- */

static unsigned at_most_unsigned(uint64_t milliseconds)
{
    return milliseconds < UINT32_MAX ? (unsigned)milliseconds : UINT32_MAX;
}

static unsigned milliseconds_until(uint64_t until)
{
    uint64_t now = turn_now_ms();
    return until > now ? at_most_unsigned(until - now) : 1;
}

void login_set_deadline(struct login_session *session)
{
    unsigned timeout_ms = 0;
    if (session->state == LOGIN_SECURING)
        timeout_ms = at_most_unsigned(login_config(session)->timeouts.handshake_ms);
    else if (session->state == LOGIN_TALKING || session->state == LOGIN_RETURNING)
        timeout_ms = milliseconds_until(session->login_until);
    else if (session->state == LOGIN_ASKING)
        timeout_ms = ASK_TIMEOUT_MS;
    else if (session->state == LOGIN_ASLEEP && session->sleep->waking)
        timeout_ms = ASK_TIMEOUT_MS;
    else if (session->state == LOGIN_ASLEEP)
        timeout_ms = milliseconds_until(session->sleep->left_until);
    stream_set_deadline_ms(&session->client, timeout_ms);
}

static void refuse(struct login_session *session, enum login_refusal refusal);

static void on_client_deadline(struct stream *stream)
{
    struct login_session *session = stream->owner;
    if (session->state == LOGIN_ASKING) {
        refuse(session, LOGIN_TEMPORARY);
    } else if (session->state == LOGIN_SECURING) {
        log_closed(session, "timeouts.handshake");
        session_end(session);
    } else if (session->state == LOGIN_TALKING || session->state == LOGIN_RETURNING) {
        say_farewell(session, LOGIN_END_TIMEOUT, "timeouts.login");
    } else if (session->state == LOGIN_ASLEEP) {
        if (session->sleep->waking)
            say_farewell(session, LOGIN_END_LOST, "not woken");
        else
            say_farewell(session, LOGIN_END_SILENT, "timeouts.imap");
    }
}

/* ---- talking ---- */

static void session_step(struct login_session *session)
{
    if (login_is_talking(session) && session->server->role->stopping)
        say_farewell(session, LOGIN_END_SHUTDOWN, "shutdown");
    if (login_is_talking(session))
        protocol_of(session)->step(session);
    if (login_is_talking(session) && stream_at_end(&session->client)
        && !stream_output_full(&session->client))
        login_close(session, "client");
}

static void run_step(struct deferred *deferred)
{
    session_step((struct login_session *)(void *)((uint8_t *)deferred
                                                  - offsetof(struct login_session, stepping)));
}

/* Has the master start, or find, the user's process. */
static void wake(struct login_session *session)
{
    if (session->sleep->waking)
        return;
    session->sleep->waking = true;
    login_set_deadline(session);
    tell_master(session, MASTER_WAKE);
}

static void on_input_asleep(struct login_session *session)
{
    if (stream_input(&session->client).len > 0)
        wake(session);
    else if (stream_at_end(&session->client))
        login_close(session, "client");
}

static void on_client_input(struct stream *stream)
{
    struct login_session *session = stream->owner;
    if (session->state == LOGIN_ASLEEP) {
        on_input_asleep(session);
        return;
    }
    if (session->state == LOGIN_CARRYING) { /* its end; the user's process may still have words */
        stream_end_output(&session->user);
        return;
    }
    if (session->state == LOGIN_RETURNING) /* it is read behind what comes back */
        return;
    note_word(session);
    session_step(session);
}

static void on_client_drained(struct stream *stream)
{
    session_step(stream->owner);
}

static void on_client_closed(struct stream *stream, const struct error *why)
{
    struct login_session *session = stream->owner;
    if (session->state != LOGIN_CLOSING)
        log_closed(session, why ? why->text : "client");
    session_end(session);
}

/* ---- TLS ---- */

bool login_can_start_tls(const struct login_session *session)
{
    return session->server->tls.context && !session->secured;
}

bool login_takes_passwords(const struct login_session *session)
{
    return session->secured
           || (login_config(session)->plaintext_passwords == CONFIG_PLAINTEXT_LOOPBACK
               && ip_address_is_loopback(&session->address));
}

unsigned login_mechanisms(const struct login_session *session)
{
    return sasl_offer((session->server->scram ? SASL_HAS_SCRAM : 0)
                      | (session->secured ? SASL_HAS_TLS : 0)
                      | (config_takes_tokens(login_config(session)) ? SASL_HAS_TOKENS : 0)
                      | (tls_has_client_certificate(tls_stream_connection(&session->client))
                             ? SASL_HAS_CERTIFICATE
                             : 0));
}

static void begin_handshake(struct login_session *session)
{
    struct error error = {0};
    if (!tls_stream_start(&session->client, session->server->tls.context, &error))
        stream_fail(&session->client, &error);
    login_set_deadline(session);
}

void login_start_tls(struct login_session *session)
{
    char client[IP_ADDRESS_TEXT_SIZE];
    size_t injected = stream_discard_input(&session->client);
    if (injected > 0)
        LOG(log_of(session), LOG_WARNING, "starttls_injection", log_id("session", session->name),
            log_text("client", ip_address_format(&session->address, client)),
            log_number("octets", (int64_t)injected));
    login_enter(session, LOGIN_SECURING);
    begin_handshake(session);
}

static void on_client_secured(struct stream *stream)
{
    struct login_session *session = stream->owner;
    struct tls_facts facts;
    if (session->state != LOGIN_SECURING || !tls_stream_facts(stream, &facts))
        return;
    LOG(log_of(session), LOG_INFO, "tls", log_id("session", session->name),
        log_text("version", facts.version), log_text("cipher", facts.suite));
    session->secured = true;
    login_enter(session, LOGIN_TALKING);
    login_set_deadline(session);
    if (!config_service_is_implicit_tls(session->listen->service))
        protocol_of(session)->secured(session);
    session_step(session);
}

/* ---- asking ---- */

static struct login_session *find_asking(struct login_server *server, uint64_t request)
{
    struct login_session *session;
    HASH_FIND(hh, server->asking, &request, sizeof(request), session);
    return session;
}

/* The question is answered. Commands that wait are read in a turn of their own: this may have been
 * called by the one before them. */
static void refuse(struct login_session *session, enum login_refusal refusal)
{
    stop_asking(session);
    login_enter(session, LOGIN_TALKING);
    login_set_deadline(session);
    buffer_reset(&session->server->reply);
    protocol_of(session)->refused(session, refusal);
    login_reply(session);
    if ((refusal != LOGIN_WRONG && refusal != LOGIN_MALFORMED) || login_count_bad_command(session))
        turn_again(&session->server->turn, &session->stepping);
}

static struct master_client describe_client(const struct login_session *session)
{
    return (struct master_client){.session = session->number,
                                  .address = session->address,
                                  .flags = session->secured ? SESSION_TLS : 0,
                                  .port = session->port};
}

static bool send_question(struct login_session *session, struct slice name, struct slice password)
{
    struct role_peer *auth = role_find_peer(session->server->role, ROLE_AUTH);
    if (!auth)
        return false;
    struct auth_password question = {
        .header = {.type = AUTH_PASSWORD, .request = session->request},
        .client = describe_client(session),
        .service = session->listen->service,
        .name_octets = (uint32_t)name.len,
        .password_octets = (uint32_t)password.len,
    };
    struct slice tail[] = {name, password};
    struct ipc_message message = {.head = &question.header,
                                  .head_octets = sizeof(question),
                                  .tail = tail,
                                  .tail_count = ARRAY_LENGTH(tail)};
    return ipc_send(&auth->channel, &message, NULL);
}

/* False: no memory for the entry. */
static bool start_asking(struct login_session *session)
{
    struct login_server *server = session->server;
    session->request = ++server->next_request;
    HASH_ADD(hh, server->asking, request, sizeof(session->request), session);
    if (hash_table_holds(&session->hh))
        return true;
    session->request = 0;
    return false;
}

void login_ask(struct login_session *session, struct slice name, struct slice password)
{
    login_enter(session, LOGIN_ASKING);
    login_set_deadline(session);
    /* What can belong to nobody is not worth a question; its length is no secret. */
    if (name.len == 0 || name.len > AUTH_NAME_MAX || password.len == 0
        || password.len > AUTH_PASSWORD_MAX)
        refuse(session, LOGIN_WRONG);
    else if (!start_asking(session) || !send_question(session, name, password))
        refuse(session, LOGIN_TEMPORARY);
}

void login_ask_sasl(struct login_session *session, const struct sasl *sasl)
{
    if (sasl->authorization_id.len == 0
        || slice_equal(sasl->authorization_id, sasl->authentication_id)) {
        login_ask(session, sasl->authentication_id, sasl->password);
        return;
    }
    login_enter(session, LOGIN_ASKING);
    refuse(session, LOGIN_WRONG);
}

static bool send_message(struct login_session *session, const struct sasl *sasl)
{
    struct role_peer *auth = role_find_peer(session->server->role, ROLE_AUTH);
    const struct ssl_st *ssl = tls_stream_connection(&session->client);
    struct buffer certificates = BUFFER_WITH_LIMIT(TLS_CERTIFICATES_MAX);
    struct sasl_connection connection;
    struct slice tail[SASL_QUESTION_TAIL];
    if (!auth)
        return false;
    tls_bindings_of_server(ssl, &connection.bindings);
    if (sasl->mechanism == SASL_EXTERNAL)
        tls_append_client_certificates(ssl, &certificates);
    connection.certificates = buffer_slice(&certificates);
    struct auth_sasl question = {
        .header = {.request = session->request},
        .client = describe_client(session),
        .service = session->listen->service,
    };
    sasl_fill_question(sasl, &connection, &question, tail);
    struct ipc_message message = {.head = &question.header,
                                  .head_octets = sizeof(question),
                                  .tail = tail,
                                  .tail_count = ARRAY_LENGTH(tail)};
    bool sent = !certificates.failed && ipc_send(&auth->channel, &message, NULL);
    buffer_clear(&certificates);
    return sent;
}

void login_ask_exchange(struct login_session *session, const struct sasl *sasl)
{
    login_enter(session, LOGIN_ASKING);
    login_set_deadline(session);
    if (start_asking(session) && send_message(session, sasl))
        session->exchanging = true;
    else
        refuse(session, LOGIN_TEMPORARY);
}

static bool on_challenge(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *auth = owner;
    const struct auth_challenge *challenge = packet->record;
    struct slice message = ipc_packet_tail(packet, sizeof(*challenge));
    struct login_session *session =
        find_asking(auth->role->state, ipc_packet_header(packet)->request);
    if (message.len != challenge->message_octets || (session && !session->exchanging))
        return error_set(error, ERROR_PEER, "a challenge that nobody waits for");
    if (!session)
        return true; /* the client has left */
    stop_asking(session);
    login_enter(session, LOGIN_TALKING);
    login_set_deadline(session);
    buffer_reset(&session->server->reply);
    protocol_of(session)->challenged(session, message);
    login_reply(session);
    turn_again(&session->server->turn, &session->stepping);
    return true;
}

static bool on_offer(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role_peer *auth = owner;
    const struct auth_offer *offer = packet->record;
    struct login_server *server = auth->role->state;
    server->scram = offer->scram == 1;
    return true;
}

static bool on_verdict(void *owner, struct ipc_packet *packet, struct error *error)
{
    static const enum login_refusal refusals[] = {
        [AUTH_WRONG] = LOGIN_WRONG,         [AUTH_THROTTLED] = LOGIN_THROTTLED,
        [AUTH_EXPIRED] = LOGIN_EXPIRED,     [AUTH_TEMPORARY] = LOGIN_TEMPORARY,
        [AUTH_MALFORMED] = LOGIN_MALFORMED,
    };
    struct role_peer *auth = owner;
    const struct auth_verdict *verdict = packet->record;
    if (verdict->verdict <= AUTH_GRANTED || verdict->verdict >= ARRAY_LENGTH(refusals))
        return error_set(error, ERROR_PEER, "verdict %u for a login role", verdict->verdict);
    struct login_session *session =
        find_asking(auth->role->state, ipc_packet_header(packet)->request);
    if (session) /* else the client has left */
        refuse(session, refusals[verdict->verdict]);
    return true;
}

/* ---- let in ---- */

static void on_user_input(struct stream *stream)
{
    struct login_session *session = stream->owner;
    if (session->state == LOGIN_RETURNING)
        login_end_return(session);
    else if (session->state == LOGIN_CARRYING) /* its end: nothing more can come for the client */
        login_close(session, "logged out");
}

static void on_user_deadline(struct stream *stream)
{
    (void)stream; /* none is set: the user's process watches the client's time */
}

static void on_user_closed(struct stream *stream, const struct error *why)
{
    struct login_session *session = stream->owner;
    login_close(session, why ? why->text : "logged out");
}

/* So that the master can name it. Without memory it never sleeps. */
static void begin_serving(struct login_session *session)
{
    struct login_server *server = session->server;
    if (session->served)
        return;
    HASH_ADD(hh, server->served, number, sizeof(session->number), session);
    session->served = hash_table_holds(&session->hh);
}

struct login_session *login_find_served(struct login_server *server, uint64_t number)
{
    struct login_session *session;
    HASH_FIND(hh, server->served, &number, sizeof(number), session);
    return session;
}

static void carry(struct login_session *session, int fd)
{
    static const struct stream_handler handler = {
        .on_input = on_user_input, .on_deadline = on_user_deadline, .on_closed = on_user_closed};
    struct stream_limits limits = session->client.limits;
    limits.output += stream_input(&session->client).len;
    stream_init(&session->user, &session->server->turn, fd, &handler, &limits);
    session->user.owner = session;
    login_enter(session, LOGIN_CARRYING);
    begin_serving(session);
    login_set_deadline(session);
    stream_carry(&session->client, &session->user);
    stream_carry(&session->user, &session->client);
    if (stream_at_end(&session->client))
        stream_end_output(&session->user);
}

static uint32_t left_ms(const struct login_sleep *sleep)
{
    return milliseconds_until(sleep->left_until);
}

/* Gives the client to the process of its user. In the clear all of it, if nothing waits to be
 * written. */
static bool hand_over(struct login_session *session, int fd, struct error *error)
{
    struct stream *client = &session->client;
    struct slice input = slice_range(stream_input(client), 0, HANDOFF_INPUT_MAX);
    bool whole = !session->secured && stream_output_empty(client) && !stream_at_end(client)
                 && input.len == stream_input(client).len;
    struct login_sleep *sleep = session->sleep;
    struct handoff_parcel parcel = {.tag = sleep ? slice_of(sleep->record, sleep->record_octets)
                                                 : protocol_of(session)->tag(session),
                                    .input = input,
                                    .client_fd = whole ? client->fd : -1,
                                    .resumed = sleep != NULL,
                                    .left_ms = sleep ? left_ms(sleep) : 0};
    if (!handoff_send(fd, &parcel, error))
        return false;
    stream_consume(client, input.len);
    stop_asking(session);
    forget_sleep(session);
    protocol_of(session)->forget(session);
    connections_authenticate(&session->server->acceptor.connections, &session->share);
    if (!whole) {
        carry(session, fd);
        return true;
    }
    close(fd);
    session_end(session);
    return true;
}

static bool on_admitted(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct login_session *session = find_asking(role->state, ipc_packet_header(packet)->request);
    if (!session)
        return true; /* the client has left; closing our end tells the user's process */
    int fd = ipc_packet_take(packet, 0);
    struct error why = {0};
    if (hand_over(session, fd, &why))
        return true;
    fd_discard(&fd);
    LOG(log_of(session), LOG_ERROR, "not_handed_over", log_id("session", session->name),
        log_failure(&why));
    refuse(session, LOGIN_TEMPORARY);
    return true;
}

static bool on_not_admitted(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    const struct role_not_admitted *answer = packet->record;
    struct login_session *session = find_asking(role->state, answer->header.request);
    if (session)
        refuse(session, answer->reason == NOT_ADMITTED_IN_USE ? LOGIN_IN_USE : LOGIN_TEMPORARY);
    return true;
}

/* ---- asleep ---- */

static struct login_sleep *new_sleep(const struct role_asleep *order, struct slice record)
{
    struct login_sleep *sleep = malloc(sizeof(*sleep) + record.len);
    if (!sleep)
        return NULL;
    sleep->other_fd = -1;
    sleep->waking = false;
    sleep->left_until = turn_now_ms() + order->left_ms;
    sleep->record_octets = record.len;
    memcpy(sleep->record, record.ptr, record.len);
    return sleep;
}

/* Nothing can be read from it now, not even its end. */
static bool is_quiet(int fd)
{
    uint8_t octet;
    return recv(fd, &octet, sizeof(octet), MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static bool carries_nothing(const struct login_session *session)
{
    return stream_output_empty(&session->client) && stream_output_empty(&session->user)
           && stream_input(&session->client).len == 0 && !stream_at_end(&session->client)
           && is_quiet(session->user.fd) && is_quiet(session->sleep->other_fd);
}

/* Nothing carries any more; the client's next octet is ours to see. */
static void fall_asleep(struct login_session *session)
{
    stream_clear(&session->user);
    fd_discard(&session->sleep->other_fd);
    login_enter(session, LOGIN_ASLEEP);
    login_set_deadline(session);
}

/* A connection that is carried comes to rest. What is not at rest goes on: in both ways octets wait
 * where the next process will find them. */
static void rest(struct login_session *session, struct login_sleep *sleep, int fd)
{
    session->sleep = sleep;
    sleep->other_fd = fd;
    if (carries_nothing(session)) {
        fall_asleep(session);
    } else {
        sleep->waking = true;
        tell_master(session, MASTER_WAKE);
    }
}

static struct login_session *new_session(struct login_server *server, struct accepted *accepted);

/* One in the clear comes back from its user's process; it may do so beyond any limit. */
static struct login_session *take_back(struct login_server *server, const struct role_asleep *order,
                                       int fd)
{
    struct accepted accepted = {
        .fd = fd, .client = order->client.address, .client_port = order->client.port};
    connections_enter(&server->acceptor.connections, &accepted.client, &accepted.share);
    struct login_session *session = new_session(server, &accepted);
    if (!session) {
        connections_leave(&server->acceptor.connections, &accepted.share);
        return NULL;
    }
    session->number = order->client.session;
    snprintf(session->name, sizeof(session->name), "%" PRIx64, session->number);
    session->state = LOGIN_ASLEEP;
    connections_authenticate(&server->acceptor.connections, &session->share);
    begin_serving(session);
    return session;
}

static void lose(struct role *role, uint64_t number)
{
    struct ipc_header gone = {.type = MASTER_GONE, .request = number};
    role_tell_master(role, &gone, sizeof(gone), slice_of(NULL, 0));
}

static bool on_asleep(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct login_server *server = role->state;
    const struct role_asleep *order = packet->record;
    struct login_session *session = login_find_served(server, order->client.session);
    struct login_sleep *sleep = new_sleep(order, ipc_packet_tail(packet, sizeof(*order)));
    bool carried = (order->flags & SLEEPS_CARRIED) != 0;
    if (!sleep || carried != (session != NULL) || (session && session->sleep)) {
        lose(role, order->client.session); /* the client has left, or does now */
        free(sleep);
        return true;
    }
    int fd = ipc_packet_take(packet, 0);
    if (carried) {
        rest(session, sleep, fd);
    } else if ((session = take_back(server, order, fd))) {
        session->sleep = sleep;
        login_set_deadline(session);
    } else {
        lose(role, order->client.session);
        fd_discard(&fd);
        free(sleep);
    }
    if (session && role->house_stops && session->state == LOGIN_ASLEEP)
        say_farewell(session, LOGIN_END_SHUTDOWN, "shutdown");
    return true;
}

/* What never came to rest: its other end goes to the user's process. */
static bool pass_on(struct login_session *session, int fd, struct error *error)
{
    struct login_sleep *sleep = session->sleep;
    struct handoff_parcel parcel = {.tag = slice_of(sleep->record, sleep->record_octets),
                                    .client_fd = sleep->other_fd,
                                    .resumed = true,
                                    .carried = true,
                                    .left_ms = left_ms(sleep)};
    if (!handoff_send(fd, &parcel, error))
        return false;
    forget_sleep(session);
    close(fd);
    return true;
}

static bool on_awake(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct login_session *session =
        login_find_served(role->state, ipc_packet_header(packet)->request);
    if (!session || !session->sleep)
        return true; /* the client has left; closing our end tells the user's process */
    int fd = ipc_packet_take(packet, 0);
    struct error why = {0};
    bool resting = session->state == LOGIN_ASLEEP;
    if (resting ? hand_over(session, fd, &why) : pass_on(session, fd, &why))
        return true;
    fd_discard(&fd);
    LOG(log_of(session), LOG_ERROR, "not_handed_over", log_id("session", session->name),
        log_failure(&why));
    say_farewell(session, LOGIN_END_LOST, "not woken");
    return true;
}

static bool on_not_awake(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct login_session *session =
        login_find_served(role->state, ipc_packet_header(packet)->request);
    if (session && session->sleep)
        say_farewell(session, LOGIN_END_LOST, "not woken");
    return true;
}

/* ---- connections ---- */

static const struct stream_handler client_handler = {
    .on_input = on_client_input,
    .on_drained = on_client_drained,
    .on_secured = on_client_secured,
    .on_deadline = on_client_deadline,
    .on_closed = on_client_closed,
};

void login_number(struct login_session *session)
{
    struct login_server *server = session->server;
    session->number = (uint64_t)server->role->number << 32 | ++server->next_session;
    snprintf(session->name, sizeof(session->name), "%" PRIx64, session->number);
}

static void init_session(struct login_session *session, struct login_server *server,
                         struct accepted *accepted)
{
    session->server = server;
    session->freeing.run = free_session;
    session->stepping.run = run_step;
    login_number(session);
    session->listen = accepted->listen;
    session->address = accepted->client;
    session->port = accepted->client_port;
    session->share = accepted->share;
    session->login_until = turn_now_ms() + login_config(session)->timeouts.login_ms;
    struct stream_limits limits = {
        .input = INPUT_OCTETS,
        .high_water = OUTPUT_HIGH_WATER,
        .output = OUTPUT_OCTETS,
        .stalled_ms = at_most_unsigned(login_config(session)->timeouts.write_ms),
    };
    stream_init(&session->client, &server->turn, accepted->fd, &client_handler, &limits);
    session->client.owner = session;
    accepted->fd = -1;
    DL_APPEND(server->sessions, session);
    server->session_count++;
}

static struct login_session *new_session(struct login_server *server, struct accepted *accepted)
{
    struct login_session *session = calloc(1, server->protocol->session_octets);
    if (session)
        init_session(session, server, accepted);
    return session;
}

static void on_accepted(void *owner, struct accepted *accepted)
{
    struct login_server *server = owner;
    struct login_session *session = new_session(server, accepted);
    if (!session)
        return; /* the acceptor closes it */
    bool implicit = config_service_is_implicit_tls(session->listen->service);
    session->state = implicit ? LOGIN_SECURING : LOGIN_TALKING;
    session->secured = implicit; /* already for the greeting, which goes out protected */
    note_word(session);
    if (implicit)
        begin_handshake(session);
    else
        login_set_deadline(session);
    buffer_reset(&server->reply);
    server->protocol->begin(session);
    login_reply(session);
}

/* A word in the clear, if the socket takes it; a TLS client sees the connection close. */
static void on_refused(void *owner, const struct accepted *accepted,
                       enum connection_verdict verdict)
{
    struct login_server *server = owner;
    if (config_service_is_implicit_tls(accepted->listen->service))
        return;
    buffer_reset(&server->reply);
    server->protocol->turn_away(connection_verdict_limit(verdict), &server->reply);
    send(accepted->fd, server->reply.ptr, server->reply.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_silent(void *owner, struct connection_share *share, enum connection_verdict verdict)
{
    struct login_server *server = owner;
    struct login_session *session =
        (struct login_session *)(void *)((uint8_t *)share - offsetof(struct login_session, share));
    if (session->state != LOGIN_CLOSING)
        log_closed(session, connection_verdict_limit(verdict));
    if (session->state == LOGIN_TALKING) {
        buffer_reset(&server->reply);
        server->protocol->turn_away(connection_verdict_limit(verdict), &server->reply);
        login_reply(session);
    }
    stream_end_now(&session->client);
    session_end(session);
}

static const struct acceptor_handler acceptor_handler = {
    .on_accepted = on_accepted,
    .on_refused = on_refused,
    .on_silent = on_silent,
};

/* ---- the role ---- */

static bool prepare(struct role *role, struct error *error)
{
    struct login_server *server = role->state;
    server->role = role;
    if (sodium_init() < 0)
        return error_set(error, ERROR_TEMPORARY, "libsodium does not start");
    return tls_role_open(&server->tls, role, server->protocol->alpn, error);
}

static bool start(struct role *role, struct error *error)
{
    struct login_server *server = role->state;
    uint32_t processes = role->kind == ROLE_IMAP_LOGIN ? role->config.processes.imap_login
                                                       : role->config.processes.pop3_login;
    turn_init(&server->turn, role->loop);
    buffer_init(&server->reply, REPLY_OCTETS);
    return acceptor_open(&server->acceptor, role, processes, &acceptor_handler, server, error);
}

static void peer_up(struct role_peer *peer)
{
    struct login_server *server = peer->role->state;
    if (peer->kind == ROLE_KEYS)
        tls_role_keys_up(&server->tls, peer);
}

/* Every question to a dead auth is answered now. */
static void peer_down(struct role_peer *peer)
{
    struct login_server *server = peer->role->state;
    if (peer->kind == ROLE_KEYS)
        tls_role_keys_down(&server->tls, peer);
    struct login_session *session, *next;
    if (peer->kind == ROLE_AUTH)
        HASH_ITER (hh, server->asking, session, next)
            refuse(session, LOGIN_TEMPORARY);
}

static void stop(struct role *role)
{
    struct login_server *server = role->state;
    acceptor_stop(&server->acceptor);
    struct login_session *session, *next;
    DL_FOREACH_SAFE (server->sessions, session, next)
        if (login_is_talking(session) || (role->house_stops && session->state == LOGIN_ASLEEP))
            say_farewell(session, LOGIN_END_SHUTDOWN, "shutdown");
    if (server->session_count == 0)
        role_exit(role);
}

static void count(struct role *role, struct role_counts *counts)
{
    counts->sessions = ((struct login_server *)role->state)->session_count;
}

static const struct ipc_rule verdicts[] = {
    {AUTH_VERDICT, sizeof(struct auth_verdict), sizeof(struct auth_verdict), 0, on_verdict},
    {AUTH_CHALLENGE, sizeof(struct auth_challenge),
     sizeof(struct auth_challenge) + AUTH_MESSAGE_MAX, 0, on_challenge},
    {AUTH_OFFER, sizeof(struct auth_offer), sizeof(struct auth_offer), 0, on_offer},
};

static const struct role_link links[] = {
    {ROLE_AUTH, verdicts, ARRAY_LENGTH(verdicts)},
    {ROLE_KEYS, keys_client_rules, ARRAY_LENGTH(keys_client_rules)},
};

static const struct ipc_rule orders[] = {
    {ROLE_ADMITTED, sizeof(struct role_admitted), sizeof(struct role_admitted), 1, on_admitted},
    {ROLE_NOT_ADMITTED, sizeof(struct role_not_admitted), sizeof(struct role_not_admitted), 0,
     on_not_admitted},
    {ROLE_ASLEEP, sizeof(struct role_asleep) + 1, sizeof(struct role_asleep) + SLEEP_RECORD_MAX, 1,
     on_asleep},
    {ROLE_AWAKE, sizeof(struct ipc_header), sizeof(struct ipc_header), 1, on_awake},
    {ROLE_NOT_AWAKE, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, on_not_awake},
    {ROLE_RETURNED, sizeof(struct ipc_header), sizeof(struct ipc_header) + RETURNED_INPUT_MAX, 1,
     login_on_returned},
};

const struct role_spec login_role = {
    .sandbox = {.calls = SANDBOX_ACCEPT, .files = SANDBOX_NO_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .orders = orders,
    .order_count = ARRAY_LENGTH(orders),
    .prepare = prepare,
    .start = start,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .stop = stop,
    .count = count,
};
