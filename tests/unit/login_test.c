/* Promises of common/login/login.h, imapd/login/login.h and pop3d/login.h: conversations with a
 * login role that is not a process of its own, auth and the master played by the test. */
#include "tests/unit/tls_material.h"

#include <fcntl.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/auth/keys_sign.h"
#include "common/disk/fd.h"
#include "common/login/login.h"
#include "common/role/handoff.h"
#include "common/size.h"
#include "imapd/login/login.h"
#include "pop3d/login.h"

static struct material material;

struct fixture {
    struct login_server server;
    struct role role;
    struct role_peer *auth;
    int auth_fd; /* the test's end */
    struct config_listen listen;
    int client; /* the test's end */
    struct buffer heard;
    struct keys_signer signer;
    SSL_CTX *tls_settings;
    SSL *tls;
    uint64_t request; /* of the last question */
};

static bool sign(void *owner, uint32_t certificate, uint16_t scheme, struct slice message,
                 uint8_t *signature, size_t *octets, struct error *error)
{
    (void)owner;
    (void)certificate;
    return keys_sign_message(material.key, scheme, message, signature, octets, error);
}

static void connect_auth(struct fixture *fixture)
{
    int pair[2];
    assert_true(ipc_pair(pair, NULL));
    fixture->auth_fd = pair[1];
    fixture->auth = calloc(1, sizeof(*fixture->auth));
    fixture->auth->prev = fixture->auth;
    fixture->auth->role = &fixture->role;
    fixture->auth->kind = ROLE_AUTH;
    ipc_open(&fixture->auth->channel, fixture->role.loop, pair[0]);
    ipc_set_rules(&fixture->auth->channel, login_role.links[0].rules, login_role.links[0].count);
    ipc_set_owner(&fixture->auth->channel, fixture->auth, NULL);
    fixture->role.peers = fixture->auth;
}

static void turns(struct fixture *fixture)
{
    for (int i = 0; i < 6; i++)
        ev_run(fixture->role.loop, EVRUN_NOWAIT);
}

/* A connection from there comes in. */
static void accept_client(struct fixture *fixture, enum config_service service, const char *from)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    fixture->client = pair[1];
    fixture->listen = (struct config_listen){.service = service};
    struct accepted accepted = {.fd = pair[0], .listen = &fixture->listen, .client_port = 4711};
    assert_true(ip_address_parse(slice_of_string(from), &accepted.client));
    assert_int_equal(
        connections_enter(&fixture->server.acceptor.connections, &accepted.client, &accepted.share),
        CONNECTION_ADMITTED);
    fixture->server.acceptor.handler->on_accepted(&fixture->server, &accepted);
    assert_int_equal(accepted.fd, -1);
    turns(fixture);
}

static void set_up(struct fixture *fixture, const struct login_protocol *protocol)
{
    struct error error = {0};
    *fixture = (struct fixture){.server = {.protocol = protocol}, .client = -1};
    struct role *role = &fixture->role;
    *role =
        (struct role){.spec = &login_role,
                      .state = &fixture->server,
                      .kind = protocol == &imap_login_protocol ? ROLE_IMAP_LOGIN : ROLE_POP3_LOGIN,
                      .number = 1,
                      .loop = ev_loop_new(EVFLAG_AUTO)};
    log_init(&role->log, -1, "login");
    role->log.threshold = LOG_ERROR + 1;
    role->config.hostname = "mail.test";
    role->config.limits = (struct config_limits){.connections = 100,
                                                 .connections_per_network = 100,
                                                 .unauthenticated_connections = 100,
                                                 .unauthenticated_per_network = 100,
                                                 .network_ipv4_bits = 24,
                                                 .network_ipv6_bits = 64,
                                                 .bad_commands = 4,
                                                 .pop3_line_octets = 512};
    role->config.timeouts =
        (struct config_timeouts){.handshake_ms = 5000, .login_ms = 5000, .write_ms = 5000};
    role->config.processes.imap_login = role->config.processes.pop3_login = 1;
    role->config.pop3.expire_ms = CONFIG_NEVER;
    assert_true(login_role.prepare(role, &error));
    assert_true(login_role.start(role, &error));
    connect_auth(fixture);
    fixture->signer = (struct keys_signer){sign, NULL};
    fixture->server.tls.context = tls_context_new(protocol->alpn, &error);
    assert_true(tls_context_add(fixture->server.tls.context, "mail.test",
                                buffer_slice(&material.pem), &fixture->signer, 0, &error));
    buffer_init(&fixture->heard, 1 << 20);
}

static void tear_down(struct fixture *fixture)
{
    if (fixture->client >= 0)
        close(fixture->client);
    for (int i = 0; i < 3; i++)
        turns(fixture);
    assert_int_equal(fixture->server.session_count, 0);
    assert_int_equal(fixture->server.acceptor.connections.count, 0);
    assert_null(fixture->server.asking);
    SSL_free(fixture->tls);
    SSL_CTX_free(fixture->tls_settings);
    tls_role_close(&fixture->server.tls);
    acceptor_clear(&fixture->server.acceptor);
    turn_clear(&fixture->server.turn);
    buffer_clear(&fixture->server.reply);
    buffer_clear(&fixture->heard);
    if (fixture->auth)
        ipc_close(&fixture->auth->channel);
    free(fixture->auth);
    fd_discard(&fixture->auth_fd);
    ev_loop_destroy(fixture->role.loop);
}

static ssize_t client_read(struct fixture *fixture, void *octets, size_t size)
{
    if (!fixture->tls)
        return read(fixture->client, octets, size);
    size_t got;
    return SSL_read_ex(fixture->tls, octets, size, &got) == 1 ? (ssize_t)got : -1;
}

static void client_write(struct fixture *fixture, struct slice octets)
{
    if (fixture->tls)
        assert_int_equal(SSL_write(fixture->tls, octets.ptr, (int)octets.len), (int)octets.len);
    else
        assert_int_equal(write(fixture->client, octets.ptr, octets.len), (ssize_t)octets.len);
}

static void hears(struct fixture *fixture, const char *expected)
{
    buffer_reset(&fixture->heard);
    for (int i = 0; i < 3; i++) {
        turns(fixture);
        ssize_t got;
        do {
            assert_true(buffer_reserve(&fixture->heard, 4096));
            got = client_read(fixture, fixture->heard.ptr + fixture->heard.len, 4096);
            buffer_commit(&fixture->heard, got > 0 ? (size_t)got : 0);
        } while (got > 0);
    }
    assert_slice_is(buffer_slice(&fixture->heard), expected);
}

static void talk(struct fixture *fixture, const char *said, const char *expected)
{
    client_write(fixture, slice_of_string(said));
    hears(fixture, expected);
}

/* The connection is ended by the server. */
static void ends(struct fixture *fixture)
{
    char octet;
    turns(fixture);
    assert_int_equal(read(fixture->client, &octet, 1), 0);
}

static void auth_is_asked(struct fixture *fixture, const char *name, const char *password)
{
    alignas(max_align_t) static uint8_t record[IPC_RECORD_MAX];
    struct ipc_packet packet;
    struct error error = {0};
    turns(fixture);
    if (!ipc_receive_blocking(fixture->auth_fd, record, 1000, &packet, &error))
        fail_msg("%s", error.text);
    const struct auth_password *question = packet.record;
    assert_int_equal(question->header.type, AUTH_PASSWORD);
    assert_int_equal(question->client.port, 4711);
    assert_slice_is(slice_of(question + 1, question->name_octets), name);
    assert_slice_is(slice_of((const uint8_t *)(question + 1) + question->name_octets,
                             question->password_octets),
                    password);
    fixture->request = question->header.request;
}

static void auth_is_not_asked(struct fixture *fixture)
{
    uint8_t octet;
    assert_int_equal(recv(fixture->auth_fd, &octet, 1, MSG_DONTWAIT | MSG_PEEK), -1);
}

static void auth_says(struct fixture *fixture, enum auth_verdict_kind verdict)
{
    struct auth_verdict record = {.header = {.type = AUTH_VERDICT, .request = fixture->request},
                                  .verdict = verdict};
    struct ipc_message message = {.head = &record.header, .head_octets = sizeof(record)};
    assert_true(ipc_send_blocking(fixture->auth_fd, &message, NULL));
}

/* The master lets in; what the user's process gets. */
static void master_admits(struct fixture *fixture, struct handoff_parcel *received, int *stream)
{
    static uint8_t octets[HANDOFF_BUFFER];
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct role_admitted record = {.header = {.type = ROLE_ADMITTED, .request = fixture->request}};
    struct ipc_packet packet = {.record = &record,
                                .length = sizeof(record),
                                .descriptors = {pair[0], -1, -1, -1},
                                .descriptor_count = 1};
    struct error error = {0};
    assert_true(login_role.orders[0].handler(&fixture->role, &packet, &error));
    assert_int_equal(packet.descriptors[0], -1);
    size_t got = 0;
    *received = (struct handoff_parcel){.client_fd = -1};
    assert_int_equal(handoff_receive(pair[1], octets, &got, received, &error), HANDOFF_DONE);
    *stream = pair[1];
}

static void secure_client(struct fixture *fixture)
{
    fixture->tls_settings = SSL_CTX_new(TLS_client_method());
    fixture->tls = SSL_new(fixture->tls_settings);
    SSL_set_fd(fixture->tls, fixture->client);
    SSL_set_connect_state(fixture->tls);
    for (int i = 0; i < 20; i++) {
        if (SSL_do_handshake(fixture->tls) == 1)
            return;
        turns(fixture);
    }
    fail_msg("no handshake");
}

#define IMAP_CAPABILITY "CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ENABLE ID SASL-IR"
#define IMAP_GREETING(more) "* OK [" IMAP_CAPABILITY more "] mail.test staffetta IMAP\r\n"
#define IMAP_OPEN IMAP_GREETING(" STARTTLS AUTH=PLAIN AUTH=LOGIN")

static void imap_without_a_login(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAP, "127.0.0.1");
    hears(&fixture, IMAP_OPEN);
    talk(&fixture, "a1 noop\r\n", "a1 OK Done\r\n");
    talk(&fixture, "a2 CAPABILITY\r\n",
         "* " IMAP_CAPABILITY " STARTTLS AUTH=PLAIN AUTH=LOGIN\r\na2 OK Done\r\n");
    talk(&fixture, "a3 ID (\"name\" \"x\" \"os\" NIL)\r\na4 ID NIL\r\n",
         "* ID (\"name\" \"staffetta\")\r\na3 OK Done\r\n"
         "* ID (\"name\" \"staffetta\")\r\na4 OK Done\r\n");
    talk(&fixture, "a5 SELECT INBOX\r\n", "a5 BAD Unknown command, or one for after LOGIN\r\n");
    talk(&fixture, "a6 LOGIN onlyone\r\n", "a6 BAD Expected a space\r\n");
    talk(&fixture, "a7 AUTHENTICATE GSSAPI\r\n", "a7 NO [CANNOT] Unknown mechanism\r\n");
    talk(&fixture, "a8 LOGOUT\r\n", "* BYE Logging out\r\na8 OK Done\r\n");
    ends(&fixture);
    tear_down(&fixture);
}

static void imap_passwords_need_tls(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAP, "192.0.2.1");
    hears(&fixture, IMAP_GREETING(" STARTTLS LOGINDISABLED"));
#define REFUSED "NO [PRIVACYREQUIRED] Passwords need TLS here: use STARTTLS, or port 993\r\n"
    talk(&fixture, "a1 LOGIN alice secret\r\n", "a1 " REFUSED);
    talk(&fixture, "a2 LOGIN {5}\r\n", "a2 " REFUSED); /* before the password comes */
    talk(&fixture, "a3 AUTHENTICATE PLAIN AGEAYg==\r\n", "a3 " REFUSED);
    auth_is_not_asked(&fixture);
    talk(&fixture, "a4 STARTTLS\r\n", "a4 OK Begin TLS\r\n");
    secure_client(&fixture);
    talk(&fixture, "a5 CAPABILITY\r\n",
         "* " IMAP_CAPABILITY " AUTH=PLAIN AUTH=LOGIN\r\na5 OK Done\r\n");
    talk(&fixture, "a6 STARTTLS\r\n",
         "a6 BAD TLS is there already\r\n* BYE Too many bad commands (limits.bad-commands)\r\n");
    tear_down(&fixture);
}

static void imap_refusals_answer_in_order(void **state)
{
    (void)state;
    static const struct {
        enum auth_verdict_kind verdict;
        const char *response;
    } cases[] = {
        {AUTH_WRONG, "NO [AUTHENTICATIONFAILED] Name or password is wrong\r\n"},
        {AUTH_THROTTLED, "NO [UNAVAILABLE] Too many failures; try again later\r\n"},
        {AUTH_EXPIRED, "NO [EXPIRED] The account or its password has expired\r\n"},
        {AUTH_TEMPORARY, "NO [UNAVAILABLE] Logging in is not possible now; try again later\r\n"},
    };
    struct fixture fixture;
    char expected[200];
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAP, "127.0.0.1");
    hears(&fixture, IMAP_OPEN);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        talk(&fixture, "a1 LOGIN alice \"se\\\"cret\"\r\na2 NOOP\r\n", "");
        auth_is_asked(&fixture, "alice", "se\"cret");
        auth_says(&fixture, cases[i].verdict);
        snprintf(expected, sizeof(expected), "a1 %sa2 OK Done\r\n", cases[i].response);
        hears(&fixture, expected);
    }
    talk(&fixture, "a3 LOGIN {5+}\r\nalice {6}\r\n", "+ Go on\r\n");
    talk(&fixture, "secret\r\n", "");
    auth_is_asked(&fixture, "alice", "secret");
    auth_says(&fixture, AUTH_WRONG);
    hears(&fixture, "a3 NO [AUTHENTICATIONFAILED] Name or password is wrong\r\n");
    talk(&fixture, "a4 LOGIN \"\" \"\"\r\n",
         "a4 NO [AUTHENTICATIONFAILED] Name or password is wrong\r\n");
    auth_is_not_asked(&fixture);
    tear_down(&fixture);
}

static void imap_authenticates(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAP, "127.0.0.1");
    hears(&fixture, IMAP_OPEN);
    talk(&fixture, "a1 AUTHENTICATE PLAIN\r\n", "+ \r\n");
    talk(&fixture, "AGFsaWNlAHNlY3JldA==\r\n", "");
    auth_is_asked(&fixture, "alice", "secret");
    auth_says(&fixture, AUTH_TEMPORARY);
    hears(&fixture, "a1 NO [UNAVAILABLE] Logging in is not possible now; try again later\r\n");
    talk(&fixture, "a2 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n", "");
    auth_is_asked(&fixture, "alice", "secret");
    auth_says(&fixture, AUTH_TEMPORARY);
    hears(&fixture, "a2 NO [UNAVAILABLE] Logging in is not possible now; try again later\r\n");
    talk(&fixture, "a3 AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n");
    talk(&fixture, "YWxpY2U=\r\n", "+ UGFzc3dvcmQ6\r\n");
    talk(&fixture, "*\r\n", "a3 BAD Cancelled\r\n");
    talk(&fixture, "a4 AUTHENTICATE PLAIN !\r\n",
         "a4 BAD That is not a response of this mechanism in base64\r\n");
    /* Acting as another is not for anybody. */
    talk(&fixture, "a5 AUTHENTICATE PLAIN Ym9iAGFsaWNlAHNlY3JldA==\r\n",
         "a5 NO [AUTHENTICATIONFAILED] Name or password is wrong\r\n");
    auth_is_not_asked(&fixture);
    tear_down(&fixture);
}

static void imap_hands_the_descriptor_over(void **state)
{
    (void)state;
    struct fixture fixture;
    struct handoff_parcel received;
    int stream;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAP, "127.0.0.1");
    hears(&fixture, IMAP_OPEN);
    talk(&fixture, "tag LOGIN alice secret\r\nb SELECT INBOX\r\nc FE", "");
    auth_is_asked(&fixture, "alice", "secret");
    master_admits(&fixture, &received, &stream);
    assert_slice_is(received.tag, "tag");
    assert_slice_is(received.input, "b SELECT INBOX\r\nc FE");
    assert_true(received.client_fd >= 0);
    turns(&fixture);
    assert_int_equal(fixture.server.session_count, 0);
    assert_int_equal(write(received.client_fd, "tag OK", 6), 6);
    hears(&fixture, "tag OK");
    char octet;
    assert_int_equal(read(stream, &octet, 1), 0);
    close(received.client_fd);
    close(stream);
    tear_down(&fixture);
}

static void tls_is_carried_until_either_ends(void **state)
{
    (void)state;
    struct fixture fixture;
    struct handoff_parcel received;
    int stream;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAPS, "192.0.2.1");
    secure_client(&fixture);
    hears(&fixture, IMAP_GREETING(" AUTH=PLAIN AUTH=LOGIN"));
    talk(&fixture, "a LOGIN alice secret\r\nb NOOP\r\n", "");
    auth_is_asked(&fixture, "alice", "secret");
    master_admits(&fixture, &received, &stream);
    assert_slice_is(received.tag, "a");
    assert_slice_is(received.input, "b NOOP\r\n");
    assert_int_equal(received.client_fd, -1);
    assert_int_equal(write(stream, "a OK\r\n", 6), 6);
    hears(&fixture, "a OK\r\n");
    talk(&fixture, "c IDLE\r\n", "");
    char got[100];
    assert_int_equal(read(stream, got, sizeof(got)), 8);
    assert_memory_equal(got, "c IDLE\r\n", 8);
    assert_int_equal(fixture.server.acceptor.connections.unauthenticated, 0);
    assert_int_equal(write(stream, "* BYE\r\n", 7), 7);
    close(stream);
    hears(&fixture, "* BYE\r\n");
    assert_int_equal(SSL_get_shutdown(fixture.tls), SSL_RECEIVED_SHUTDOWN);
    tear_down(&fixture);
}

/* A client with TLS, logged in, and the end that its user's process has. */
static int carried_client(struct fixture *fixture)
{
    struct handoff_parcel received;
    int stream;
    set_up(fixture, &imap_login_protocol);
    accept_client(fixture, CONFIG_IMAPS, "192.0.2.1");
    secure_client(fixture);
    hears(fixture, IMAP_GREETING(" AUTH=PLAIN AUTH=LOGIN"));
    talk(fixture, "a LOGIN alice secret\r\n", "");
    auth_is_asked(fixture, "alice", "secret");
    master_admits(fixture, &received, &stream);
    return stream;
}

/* ROLE_RETURNED. True: the descriptor was taken. */
static bool returns(struct fixture *fixture, uint64_t number, const char *input, int fd)
{
    struct {
        struct ipc_header header;
        char input[100];
    } record = {.header = {.type = ROLE_RETURNED, .request = number}};
    const struct ipc_rule *rule = login_role.orders;
    while (rule->type != ROLE_RETURNED)
        rule++;
    memcpy(record.input, input, strlen(input));
    struct ipc_packet packet = {.record = &record,
                                .length = sizeof(record.header) + strlen(input),
                                .descriptors = {fd, -1, -1, -1},
                                .descriptor_count = 1};
    assert_true(rule->handler(&fixture->role, &packet, NULL));
    return packet.descriptors[0] < 0;
}

/* RFC 8437 3: what the user's process had read, what lay in the socket, what came later; its own
 * words before any answer. The number of before names nothing any more. */
static void who_is_nobody_again_is_heard_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    int stream = carried_client(&fixture);
    struct login_session *session = fixture.server.sessions;
    uint64_t before = session->number;
    assert_int_equal(fixture.server.acceptor.connections.unauthenticated, 0);
    client_write(&fixture, SLICE("c NOOP\r\nd LO"));
    turns(&fixture);
    assert_int_equal(write(stream, "a OK Nobody\r\n", 13), 13);
    assert_true(returns(&fixture, before, "b NOOP\r\n", stream));
    client_write(&fixture, SLICE("GIN bob secret\r\ne NOOP\r\n"));
    hears(&fixture, "a OK Nobody\r\nb OK Done\r\nc OK Done\r\n");
    auth_is_asked(&fixture, "bob", "secret");
    assert_int_equal(fixture.server.acceptor.connections.unauthenticated, 1);
    assert_true(session->number != before);
    struct handoff_parcel received;
    master_admits(&fixture, &received, &stream);
    assert_slice_is(received.tag, "d");
    assert_slice_is(received.input, "e NOOP\r\n");
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_false(returns(&fixture, before, "x LOGOUT\r\n", pair[0]));
    assert_int_equal(write(stream, "d OK\r\n", 6), 6);
    hears(&fixture, "d OK\r\n");
    close(pair[0]);
    close(pair[1]);
    close(stream);
    tear_down(&fixture);
}

/* A captured mailbox process gives back a socket of its own, and keeps the right one: nobody is
 * asked anything, and the client waits no longer than for a login. */
static void a_wrong_way_back_leads_nowhere(void **state)
{
    (void)state;
    struct fixture fixture;
    int stream = carried_client(&fixture), pair[2];
    fixture.role.config.timeouts.login_ms = 50;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(write(pair[1], "b LOGIN mallory secret\r\n", 24), 24);
    assert_true(returns(&fixture, fixture.server.sessions->number, "", pair[0]));
    turns(&fixture);
    assert_int_equal(fixture.server.sessions->state, LOGIN_RETURNING);
    auth_is_not_asked(&fixture);
    struct timespec later = {.tv_nsec = 60000000};
    nanosleep(&later, NULL);
    hears(&fixture, "* BYE No login in time (timeouts.login)\r\n");
    close(pair[1]);
    close(stream);
    tear_down(&fixture);
}

/* What is no socket, or brings more than can have waited, ends it. */
static void a_way_back_is_a_socket(void **state)
{
    (void)state;
    struct fixture fixture;
    int stream = carried_client(&fixture);
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_true(returns(&fixture, fixture.server.sessions->number, "", fd));
    hears(&fixture, "");
    assert_int_equal(SSL_get_shutdown(fixture.tls), SSL_RECEIVED_SHUTDOWN);
    auth_is_not_asked(&fixture);
    close(stream);
    tear_down(&fixture);
}

static void an_injected_command_is_not_protected(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAP, "192.0.2.1");
    hears(&fixture, IMAP_GREETING(" STARTTLS LOGINDISABLED"));
    talk(&fixture, "a STARTTLS\r\nb NOOP\r\n", "a OK Begin TLS\r\n");
    secure_client(&fixture);
    talk(&fixture, "c NOOP\r\n", "c OK Done\r\n");
    tear_down(&fixture);
}

static void a_dead_auth_is_a_temporary_refusal(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAP, "127.0.0.1");
    hears(&fixture, IMAP_OPEN);
    talk(&fixture, "a LOGIN alice secret\r\n", "");
    fixture.role.peers = NULL;
    login_role.peer_down(fixture.auth);
    hears(&fixture, "a NO [UNAVAILABLE] Logging in is not possible now; try again later\r\n");
    talk(&fixture, "b LOGIN alice secret\r\nc LOGIN alice secret\r\n",
         "b NO [UNAVAILABLE] Logging in is not possible now; try again later\r\n"
         "c NO [UNAVAILABLE] Logging in is not possible now; try again later\r\n");
    tear_down(&fixture);
}

static void who_left_is_not_let_in(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAP, "127.0.0.1");
    hears(&fixture, IMAP_OPEN);
    talk(&fixture, "a LOGIN alice secret\r\n", "");
    auth_is_asked(&fixture, "alice", "secret");
    struct linger reset = {.l_onoff = 1};
    setsockopt(fixture.client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fixture.client);
    fixture.client = -1;
    struct role_not_admitted record = {.header = {.type = ROLE_NOT_ADMITTED, .request = 999}};
    struct ipc_packet packet = {.record = &record, .length = sizeof(record)};
    struct error error = {0};
    assert_true(login_role.orders[1].handler(&fixture.role, &packet, &error));
    auth_says(&fixture, AUTH_WRONG);
    tear_down(&fixture);
}

static void silence_ends_with_a_word(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &imap_login_protocol);
    fixture.role.config.timeouts.login_ms = 30;
    accept_client(&fixture, CONFIG_IMAP, "127.0.0.1");
    hears(&fixture, IMAP_OPEN);
    usleep(40000);
    hears(&fixture, "* BYE No login in time (timeouts.login)\r\n");
    ends(&fixture);
    tear_down(&fixture);
}

/* The acceptor found the limit reached; whom does it end for a newcomer? False: nobody. */
static bool make_room(struct fixture *fixture)
{
    struct acceptor *acceptor = &fixture->server.acceptor;
    struct ip_address newcomer;
    assert_true(ip_address_parse(SLICE("192.0.2.9"), &newcomer));
    const enum connection_verdict why = CONNECTION_TOO_MANY_UNAUTHENTICATED_OF_NETWORK;
    struct connection_share *share =
        connections_find_silent(&acceptor->connections, &newcomer, why, turn_now_ms());
    if (!share)
        return false;
    acceptor->handler->on_silent(&fixture->server, share, why);
    assert_int_equal(acceptor->connections.count, 0);
    return true;
}

static void who_is_silent_makes_room(void **state)
{
    (void)state;
    static const struct {
        const struct login_protocol *protocol;
        enum config_service service;
        const char *greeting;
        const char *word;
    } cases[] = {
        {&imap_login_protocol, CONFIG_IMAP, IMAP_GREETING(" STARTTLS LOGINDISABLED"),
         "* BYE [UNAVAILABLE] Too many connections (limits.unauthenticated-per-network)\r\n"},
        {&pop3_login_protocol, CONFIG_POP3, "+OK mail.test staffetta POP3\r\n",
         "-ERR [SYS/TEMP] Too many connections (limits.unauthenticated-per-network)\r\n"},
        {&imap_login_protocol, CONFIG_IMAPS, "", ""}, /* in the handshake: no word is possible */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct fixture fixture;
        set_up(&fixture, cases[i].protocol);
        accept_client(&fixture, cases[i].service, "192.0.2.1");
        hears(&fixture, cases[i].greeting);
        assert_true(make_room(&fixture));
        hears(&fixture, cases[i].word);
        ends(&fixture);
        tear_down(&fixture);
    }
}

static void who_waits_for_auth_may_be_silent(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAPS, "192.0.2.1");
    secure_client(&fixture);
    hears(&fixture, IMAP_GREETING(" AUTH=PLAIN AUTH=LOGIN"));
    talk(&fixture, "a LOGIN alice secret\r\n", "");
    auth_is_asked(&fixture, "alice", "secret");
    assert_false(make_room(&fixture));
    auth_says(&fixture, AUTH_WRONG);
    hears(&fixture, "a NO [AUTHENTICATIONFAILED] Name or password is wrong\r\n");
    assert_true(make_room(&fixture));
    hears(&fixture, "* BYE [UNAVAILABLE] Too many connections (limits.unauthenticated-per-network)"
                    "\r\n");
    assert_int_equal(SSL_get_shutdown(fixture.tls), SSL_RECEIVED_SHUTDOWN);
    tear_down(&fixture);
}

static void what_is_too_long_is_bounded(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &imap_login_protocol);
    accept_client(&fixture, CONFIG_IMAP, "127.0.0.1");
    hears(&fixture, IMAP_OPEN);
    client_write(&fixture, SLICE("a LOGIN {9223372036854775807}\r\n"));
    turns(&fixture);
    buffer_reset(&fixture.heard);
    buffer_reserve(&fixture.heard, 4096);
    ssize_t got = read(fixture.client, fixture.heard.ptr, 4096);
    assert_true(got > 6);
    assert_memory_equal(fixture.heard.ptr, "a BAD ", 6);
    talk(&fixture, "b NOOP\r\n", "b OK Done\r\n");
    tear_down(&fixture);
}

#define POP3_CAPABILITY                                                                            \
    "+OK Capabilities\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"            \
    "UTF8 USER\r\nLANG\r\nEXPIRE NEVER\r\nIMPLEMENTATION staffetta\r\n"

static void pop3_without_a_login(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &pop3_login_protocol);
    accept_client(&fixture, CONFIG_POP3, "127.0.0.1");
    hears(&fixture, "+OK mail.test staffetta POP3\r\n");
    talk(&fixture, "CAPA\r\n", POP3_CAPABILITY "USER\r\nSASL PLAIN LOGIN\r\nSTLS\r\n.\r\n");
    talk(&fixture, "AUTH\r\n", "+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n");
    talk(&fixture, "LANG\r\nLANG *\r\nLANG EN\r\nUTF8\r\n",
         "+OK Languages\r\nen English\r\ni-default Default\r\n.\r\n+OK i-default\r\n+OK en\r\n"
         "+OK\r\n");
    talk(&fixture, "LANG tlh\r\n", "-ERR That language is not spoken here\r\n");
    talk(&fixture, "STAT\r\n", "-ERR Log in first\r\n");
    talk(&fixture, "PASS x\r\n", "-ERR USER comes first\r\n");
    talk(&fixture, "QUIT\r\n", "+OK Bye\r\n");
    ends(&fixture);
    tear_down(&fixture);
}

static void pop3_passwords_need_tls(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &pop3_login_protocol);
    accept_client(&fixture, CONFIG_POP3, "192.0.2.1");
    hears(&fixture, "+OK mail.test staffetta POP3\r\n");
    talk(&fixture, "CAPA\r\n", POP3_CAPABILITY "STLS\r\n.\r\n");
    talk(&fixture, "USER alice\r\n", "-ERR Passwords need TLS here: use STLS, or port 995\r\n");
    talk(&fixture, "AUTH PLAIN AGEAYg==\r\n",
         "-ERR Passwords need TLS here: use STLS, or port 995\r\n");
    talk(&fixture, "UTF8\r\nSTLS\r\n", "+OK\r\n+OK Begin TLS\r\n");
    secure_client(&fixture);
    talk(&fixture, "CAPA\r\n", POP3_CAPABILITY "USER\r\nSASL PLAIN LOGIN\r\n.\r\n");
    talk(&fixture, "USER alice\r\nPASS two words\r\n", "+OK\r\n");
    auth_is_asked(&fixture, "alice", "two words");
    struct handoff_parcel received;
    int stream;
    master_admits(&fixture, &received, &stream);
    assert_int_equal(received.tag.len, 0); /* UTF8 came before TLS */
    close(stream);
    tear_down(&fixture);
}

static void pop3_logs_in(void **state)
{
    (void)state;
    struct fixture fixture;
    struct handoff_parcel received;
    int stream;
    set_up(&fixture, &pop3_login_protocol);
    accept_client(&fixture, CONFIG_POP3, "::1");
    hears(&fixture, "+OK mail.test staffetta POP3\r\n");
    talk(&fixture, "USER alice\r\nPASS wrong\r\nNOOP\r\n", "+OK\r\n");
    auth_is_asked(&fixture, "alice", "wrong");
    auth_says(&fixture, AUTH_WRONG);
    hears(&fixture, "-ERR [AUTH] Name or password is wrong\r\n-ERR Log in first\r\n");
    talk(&fixture, "PASS secret\r\n", "-ERR USER comes first\r\n");
    talk(&fixture, "AUTH PLAIN\r\n", "+ \r\n");
    talk(&fixture, "AGFsaWNlAHNlY3JldA==\r\n", "");
    auth_is_asked(&fixture, "alice", "secret");
    struct role_not_admitted record = {
        .header = {.type = ROLE_NOT_ADMITTED, .request = fixture.request},
        .reason = NOT_ADMITTED_IN_USE};
    struct ipc_packet packet = {.record = &record, .length = sizeof(record)};
    struct error error = {0};
    assert_true(login_role.orders[1].handler(&fixture.role, &packet, &error));
    hears(&fixture, "-ERR [IN-USE] Another session has the maildrop\r\n");
    talk(&fixture, "UTF8\r\nUSER alice\r\nPASS secret\r\nSTAT\r\n", "+OK\r\n+OK\r\n");
    auth_is_asked(&fixture, "alice", "secret");
    master_admits(&fixture, &received, &stream);
    assert_slice_is(received.tag, "UTF8");
    assert_slice_is(received.input, "STAT\r\n");
    assert_true(received.client_fd >= 0);
    close(received.client_fd);
    close(stream);
    tear_down(&fixture);
}

static void pop3_lines_are_strict_and_short(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &pop3_login_protocol);
    accept_client(&fixture, CONFIG_POP3, "127.0.0.1");
    hears(&fixture, "+OK mail.test staffetta POP3\r\n");
    talk(&fixture, "CAPA\n", "-ERR Lines end in CRLF; CR, LF and NUL are nowhere else\r\n");
    char line[700];
    memset(line, 'x', sizeof(line));
    memcpy(line + 600, "\r\nUTF8\r\n", 9);
    talk(&fixture, line, "-ERR Line too long (limits.pop3-line)\r\n+OK\r\n");
    talk(&fixture, "XYZZY\r\n", "-ERR Unknown command\r\n");
    talk(&fixture, "XYZZY\r\nUTF8\r\n",
         "-ERR Unknown command\r\n"
         "-ERR [SYS/PERM] Too many bad commands (limits.bad-commands)\r\n");
    ends(&fixture);
    tear_down(&fixture);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    struct error error = {0};
    if (!keys_provider_load(&error))
        return 1;
    material_make(&material, "P-256", "mail.test");
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(imap_without_a_login),
        cmocka_unit_test(imap_passwords_need_tls),
        cmocka_unit_test(imap_refusals_answer_in_order),
        cmocka_unit_test(imap_authenticates),
        cmocka_unit_test(imap_hands_the_descriptor_over),
        cmocka_unit_test(tls_is_carried_until_either_ends),
        cmocka_unit_test(who_is_nobody_again_is_heard_in_order),
        cmocka_unit_test(a_wrong_way_back_leads_nowhere),
        cmocka_unit_test(a_way_back_is_a_socket),
        cmocka_unit_test(an_injected_command_is_not_protected),
        cmocka_unit_test(a_dead_auth_is_a_temporary_refusal),
        cmocka_unit_test(who_left_is_not_let_in),
        cmocka_unit_test(silence_ends_with_a_word),
        cmocka_unit_test(who_is_silent_makes_room),
        cmocka_unit_test(who_waits_for_auth_may_be_silent),
        cmocka_unit_test(what_is_too_long_is_bounded),
        cmocka_unit_test(pop3_without_a_login),
        cmocka_unit_test(pop3_passwords_need_tls),
        cmocka_unit_test(pop3_logs_in),
        cmocka_unit_test(pop3_lines_are_strict_and_short),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    material_clear(&material);
    return failed;
}
