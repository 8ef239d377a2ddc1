/*
 * AUTH of a submission session (RFC 4954): the exchange of common/login/sasl.h, the question to
 * auth, its verdict. A password lives from the client's line to the end of session_ask(), and is in
 * no log.
 */
#include <stdlib.h>

#include "common/auth/auth_protocol.h"
#include "common/login/sasl_question.h"
#include "common/size.h"
#include "common/tls/tls_certificates.h"
#include "common/tls/tls_stream.h"
#include "smtpd/session/session_internal.h"

bool session_may_send_password(const struct session *session)
{
    if (session->secured)
        return true;
    return session_config(session)->plaintext_passwords == CONFIG_PLAINTEXT_LOOPBACK
           && ip_address_is_loopback(&session->client);
}

unsigned session_mechanisms(const struct session *session)
{
    return sasl_offer((session->server->scram ? SASL_HAS_SCRAM : 0)
                      | (session->secured ? SASL_HAS_TLS : 0)
                      | (config_takes_tokens(session_config(session)) ? SASL_HAS_TOKENS : 0)
                      | (tls_has_client_certificate(tls_stream_connection(&session->stream))
                             ? SASL_HAS_CERTIFICATE
                             : 0));
}

void session_forget_sasl(struct session *session)
{
    if (session->sasl)
        sasl_clear(session->sasl);
    free(session->sasl);
    session->sasl = NULL;
}

/* The exchange is over; the client may do something else. */
static void end_exchange(struct session *session, struct smtp_reply reply)
{
    session_forget_sasl(session);
    session_enter(session, SESSION_READY);
    if (reply.code >= 400)
        session_refuse(session, reply);
    else
        session_reply(session, reply);
}

static struct smtp_reply wrong_password(void)
{
    return SMTP_REPLY(535, "5.7.8", "User name or password is wrong");
}

static struct master_client describe_client(const struct session *session)
{
    return (struct master_client){.session = session->number,
                                  .address = session->client,
                                  .flags = session->secured ? SESSION_TLS : 0,
                                  .port = session->client_port};
}

static void ask_for_verdict(struct session *session)
{
    const struct sasl *sasl = session->sasl;
    struct auth_password question = {
        .header = {.type = AUTH_PASSWORD},
        .client = describe_client(session),
        .service = session->service,
        .name_octets = (uint32_t)sasl->authentication_id.len,
        .password_octets = (uint32_t)sasl->password.len,
    };
    const struct slice tail[] = {sasl->authentication_id, sasl->password};
    bool asked = session_ask(session, &(struct session_question){.wait = SESSION_WAIT_PASSWORD,
                                                                 .peer = ROLE_AUTH,
                                                                 .head = &question.header,
                                                                 .head_octets = sizeof(question),
                                                                 .tail = tail,
                                                                 .tail_count = 2});
    session_forget_sasl(session);
    if (!asked)
        session_lose_password(session);
}

/* A message of a mechanism that auth speaks. */
static void ask_for_answer(struct session *session)
{
    struct auth_sasl question = {.client = describe_client(session), .service = session->service};
    const struct ssl_st *ssl = tls_stream_connection(&session->stream);
    struct buffer certificates = BUFFER_WITH_LIMIT(TLS_CERTIFICATES_MAX);
    struct sasl_connection connection;
    struct slice tail[SASL_QUESTION_TAIL];
    tls_bindings_of_server(ssl, &connection.bindings);
    if (session->sasl->mechanism == SASL_EXTERNAL)
        tls_append_client_certificates(ssl, &certificates);
    connection.certificates = buffer_slice(&certificates);
    sasl_fill_question(session->sasl, &connection, &question, tail);
    if (certificates.failed
        || !session_ask(session, &(struct session_question){.wait = SESSION_WAIT_PASSWORD,
                                                            .peer = ROLE_AUTH,
                                                            .head = &question.header,
                                                            .head_octets = sizeof(question),
                                                            .tail = tail,
                                                            .tail_count = ARRAY_LENGTH(tail)}))
        session_lose_password(session);
    buffer_clear(&certificates);
}

/* Acting for somebody else (RFC 4616 2) is for nobody here. */
static bool acts_for_himself(const struct sasl *sasl)
{
    return sasl->authorization_id.len == 0
           || slice_equal(sasl->authorization_id, sasl->authentication_id);
}

static void follow(struct session *session, enum sasl_result result, struct slice challenge)
{
    switch (result) {
    case SASL_CONTINUE:
        session_reply(session, (struct smtp_reply){334, SLICE(""), challenge});
        break;
    case SASL_CANCELLED:
        end_exchange(session, SMTP_REPLY(501, "5.7.0", "Authentication cancelled"));
        break;
    case SASL_MALFORMED:
        end_exchange(session, SMTP_REPLY(501, "5.5.2", "Not what this mechanism wants in base64"));
        break;
    case SASL_ASK:
        ask_for_answer(session);
        break;
    case SASL_DONE:
        if (acts_for_himself(session->sasl))
            ask_for_verdict(session);
        else
            end_exchange(session, wrong_password());
        break;
    }
}

/* Why AUTH is not possible now; code 0: it is. */
static struct smtp_reply find_obstacle(const struct session *session)
{
    if (!session_is_submission(session))
        return SMTP_REPLY(502, "5.5.1", "Passwords are for ports 587 and 465");
    if (session->account.len > 0)
        return SMTP_REPLY(503, "5.5.1", "Already authenticated");
    if (!session_may_send_password(session))
        return SMTP_REPLY(538, "5.7.11", "Encryption required: say STARTTLS first");
    return (struct smtp_reply){.code = 0};
}

void session_on_auth(struct session *session, struct smtp_command *command)
{
    enum sasl_mechanism mechanism;
    struct smtp_reply obstacle = find_obstacle(session);
    if (obstacle.code == 0
        && !sasl_find_mechanism(command->auth.mechanism, session_mechanisms(session), &mechanism))
        obstacle = SMTP_REPLY(504, "5.5.4", "Mechanisms are those that EHLO names");
    if (obstacle.code != 0) {
        session_refuse(session, obstacle);
        return;
    }
    session->sasl = calloc(1, sizeof(*session->sasl));
    if (!session->sasl) {
        session_reply(session, SMTP_REPLY(454, "4.7.0", "Out of memory; please try again"));
        return;
    }
    session_enter(session, SESSION_AUTH);
    const struct slice *initial = command->auth.initial.ptr ? &command->auth.initial : NULL;
    struct slice challenge;
    enum sasl_result result = sasl_start(session->sasl, mechanism, initial, &challenge);
    follow(session, result, challenge);
}

void session_take_sasl_line(struct session *session, struct slice line)
{
    struct slice challenge;
    enum sasl_result result = sasl_respond(session->sasl, line, &challenge);
    follow(session, result, challenge);
}

static void grant(struct session *session, struct slice account, const struct token *token)
{
    buffer_reset(&session->account);
    buffer_append(&session->account, account);
    if (session->account.failed || account.len == 0) {
        buffer_reset(&session->account);
        session_lose_password(session);
        return;
    }
    session->token = *token;
    connections_authenticate(&session->server->acceptor.connections, &session->share);
    LOG(session_log(session), LOG_INFO, "authenticated", log_id("session", session->name),
        log_bytes("account", account), log_text("client", session->client_text));
    end_exchange(session, SMTP_REPLY(235, "2.7.0", "Welcome"));
}

void session_on_challenge(struct session *session, struct slice message)
{
    struct buffer text = BUFFER_WITH_LIMIT(BASE64_LENGTH(AUTH_MESSAGE_MAX));
    base64_encode(message, &text);
    if (session->sasl && !text.failed)
        session_reply(session, (struct smtp_reply){334, SLICE(""), buffer_slice(&text)});
    else
        session_lose_password(session);
    buffer_clear(&text);
}

void session_on_verdict(struct session *session, uint32_t verdict, struct slice account,
                        const struct token *token)
{
    switch (verdict) {
    case AUTH_GRANTED:
        grant(session, account, token);
        break;
    case AUTH_WRONG:
        end_exchange(session, wrong_password());
        break;
    case AUTH_EXPIRED:
        end_exchange(session, SMTP_REPLY(535, "5.7.13", "The account or its password has expired"));
        break;
    case AUTH_THROTTLED:
        end_exchange(session, SMTP_REPLY(454, "4.7.0",
                                         "Too many failures (throttle.pause-after); wait a while"));
        break;
    case AUTH_MALFORMED:
        end_exchange(session, SMTP_REPLY(501, "5.5.2", "Not a message of this mechanism"));
        break;
    default:
        session_lose_password(session);
    }
}

void session_lose_password(struct session *session)
{
    end_exchange(session, SMTP_REPLY(454, "4.7.0", "Passwords cannot be checked now; try later"));
}
