/*
 * Promises of the smtpd-session role, as conversations: the role itself, a client on a socket, and
 * between them an auth, a filter and a queue that are a few lines each.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "common/auth/auth_protocol.h"
#include "common/fd.h"
#include "common/size.h"
#include "smtpd/filter/filter_protocol.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/session_internal.h"

/* --- The house -------------------------------------------------------------------------------- */

enum { PEERS = 3, PREFIX_OCTETS = 12 };

struct house {
    struct ev_loop *loop;
    struct role role;
    struct smtp_server server;
    struct ipc_channel others[PEERS]; /* the far ends: auth, filter, queue */
    uint16_t port;

    /* What queue got last. */
    unsigned committed;
    struct queue_submit submit;
    struct buffer reverse_path;
    struct buffer recipients; /* "account address orcpt notify;" each */
    struct buffer body;
    int spool_fd; /* what it lent, to read */
    unsigned spooled;
    unsigned forgotten;
    /* What filter got last. */
    struct filter_message question;
    struct buffer question_texts;

    /* What they are to do. */
    bool filter_refuses;
    bool filter_is_silent;
    bool queue_refuses;
    bool queue_is_silent;
    bool no_spool;
};

static void answer(struct ipc_channel *channel, struct ipc_header *head, size_t octets,
                   const struct ipc_packet *packet, struct slice tail)
{
    head->request = ipc_packet_header(packet)->request;
    assert_true(ipc_send_record(channel, head, octets, tail, NULL));
}

static bool auth_on_recipient(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct house *house = owner;
    static const struct {
        struct slice address;
        uint32_t verdict;
        uint32_t accounts;
        struct slice list;
    } people[] = {
        {SLICE("alice@demo.test"), AUTH_RECIPIENT_ACCOUNTS, 1, SLICE("\x0f\0alice@demo.test")},
        {SLICE("bob@demo.test"), AUTH_RECIPIENT_ACCOUNTS, 1, SLICE("\x0d\0bob@demo.test")},
        {SLICE("both@demo.test"), AUTH_RECIPIENT_ACCOUNTS, 2,
         SLICE("\x0f\0alice@demo.test\x0d\0bob@demo.test")},
        {SLICE("postmaster"), AUTH_RECIPIENT_ACCOUNTS, 1, SLICE("\x0f\0alice@demo.test")},
        {SLICE("full@demo.test"), AUTH_RECIPIENT_FULL, 0, SLICE("")},
        {SLICE("loop@demo.test"), AUTH_RECIPIENT_LOOP, 0, SLICE("")},
        {SLICE("x@away.example"), AUTH_RECIPIENT_FOREIGN, 0, SLICE("")},
        {SLICE("away@demo.test"), AUTH_RECIPIENT_FOREIGN_ALIAS, 0, SLICE("")},
    };
    const struct auth_recipient *question = packet->record;
    struct slice address = ipc_packet_tail(packet, sizeof(*question));
    assert_int_equal(address.len, question->address_octets);
    struct auth_recipient_answer record = {.header = {.type = AUTH_RECIPIENT_ANSWER},
                                           .verdict = AUTH_RECIPIENT_UNKNOWN};
    struct slice list = SLICE("");
    for (size_t i = 0; i < ARRAY_LENGTH(people); i++) {
        if (!slice_equal(address, people[i].address))
            continue;
        record.verdict = people[i].verdict;
        record.accounts = people[i].accounts;
        list = people[i].list;
    }
    answer(&house->others[0], &record.header, sizeof(record), packet, list);
    return true;
}

static bool auth_on_sender(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct house *house = owner;
    const struct auth_sender *question = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*question));
    struct slice address = slice_from(tail, question->account_octets);
    struct auth_sender_answer record = {.header = {.type = AUTH_SENDER_ANSWER},
                                        .allowed = slice_equal(address, SLICE("alice@demo.test"))};
    assert_int_equal(question->token.session, 77);
    answer(&house->others[0], &record.header, sizeof(record), packet, SLICE(""));
    return true;
}

static bool auth_on_password(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct house *house = owner;
    const struct auth_password *question = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*question));
    bool right = slice_equal(tail, SLICE("alicesecret"));
    struct auth_verdict record = {.header = {.type = AUTH_VERDICT},
                                  .verdict = right ? AUTH_GRANTED : AUTH_WRONG,
                                  .account_octets = right ? 15 : 0,
                                  .token = {.session = 77}};
    answer(&house->others[0], &record.header, sizeof(record), packet,
           right ? SLICE("alice@demo.test") : SLICE(""));
    return true;
}

static const struct ipc_rule auth_rules[] = {
    {AUTH_RECIPIENT, sizeof(struct auth_recipient), 1024, 0, auth_on_recipient},
    {AUTH_SENDER, sizeof(struct auth_sender), 2048, 0, auth_on_sender},
    {AUTH_PASSWORD, sizeof(struct auth_password), 2048, 0, auth_on_password},
};

/* From is whatever stands behind "From: " in the first line. */
static bool filter_answer(struct house *house, struct ipc_packet *packet, struct slice body)
{
    if (house->filter_is_silent)
        return true;
    if (house->filter_refuses) {
        struct slice words = SLICE("5.6.0 Two From fields");
        struct filter_refused record = {
            .header = {.type = FILTER_REFUSED}, .code = 550, .text_octets = (uint16_t)words.len};
        answer(&house->others[1], &record.header, sizeof(record), packet, words);
        return true;
    }
    struct buffer tail = BUFFER_WITH_LIMIT(1000);
    struct filter_recipe record = {.header = {.type = FILTER_RECIPE},
                                   .prefix_octets = PREFIX_OCTETS};
    buffer_append(&tail, SLICE("Received: x\n"));
    if (slice_starts_with(body, SLICE("From: "))) {
        struct slice from = slice_range(body, 6, slice_find_octet(body, '\r'));
        uint16_t length = (uint16_t)from.len;
        record.from_count = 1;
        buffer_append(&tail, slice_of(&length, sizeof(length)));
        buffer_append(&tail, from);
    }
    answer(&house->others[1], &record.header, sizeof(record), packet, buffer_slice(&tail));
    buffer_clear(&tail);
    return true;
}

static bool filter_on_message(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct house *house = owner;
    house->question = *(const struct filter_message *)packet->record;
    const struct filter_message *question = &house->question;
    struct slice tail = ipc_packet_tail(packet, sizeof(*question));
    size_t texts = (size_t)question->helo_octets + question->client_octets + question->tls_octets
                   + question->id_octets + question->account_octets + question->recipient_octets;
    buffer_reset(&house->question_texts);
    buffer_append(&house->question_texts, slice_range(tail, 0, texts));
    if (packet->descriptor_count == 0)
        assert_int_equal(tail.len, texts + question->body_octets);
    return filter_answer(house, packet, slice_from(tail, texts));
}

static const struct ipc_rule filter_rules[] = {
    {FILTER_MESSAGE, sizeof(struct filter_message), IPC_RECORD_MAX, 0, filter_on_message},
    {FILTER_MESSAGE_FILE, sizeof(struct filter_message), IPC_RECORD_MAX, 1, filter_on_message},
};

static bool queue_on_recipient(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct house *house = owner;
    const struct queue_recipient *record = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*record));
    size_t address_end = (size_t)record->account_octets + record->address_octets;
    assert_int_equal(tail.len, address_end + record->orcpt_octets);
    buffer_append(&house->recipients, slice_range(tail, 0, record->account_octets));
    buffer_append_octet(&house->recipients, ' ');
    buffer_append(&house->recipients, slice_range(tail, record->account_octets, address_end));
    buffer_append_octet(&house->recipients, ' ');
    buffer_append(&house->recipients, slice_from(tail, address_end));
    buffer_append_format(&house->recipients, " %u;", record->notify);
    return true;
}

/* A lease is what proves that nobody can write to the file any more. */
static void read_spool(struct house *house)
{
    uint8_t octets[4096];
    size_t got = sizeof(octets);
    for (uint64_t at = 0; got == sizeof(octets); at += got) {
        assert_true(fd_pread_full(house->spool_fd, octets, sizeof(octets), at, &got, NULL));
        buffer_append(&house->body, slice_of(octets, got));
    }
    fd_discard(&house->spool_fd);
}

static bool queue_on_submit(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct house *house = owner;
    house->submit = *(const struct queue_submit *)packet->record;
    const struct queue_submit *submit = &house->submit;
    struct slice tail = ipc_packet_tail(packet, sizeof(*submit));
    buffer_reset(&house->reverse_path);
    buffer_append(&house->reverse_path, slice_range(tail, 0, submit->reverse_path_octets));
    size_t before = (size_t)submit->reverse_path_octets + submit->envid_octets
                    + submit->account_octets + submit->prefix_octets
                    + submit->cuts * sizeof(struct filter_cut);
    buffer_reset(&house->body);
    buffer_append(&house->body, slice_from(tail, before));
    if ((submit->flags & QUEUE_IN_SPOOL) != 0)
        read_spool(house);
    assert_int_equal(house->body.len, submit->body_octets);
    if (house->queue_is_silent)
        return true;
    if (house->queue_refuses) {
        struct queue_refused record = {
            .header = {.type = QUEUE_REFUSED}, .code = 451, .text_octets = 10};
        answer(&house->others[2], &record.header, sizeof(record), packet, SLICE("4.3.1 full"));
        return true;
    }
    house->committed++;
    struct ipc_header record = {.type = QUEUE_COMMITTED};
    answer(&house->others[2], &record, sizeof(record), packet, SLICE(""));
    return true;
}

static bool queue_on_spool(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct house *house = owner;
    if (house->no_spool) {
        struct queue_refused record = {
            .header = {.type = QUEUE_REFUSED}, .code = 452, .text_octets = 10};
        answer(&house->others[2], &record.header, sizeof(record), packet, SLICE("4.3.1 full"));
        return true;
    }
    fd_discard(&house->spool_fd);
    int fd = memfd_create("spool", MFD_CLOEXEC);
    house->spool_fd = dup(fd);
    int read_fd = dup(fd);
    const int descriptors[] = {fd, read_fd};
    struct ipc_header record = {.type = QUEUE_SPOOLED,
                                .request = ipc_packet_header(packet)->request};
    const struct ipc_message message = {.head = &record,
                                        .head_octets = sizeof(record),
                                        .descriptors = descriptors,
                                        .descriptor_count = 2};
    assert_true(ipc_send(&house->others[2], &message, NULL));
    fd_discard(&fd);
    fd_discard(&read_fd);
    house->spooled++;
    return true;
}

static bool queue_on_forget(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)packet;
    (void)error;
    struct house *house = owner;
    house->forgotten++;
    return true;
}

static bool queue_on_more_ids(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct house *house = owner;
    struct queue_ids record = {.header = {.type = QUEUE_IDS}, .first = 5000, .count = 256};
    answer(&house->others[2], &record.header, sizeof(record), packet, SLICE(""));
    return true;
}

static const struct ipc_rule queue_rules[] = {
    {QUEUE_RECIPIENT, sizeof(struct queue_recipient), 4096, 0, queue_on_recipient},
    {QUEUE_SUBMIT, sizeof(struct queue_submit), IPC_RECORD_MAX, 0, queue_on_submit},
    {QUEUE_SPOOL, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, queue_on_spool},
    {QUEUE_FORGET, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, queue_on_forget},
    {QUEUE_MORE_IDS, sizeof(struct queue_more_ids), sizeof(struct queue_more_ids), 0,
     queue_on_more_ids},
};

static void on_role_peer_closed(void *owner, struct ipc_channel *channel, const struct error *error)
{
    (void)channel;
    struct role_peer *peer = owner;
    struct role *role = peer->role;
    if (error->kind == ERROR_PEER)
        fail_msg("peer %s: %s", role_kind_name(peer->kind), error->text);
    DL_DELETE(role->peers, peer);
    role->spec->peer_down(peer);
    free(peer);
}

static void on_other_closed(void *owner, struct ipc_channel *channel, const struct error *error)
{
    (void)owner;
    (void)channel;
    if (error->kind == ERROR_PEER)
        fail_msg("the session sent: %s", error->text);
}

static const struct {
    enum role_kind kind;
    const struct ipc_rule *rules;
    size_t count;
} others[PEERS] = {
    {ROLE_AUTH, auth_rules, ARRAY_LENGTH(auth_rules)},
    {ROLE_FILTER, filter_rules, ARRAY_LENGTH(filter_rules)},
    {ROLE_QUEUE, queue_rules, ARRAY_LENGTH(queue_rules)},
};

static void connect_peer(struct house *house, size_t place)
{
    int pair[2];
    assert_true(ipc_pair(pair, NULL));
    struct role_peer *peer = calloc(1, sizeof(*peer));
    peer->role = &house->role;
    peer->kind = others[place].kind;
    ipc_open(&peer->channel, house->loop, pair[0]);
    ipc_set_owner(&peer->channel, peer, on_role_peer_closed);
    for (size_t i = 0; i < smtp_session_role.link_count; i++)
        if (smtp_session_role.links[i].kind == peer->kind)
            ipc_set_rules(&peer->channel, smtp_session_role.links[i].rules,
                          smtp_session_role.links[i].count);
    DL_APPEND(house->role.peers, peer);
    ipc_open(&house->others[place], house->loop, pair[1]);
    ipc_set_rules(&house->others[place], others[place].rules, others[place].count);
    ipc_set_owner(&house->others[place], house, on_other_closed);
    house->role.spec->peer_up(peer);
    if (peer->kind != ROLE_QUEUE)
        return;
    struct queue_ids record = {.header = {.type = QUEUE_IDS}, .first = 1000, .count = 3};
    assert_true(
        ipc_send_record(&house->others[place], &record.header, sizeof(record), SLICE(""), NULL));
}

static int listen_on_loopback(uint16_t *port)
{
    struct ip_address address;
    struct sockaddr_storage name;
    assert_true(ip_address_parse(SLICE("127.0.0.1"), &address));
    socklen_t length = ip_address_to_sockaddr(&address, 0, &name);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, length), 0);
    assert_int_equal(listen(fd, 10), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    ip_address_from_sockaddr((struct sockaddr *)&name, &address, port);
    return fd;
}

static const char config_text[] =
    "hostname = mail.demo.test\n"
    "state = /nonexistent\n"
    "domain demo.test { }\n"
    "accounts { source = pam }\n"
    "listen %s { port = 2500 addresses = { 127.0.0.1 } }\n"
    "limits { bad-commands = 6 message-size = 200K text-line = 2000\n"
    "         messages = 4 recipients = 100 command-line = 1K header-size = 100K }\n";

static struct house *open_house(const char *service, enum role_kind kind)
{
    struct house *house = calloc(1, sizeof(*house));
    house->loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
    house->spool_fd = -1;
    buffer_init(&house->reverse_path, 1000);
    buffer_init(&house->recipients, 100000);
    buffer_init(&house->body, 1 << 20);
    buffer_init(&house->question_texts, 4096);
    house->role = (struct role){.spec = &smtp_session_role,
                                .state = &house->server,
                                .loop = house->loop,
                                .kind = kind,
                                .number = 1,
                                .root_fd = -1,
                                .log = {.fd = -1, .role = "test", .threshold = LOG_ERROR + 1}};
    struct buffer text = BUFFER_WITH_LIMIT(4096);
    buffer_append_format(&text, config_text, service);
    struct config_mistakes mistakes = {.count = 0};
    if (!config_parse(buffer_slice(&text), &house->role.config, &mistakes))
        fail_msg("%s", mistakes.items[0].text);
    config_mistakes_clear(&mistakes);
    buffer_clear(&text);
    house->role.files[house->role.file_count++] = (struct role_file){
        .purpose = DESCRIPTOR_LISTENER, .index = 0, .fd = listen_on_loopback(&house->port)};
    struct error error = {.kind = ERROR_NONE};
    if (!smtp_session_role.prepare(&house->role, &error)
        || !smtp_session_role.start(&house->role, &error))
        fail_msg("%s", error.text);
    for (size_t i = 0; i < PEERS; i++)
        connect_peer(house, i);
    return house;
}

static void turn_once(struct house *house)
{
    ev_run(house->loop, EVRUN_NOWAIT);
}

static void close_house(struct house *house)
{
    for (int i = 0; i < 10; i++)
        turn_once(house);
    assert_int_equal(house->server.session_count, 0);
    for (size_t i = 0; i < PEERS; i++)
        ipc_close(&house->others[i]);
    for (int i = 0; i < 3; i++)
        turn_once(house);
    acceptor_clear(&house->server.acceptor);
    turn_clear(&house->server.turn);
    buffer_clear(&house->server.reply);
    free(house->server.sessions);
    free(house->server.free_slots);
    config_clear(&house->role.config);
    fd_discard(&house->spool_fd);
    buffer_clear(&house->reverse_path);
    buffer_clear(&house->recipients);
    buffer_clear(&house->body);
    buffer_clear(&house->question_texts);
    ev_loop_destroy(house->loop);
    free(house);
}

/* --- The client ------------------------------------------------------------------------------- */

static int connect_client(const struct house *house)
{
    struct ip_address address;
    struct sockaddr_storage name;
    assert_true(ip_address_parse(SLICE("127.0.0.1"), &address));
    socklen_t length = ip_address_to_sockaddr(&address, house->port, &name);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(connect(fd, (struct sockaddr *)&name, length) == 0 || errno == EINPROGRESS);
    return fd;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Appends what comes; false: the connection has ended. */
static bool client_read(int fd, struct buffer *got)
{
    uint8_t octets[4096];
    ssize_t count = recv(fd, octets, sizeof(octets), 0);
    if (count > 0)
        buffer_append(got, slice_of(octets, (size_t)count));
    return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

static void client_send(struct house *house, int fd, struct slice octets)
{
    double until = now() + 5.0;
    while (octets.len > 0) {
        ssize_t sent = send(fd, octets.ptr, octets.len, MSG_NOSIGNAL);
        if (sent > 0)
            octets = slice_from(octets, (size_t)sent);
        turn_once(house);
        if (now() > until)
            fail_msg("the server takes no more");
    }
}

static bool matches(struct slice line, const char *pattern)
{
    struct slice wanted = slice_of_string(pattern);
    if (slice_ends_with(wanted, SLICE("*")))
        return slice_starts_with(line, slice_range(wanted, 0, wanted.len - 1));
    return slice_equal(line, wanted);
}

/* The next line must be like the pattern, "*" at its end for anything; "" is the end of the
 * connection. */
static void expect(struct house *house, int fd, struct buffer *got, const char *pattern)
{
    double until = now() + 5.0;
    bool alive = true;
    size_t end;
    while ((end = slice_find(buffer_slice(got), SLICE("\r\n"))) == got->len && alive) {
        turn_once(house);
        alive = client_read(fd, got);
        if (now() > until)
            fail_msg("no line like \"%s\"", pattern);
    }
    struct slice line = slice_range(buffer_slice(got), 0, end);
    if (pattern[0] == '\0' ? alive || got->len > 0 : !matches(line, pattern))
        fail_msg("got \"%.*s\", not \"%s\"", SLICE_PRINTF(line), pattern);
    buffer_consume(got, end < got->len ? end + 2 : end);
}

struct line {
    const char *client; /* sent with CRLF; NULL: */
    const char *server; /* expected */
};

/* "C" lines and "S" lines in turn; ends the connection. */
static void talk_on(struct house *house, int fd, const struct line *lines, size_t count)
{
    struct buffer got = BUFFER_WITH_LIMIT(100000);
    for (size_t i = 0; i < count; i++) {
        if (lines[i].client) {
            client_send(house, fd, slice_of_string(lines[i].client));
            client_send(house, fd, SLICE("\r\n"));
        } else {
            expect(house, fd, &got, lines[i].server);
        }
    }
    assert_int_equal(got.len, 0);
    buffer_clear(&got);
    fd_discard(&fd);
    for (int i = 0; i < 5; i++)
        turn_once(house);
}

static void talk(struct house *house, const struct line *lines, size_t count)
{
    talk_on(house, connect_client(house), lines, count);
}

#define TALK(house, ...)                                                                           \
    talk((house), (const struct line[]){__VA_ARGS__},                                              \
         ARRAY_LENGTH(((const struct line[]){__VA_ARGS__})))
#define C(text)                                                                                    \
    {                                                                                              \
        .client = (text)                                                                           \
    }
#define S(text)                                                                                    \
    {                                                                                              \
        .server = (text)                                                                           \
    }
#define GREETING S("220 mail.demo.test ESMTP staffetta")
#define HELO GREETING, C("HELO client.example"), S("250 mail.demo.test")
#define MAIL C("MAIL FROM:<x@away.example>"), S("250 2.1.0 Ok")
#define RCPT C("RCPT TO:<alice@demo.test>"), S("250 2.1.5 Ok")
#define DATA C("DATA"), S("354 *")
#define QUEUED S("250 2.0.0 Ok: queued as *")
#define QUIT C("QUIT"), S("221 2.0.0 Bye"), S("")

/* --- Promises --------------------------------------------------------------------------------- */

static void a_message_is_queued(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    TALK(house, GREETING, C("EHLO client.example"), S("250-mail.demo.test"), S("250-PIPELINING"),
         S("250-8BITMIME"), S("250-SMTPUTF8"), S("250-CHUNKING"), S("250-DSN"),
         S("250-ENHANCEDSTATUSCODES"), S("250-HELP"), S("250-SIZE 204800"),
         S("250 LIMITS MAILMAX=4 RCPTMAX=100"),
         C("MAIL FROM:<x@away.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=a+2Bb"),
         S("250 2.1.0 Ok"), C("RCPT TO:<alice@demo.test> NOTIFY=DELAY,FAILURE ORCPT=rfc822;A+40b"),
         S("250 2.1.5 Ok"), C("RCPT TO:<both@demo.test>"), S("250 2.1.5 Ok"), DATA,
         C("From: y@away.example"), C(""), C("..hello"), C("."),
         S("250 2.0.0 Ok: queued as 00000000000Z8"), QUIT);
    assert_int_equal(house->committed, 1);
    assert_int_equal(house->submit.id, 1000);
    assert_int_equal(house->submit.recipients, 3);
    assert_int_equal(house->submit.flags, QUEUE_8BITMIME | QUEUE_RET_HDRS);
    assert_int_equal(house->submit.prefix_octets, PREFIX_OCTETS);
    assert_slice_is(buffer_slice(&house->reverse_path), "x@away.example");
    assert_slice_is(buffer_slice(&house->recipients),
                    "alice@demo.test alice@demo.test rfc822;A@b 6;"
                    "alice@demo.test both@demo.test  0;bob@demo.test both@demo.test  0;");
    assert_slice_is(buffer_slice(&house->body), "From: y@away.example\r\n\r\n.hello\r\n");
    assert_slice_is(buffer_slice(&house->question_texts), "client.example127.0.0.100000000000Z8");
    assert_int_equal(house->question.flags, FILTER_ESMTP);
    close_house(house);
}

static void commands_have_their_order(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    TALK(house, GREETING, C("MAIL FROM:<x@y>"), S("503 5.5.1 *"), C("NOOP"), S("250 2.0.0 Ok"),
         C("EHLO"), S("501 Wanted *"), C("HELO c"), S("250 *"), C("RCPT TO:<alice@demo.test>"),
         S("503 5.5.1 *"), MAIL, C("MAIL FROM:<x@y>"), S("503 5.5.1 *"), C("RSET"),
         S("250 2.0.0 Ok"), MAIL, QUIT);
    TALK(house, HELO, MAIL, C("DATA"), S("554 5.5.1 No valid recipients"), RCPT, C("HELO d"),
         S("250 *"), C("DATA"), S("503 5.5.1 *"), C("VRFY alice"), S("252 2.0.0 *"),
         C("EXPN alice"), S("502 5.5.1 *"), C("HELP"), S("214-2.0.0 *"), S("214-2.0.0 *"),
         S("214 2.0.0 *"), C("AUTH PLAIN"), S("502 5.5.1 *"), C("STARTTLS"), S("502 5.5.1 *"),
         C("TURN"), S("502 5.5.1 *"), S("421 4.7.0 *"), S(""));
    TALK(house, GREETING, C("GET / HTTP/1.1"), S("421 4.7.0 *"), S(""));
    TALK(house, GREETING, C("NOOP x\nMAIL FROM:<>"), S("500 5.5.2 *"), QUIT);
    TALK(house, HELO, C("MAIL FROM:<x@y> SIZE=204801"), S("552 5.3.4 *"), QUIT);
    assert_int_equal(house->committed, 0);
    close_house(house);
}

static void recipients_are_judged(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    TALK(house, HELO, MAIL, C("RCPT TO:<nobody@demo.test>"), S("550 5.1.1 *"),
         C("RCPT TO:<x@away.example>"), S("550 5.7.1 *"), C("RCPT TO:<away@demo.test>"),
         S("550 5.7.1 *"), C("RCPT TO:<loop@demo.test>"), S("550 5.4.6 *"),
         C("RCPT TO:<full@demo.test>"), S("452 4.2.2 *"), C("RCPT TO:<\303\274@demo.test>"),
         S("553 5.6.7 *"), C("RCPT TO:<Postmaster>"), S("550 5.1.1 *"), C("RCPT TO:<postmaster>"),
         S("250 2.1.5 Ok"), QUIT);
    close_house(house);
}

static void too_many_recipients_and_messages_are_said(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(100000);
    int fd = connect_client(house);
    client_send(house, fd, SLICE("HELO c\r\nMAIL FROM:<>\r\n"));
    for (int i = 0; i < 101; i++)
        client_send(house, fd, SLICE("RCPT TO:<bob@demo.test>\r\n"));
    for (int i = 0; i < 103; i++)
        expect(house, fd, &got, "2*");
    expect(house, fd, &got, "452 4.5.3 *");
    fd_discard(&fd);
    buffer_clear(&got);
    TALK(house, HELO, MAIL, RCPT, DATA, C("."), QUEUED, MAIL, RCPT, DATA, C("."), QUEUED, MAIL,
         RCPT, DATA, C("."), QUEUED, MAIL, RCPT, DATA, C("."), QUEUED, C("MAIL FROM:<x@y>"),
         S("421 4.7.0 *"), S(""));
    assert_int_equal(house->committed, 4);
    close_house(house);
}

static void pipelined_commands_are_answered_in_order(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    TALK(house,
         C("EHLO c\r\nMAIL FROM:<x@y>\r\nRCPT TO:<nobody@demo.test>\r\nRCPT TO:<bob@demo.test>\r\n"
           "DATA\r\nhello\r\n.\r\nQUIT"),
         GREETING, S("250-*"), S("250-*"), S("250-*"), S("250-*"), S("250-*"), S("250-*"),
         S("250-*"), S("250-*"), S("250-*"), S("250 *"), S("250 2.1.0 Ok"), S("550 5.1.1 *"),
         S("250 2.1.5 Ok"), S("354 *"), QUEUED, S("221 *"), S(""));
    assert_int_equal(house->committed, 1);
    /* A message behind a DATA that is refused must not become commands. */
    TALK(house, HELO, MAIL,
         C("RCPT TO:<nobody@demo.test>\r\nDATA\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<bob@demo.test>"),
         S("550 *"), S("554 5.5.1 *"), S("421 4.7.0 *"), S(""));
    close_house(house);
}

static void bad_octets_are_refused_at_the_end(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *reply;
    } cases[] = {
        {SLICE("hello\n.\nMAIL FROM:<x@evil.example>\r\n.\r\n"), "550 5.6.11 *"},
        {SLICE("hello\r\n.\nQUIT\r\n.\r\n"), "550 5.6.11 *"},
        {SLICE("hello\r.\r\n\r\n.\r\n"), "550 5.6.11 *"},
        {SLICE("hel\0lo\r\n.\r\n"), "550 5.6.11 *"},
    };
    struct house *house = open_house("smtp", ROLE_SMTP);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer got = BUFFER_WITH_LIMIT(10000);
        int fd = connect_client(house);
        client_send(house, fd,
                    SLICE("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\nDATA\r\n"));
        for (int j = 0; j < 5; j++)
            expect(house, fd, &got, j < 4 ? "2*" : "354 *");
        client_send(house, fd, cases[i].text);
        expect(house, fd, &got, cases[i].reply);
        client_send(house, fd, SLICE("NOOP\r\n"));
        expect(house, fd, &got, "250 2.0.0 Ok");
        fd_discard(&fd);
        buffer_clear(&got);
    }
    assert_int_equal(house->committed, 0);
    close_house(house);
}

/* Sends a message of so many lines of 100 octets. */
static void send_lines(struct house *house, int fd, size_t lines)
{
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    for (size_t i = 0; i < lines; i++)
        buffer_append_format(&text, "%098zu\r\n", i);
    client_send(house, fd, buffer_slice(&text));
    buffer_clear(&text);
}

static void begin_data(struct house *house, int fd, struct buffer *got)
{
    client_send(house, fd, SLICE("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\nDATA\r\n"));
    for (int i = 0; i < 5; i++)
        expect(house, fd, got, i < 4 ? "2*" : "354 *");
}

static void a_large_message_goes_through_a_file(void **state)
{
    (void)state;
    static const struct {
        size_t lines;
        bool no_spool;
        const char *reply;
        unsigned spooled;
    } cases[] = {
        {655, false, "250 *", 0},        {656, false, "250 *", 1},
        {2000, false, "250 *", 1},       {2049, false, "552 5.3.4 *", 1},
        {5000, false, "552 5.3.4 *", 1}, {1000, true, "452 4.3.1 full", 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct house *house = open_house("smtp", ROLE_SMTP);
        house->no_spool = cases[i].no_spool;
        struct buffer got = BUFFER_WITH_LIMIT(10000);
        int fd = connect_client(house);
        begin_data(house, fd, &got);
        send_lines(house, fd, cases[i].lines);
        client_send(house, fd, SLICE(".\r\n"));
        expect(house, fd, &got, cases[i].reply);
        assert_int_equal(house->spooled, cases[i].spooled);
        if (house->committed > 0) {
            assert_int_equal(house->body.len, cases[i].lines * 100);
            assert_int_equal((house->submit.flags & QUEUE_IN_SPOOL) != 0, cases[i].spooled);
        }
        fd_discard(&fd);
        buffer_clear(&got);
        close_house(house);
    }
}

static void a_client_that_leaves_gives_its_file_back(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fd = connect_client(house);
    begin_data(house, fd, &got);
    send_lines(house, fd, 1000);
    fd_discard(&fd);
    for (int i = 0; i < 20; i++)
        turn_once(house);
    assert_int_equal(house->spooled, 1);
    assert_int_equal(house->forgotten, 1);
    buffer_clear(&got);
    close_house(house);
}

static void chunks_are_taken(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    /* C() adds CRLF to each. */
    TALK(house, HELO, MAIL, RCPT, C("BDAT 7\r\nhello"), S("250 2.0.0 Go on"), C("DATA"),
         S("503 5.5.1 *"), C("BDAT 5 LAST\r\n.\r\n"), QUEUED, C("NOOP"), S("250 *"), QUIT);
    assert_slice_is(buffer_slice(&house->body), "hello\r\n.\r\n\r\n");
    TALK(house, HELO, MAIL, RCPT, C("BDAT 5\r\nhello"), S("250 2.0.0 Go on"), S("500 5.5.1 *"),
         C("BDAT 0 LAST"), QUEUED, QUIT);
    assert_slice_is(buffer_slice(&house->body), "hello\r\n"); /* the last line was completed */
    TALK(house, HELO, MAIL, RCPT, C("BDAT 7\r\nhe\nll"), S("550 5.6.11 *"), C("BDAT 3 LAST\r\nx"),
         S("503 5.5.1 *"), C("NOOP"), S("250 *"), QUIT);
    TALK(house, HELO, C("BDAT 17 LAST\r\nMAIL FROM:<x@y>"), S("503 5.5.1 *"), C("NOOP"), S("250 *"),
         QUIT);
    TALK(house, HELO, MAIL, RCPT, C("BDAT x"), S("501 5.5.4 *"), S(""));
    assert_int_equal(house->committed, 2);
    close_house(house);
}

static void filter_and_queue_may_refuse(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    house->filter_refuses = true;
    TALK(house, HELO, MAIL, RCPT, DATA, C("."), S("550 5.6.0 Two From fields"), MAIL, QUIT);
    house->filter_refuses = false;
    house->queue_refuses = true;
    TALK(house, HELO, MAIL, RCPT, DATA, C("."), S("451 4.3.1 full"), MAIL, QUIT);
    close_house(house);
}

/* What a client hears when a process dies, and that the next one serves it. */
static void dead_peers_are_temporary_errors(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fd = connect_client(house);
    ipc_close(&house->others[0]);
    client_send(house, fd, SLICE("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\n"));
    for (int i = 0; i < 3; i++)
        expect(house, fd, &got, "2*");
    expect(house, fd, &got, "451 4.3.0 *");
    connect_peer(house, 0);
    house->filter_is_silent = true;
    client_send(house, fd, SLICE("RCPT TO:<bob@demo.test>\r\nDATA\r\n.\r\nNOOP\r\n"));
    expect(house, fd, &got, "250 2.1.5 Ok");
    expect(house, fd, &got, "354 *");
    ipc_close(&house->others[1]);
    expect(house, fd, &got, "451 4.3.0 *");
    expect(house, fd, &got, "250 2.0.0 Ok");
    connect_peer(house, 1);
    house->filter_is_silent = false;
    ipc_close(&house->others[2]);
    turn_once(house);
    client_send(house, fd, SLICE("MAIL FROM:<>\r\n"));
    expect(house, fd, &got, "451 4.3.0 *");
    connect_peer(house, 2);
    turn_once(house);
    /* Nobody knows whether a queue that dies with the message wrote it down. */
    house->queue_is_silent = true;
    client_send(house, fd, SLICE("MAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\nDATA\r\n.\r\n"));
    for (int i = 0; i < 3; i++)
        expect(house, fd, &got, i < 2 ? "250 *" : "354 *");
    for (int i = 0; i < 10; i++)
        turn_once(house);
    ipc_close(&house->others[2]);
    expect(house, fd, &got, "");
    fd_discard(&fd);
    buffer_clear(&got);
    close_house(house);
}

static void a_queue_that_dies_takes_its_file_along(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fd = connect_client(house);
    begin_data(house, fd, &got);
    send_lines(house, fd, 1000);
    for (int i = 0; i < 10; i++)
        turn_once(house);
    ipc_close(&house->others[2]);
    turn_once(house);
    connect_peer(house, 2);
    client_send(house, fd, SLICE(".\r\n"));
    expect(house, fd, &got, "451 4.3.0 *");
    client_send(house, fd, SLICE("MAIL FROM:<>\r\n"));
    expect(house, fd, &got, "250 2.1.0 Ok");
    fd_discard(&fd);
    buffer_clear(&got);
    close_house(house);
}

#define SUBMISSION_EHLO                                                                            \
    GREETING, C("EHLO c"), S("250-mail.demo.test"), S("250-*"), S("250-*"), S("250-*"),            \
        S("250-*"), S("250-*"), S("250-*"), S("250-*"), S("250-*"), S("250-LIMITS *"),             \
        S("250 AUTH PLAIN LOGIN")

static void submission_wants_a_password(void **state)
{
    (void)state;
    struct house *house = open_house("submission", ROLE_SUBMISSION);
    TALK(house, SUBMISSION_EHLO, C("MAIL FROM:<alice@demo.test>"), S("530 5.7.0 *"),
         C("AUTH CRAM-MD5"), S("504 5.5.4 *"), C("AUTH PLAIN"), S("334 "), C("*"), S("501 5.7.0 *"),
         C("AUTH PLAIN AGFsaWNlAHdyb25n"), S("535 5.7.8 *"), C("AUTH PLAIN !"), S("501 5.5.4 *"),
         C("AUTH PLAIN AGFsaWNlAHNlY3JldA=="), S("235 2.7.0 *"), C("AUTH PLAIN"), S("503 5.5.1 *"),
         QUIT);
    TALK(house, SUBMISSION_EHLO, C("AUTH LOGIN"), S("334 VXNlcm5hbWU6"), C("YWxpY2U="),
         S("334 UGFzc3dvcmQ6"), C("c2VjcmV0"), S("235 2.7.0 *"), C("MAIL FROM:<bob@demo.test>"),
         S("553 5.7.1 *"), C("MAIL FROM:<alice@demo.test>"), S("250 2.1.0 Ok"), RCPT, DATA,
         C("From: alice@demo.test"), C("."), QUEUED, C("MAIL FROM:<>"), S("250 2.1.0 Ok"),
         C("RCPT TO:<x@away.example>"), S("550 5.7.1 *"), RCPT, DATA, C("From: bob@demo.test"),
         C("."), S("553 5.7.1 From or Sender is not one of your addresses: bob@demo.test"), QUIT);
    assert_int_equal(house->committed, 1);
    assert_int_equal(house->submit.token.session, 77);
    assert_true((house->submit.flags & QUEUE_SUBMITTED) != 0);
    assert_int_equal(house->submit.account_octets, 15);
    close_house(house);
}

static void stopping_ends_sessions_between_transactions(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer idle = BUFFER_WITH_LIMIT(10000);
    struct buffer busy = BUFFER_WITH_LIMIT(10000);
    int idle_fd = connect_client(house);
    int busy_fd = connect_client(house);
    expect(house, idle_fd, &idle, "220 *");
    begin_data(house, busy_fd, &busy);
    house->role.stopping = true;
    smtp_session_role.stop(&house->role);
    expect(house, idle_fd, &idle, "421 4.3.2 *");
    expect(house, idle_fd, &idle, "");
    client_send(house, busy_fd, SLICE(".\r\n"));
    expect(house, busy_fd, &busy, "250 2.0.0 Ok: queued as *");
    expect(house, busy_fd, &busy, "421 4.3.2 *");
    expect(house, busy_fd, &busy, "");
    fd_discard(&idle_fd);
    fd_discard(&busy_fd);
    buffer_clear(&idle);
    buffer_clear(&busy);
    close_house(house);
}

static void a_long_line_is_dropped(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fd = connect_client(house);
    expect(house, fd, &got, "220 *");
    struct buffer line = BUFFER_WITH_LIMIT(1 << 20);
    for (int i = 0; i < 300000; i++)
        buffer_append_octet(&line, 'x');
    buffer_append(&line, SLICE("\r\nNOOP\r\n"));
    client_send(house, fd, buffer_slice(&line));
    expect(house, fd, &got, "500 5.5.2 Line too long (limits.command-line)");
    expect(house, fd, &got, "250 2.0.0 Ok");
    fd_discard(&fd);
    buffer_clear(&line);
    buffer_clear(&got);
    close_house(house);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_queued),
        cmocka_unit_test(commands_have_their_order),
        cmocka_unit_test(recipients_are_judged),
        cmocka_unit_test(too_many_recipients_and_messages_are_said),
        cmocka_unit_test(pipelined_commands_are_answered_in_order),
        cmocka_unit_test(bad_octets_are_refused_at_the_end),
        cmocka_unit_test(a_large_message_goes_through_a_file),
        cmocka_unit_test(a_client_that_leaves_gives_its_file_back),
        cmocka_unit_test(chunks_are_taken),
        cmocka_unit_test(filter_and_queue_may_refuse),
        cmocka_unit_test(dead_peers_are_temporary_errors),
        cmocka_unit_test(a_queue_that_dies_takes_its_file_along),
        cmocka_unit_test(submission_wants_a_password),
        cmocka_unit_test(stopping_ends_sessions_between_transactions),
        cmocka_unit_test(a_long_line_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
