/* Questions to auth, and its answers; see login_internal.h. */
#include "common/login/login_internal.h"

#include <uthash.h>

#include "common/login/sasl_question.h"
#include "common/size.h"
#include "common/tls/tls_certificates.h"
#include "common/tls/tls_stream.h"

/* ---- questions ---- */

struct login_session *login_find_asking(struct login_server *server, uint64_t request)
{
    struct login_session *session;
    HASH_FIND(hh, server->asking, &request, sizeof(request), session);
    return session;
}

void login_stop_asking(struct login_session *session)
{
    if (session->request == 0)
        return;
    HASH_DEL(session->server->asking, session);
    session->request = 0;
    session->exchanging = false;
}

/* The question is answered. Commands that wait are read in a turn of their own: this may have been
 * called by the one before them. */
void login_refuse(struct login_session *session, enum login_refusal refusal)
{
    login_stop_asking(session);
    login_enter(session, LOGIN_TALKING);
    login_set_deadline(session);
    buffer_reset(&session->server->reply);
    login_protocol_of(session)->refused(session, refusal);
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
        login_refuse(session, LOGIN_WRONG);
    else if (!start_asking(session) || !send_question(session, name, password))
        login_refuse(session, LOGIN_TEMPORARY);
}

void login_ask_sasl(struct login_session *session, const struct sasl *sasl)
{
    if (sasl->authorization_id.len == 0
        || slice_equal(sasl->authorization_id, sasl->authentication_id)) {
        login_ask(session, sasl->authentication_id, sasl->password);
        return;
    }
    login_enter(session, LOGIN_ASKING);
    login_refuse(session, LOGIN_WRONG);
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
        login_refuse(session, LOGIN_TEMPORARY);
}

/* ---- answers ---- */

bool login_on_challenge(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *auth = owner;
    const struct auth_challenge *challenge = packet->record;
    struct slice message = ipc_packet_tail(packet, sizeof(*challenge));
    struct login_session *session =
        login_find_asking(auth->role->state, ipc_packet_header(packet)->request);
    if (message.len != challenge->message_octets || (session && !session->exchanging))
        return error_set(error, ERROR_PEER, "a challenge that nobody waits for");
    if (!session)
        return true; /* the client has left */
    login_stop_asking(session);
    login_enter(session, LOGIN_TALKING);
    login_set_deadline(session);
    buffer_reset(&session->server->reply);
    login_protocol_of(session)->challenged(session, message);
    login_reply(session);
    turn_again(&session->server->turn, &session->stepping);
    return true;
}

bool login_on_offer(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role_peer *auth = owner;
    const struct auth_offer *offer = packet->record;
    struct login_server *server = auth->role->state;
    server->scram = offer->scram == 1;
    return true;
}

bool login_on_verdict(void *owner, struct ipc_packet *packet, struct error *error)
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
        login_find_asking(auth->role->state, ipc_packet_header(packet)->request);
    if (session) /* else the client has left */
        login_refuse(session, refusals[verdict->verdict]);
    return true;
}
