/*
 * A connection of a login role before login; see login.h for the states. Runs in imapd-login and
 * pop3d-login, on untrusted input. Begin at on_accepted().
 */
#include "common/login/login_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <utlist.h>

#include "common/role/handoff.h"
#include "common/tls/tls_certificates.h"
#include "common/tls/tls_stream.h"

enum {
    INPUT_OCTETS = HANDOFF_INPUT_MAX, /* unread; what is pipelined after a login goes along */
    OUTPUT_HIGH_WATER = 16384,
    OUTPUT_OCTETS = 65536,
    LINGER_MS = 2000,
    ASK_TIMEOUT_MS = 90000, /* auth answers within 60 s, or never */
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

/* A client may be silent while it waits for auth's answer. */
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

void login_tell_master(struct login_session *session, uint16_t type)
{
    struct ipc_header record = {.type = type, .request = session->number};
    role_tell_master(session->server->role, &record, sizeof(record), slice_of(NULL, 0));
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
        login_tell_master(session, MASTER_GONE);
    login_forget_sleep(session);
}

void login_drop(struct login_session *session)
{
    login_stop_asking(session);
    stop_serving(session);
    login_protocol_of(session)->forget(session);
    turn_cancel(&session->stepping);
    stream_clear(&session->client);
    stream_clear(&session->user);
    connections_leave(&session->server->acceptor.connections, &session->share);
    turn_defer(&session->server->turn, &session->freeing);
}

static void log_closed(const struct login_session *session, const char *reason)
{
    char client[IP_ADDRESS_TEXT_SIZE];
    LOG(login_log(session), LOG_INFO, "closed", log_id("session", session->name),
        log_text("client", ip_address_format(&session->address, client)),
        log_text("reason", reason), log_number("octets_in", (int64_t)session->client.octets_in),
        log_number("octets_out", (int64_t)session->client.octets_out));
}

void login_close(struct login_session *session, const char *reason)
{
    if (session->state == LOGIN_CLOSING)
        return;
    log_closed(session, reason);
    login_stop_asking(session);
    stop_serving(session);
    login_protocol_of(session)->forget(session);
    login_enter(session, LOGIN_CLOSING);
    stream_finish(&session->client, LINGER_MS);
}

void login_say_farewell(struct login_session *session, enum login_end end, const char *reason)
{
    buffer_reset(&session->server->reply);
    login_protocol_of(session)->farewell(session, end);
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
    login_say_farewell(session, LOGIN_END_BAD_COMMANDS, "limits.bad-commands");
    return false;
}

/* ---- waiting ---- */

static unsigned at_most_unsigned(uint64_t milliseconds)
{
    return milliseconds < UINT32_MAX ? (unsigned)milliseconds : UINT32_MAX;
}

unsigned login_milliseconds_until(uint64_t until)
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
        timeout_ms = login_milliseconds_until(session->login_until);
    else if (session->state == LOGIN_ASKING)
        timeout_ms = ASK_TIMEOUT_MS;
    else if (session->state == LOGIN_ASLEEP && session->sleep->waking)
        timeout_ms = ASK_TIMEOUT_MS;
    else if (session->state == LOGIN_ASLEEP)
        timeout_ms = login_milliseconds_until(session->sleep->left_until);
    stream_set_deadline_ms(&session->client, timeout_ms);
}

static void on_client_deadline(struct stream *stream)
{
    struct login_session *session = stream->owner;
    if (session->state == LOGIN_ASKING) {
        login_refuse(session, LOGIN_TEMPORARY);
    } else if (session->state == LOGIN_SECURING) {
        log_closed(session, "timeouts.handshake");
        login_drop(session);
    } else if (session->state == LOGIN_TALKING || session->state == LOGIN_RETURNING) {
        login_say_farewell(session, LOGIN_END_TIMEOUT, "timeouts.login");
    } else if (session->state == LOGIN_ASLEEP) {
        if (session->sleep->waking)
            login_say_farewell(session, LOGIN_END_LOST, "not woken");
        else
            login_say_farewell(session, LOGIN_END_SILENT, "timeouts.imap");
    }
}

/* ---- talking ---- */

static void session_step(struct login_session *session)
{
    if (login_is_talking(session) && session->server->role->stopping)
        login_say_farewell(session, LOGIN_END_SHUTDOWN, "shutdown");
    if (login_is_talking(session))
        login_protocol_of(session)->step(session);
    if (login_is_talking(session) && stream_at_end(&session->client)
        && !stream_output_full(&session->client))
        login_close(session, "client");
}

static void run_step(struct deferred *deferred)
{
    session_step((struct login_session *)(void *)((uint8_t *)deferred
                                                  - offsetof(struct login_session, stepping)));
}

static void on_client_input(struct stream *stream)
{
    struct login_session *session = stream->owner;
    if (session->state == LOGIN_ASLEEP) {
        login_on_input_asleep(session);
        return;
    }
    if (session->state == LOGIN_CARRYING) { /* its end; the user's process may still have words */
        stream_end_output(&session->user);
        return;
    }
    if (session->state == LOGIN_RETURNING) /* it is read after what comes back */
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
    login_drop(session);
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
        LOG(login_log(session), LOG_WARNING, "starttls_injection", log_id("session", session->name),
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
    LOG(login_log(session), LOG_INFO, "tls", log_id("session", session->name),
        log_text("version", facts.version), log_text("cipher", facts.suite));
    session->secured = true;
    login_enter(session, LOGIN_TALKING);
    login_set_deadline(session);
    if (!config_service_is_implicit_tls(session->listen->service))
        login_protocol_of(session)->secured(session);
    session_step(session);
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

struct login_session *login_new_session(struct login_server *server, struct accepted *accepted)
{
    struct login_session *session = calloc(1, server->protocol->session_octets);
    if (session)
        init_session(session, server, accepted);
    return session;
}

static void on_accepted(void *owner, struct accepted *accepted)
{
    struct login_server *server = owner;
    struct login_session *session = login_new_session(server, accepted);
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
    login_drop(session);
}

const struct acceptor_handler login_acceptor_handler = {
    .on_accepted = on_accepted,
    .on_refused = on_refused,
    .on_silent = on_silent,
};
