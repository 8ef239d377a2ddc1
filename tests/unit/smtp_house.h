/*
 * A house for tests of the smtpd-session role: the role itself on an event loop, a client on a
 * socket, and between them an auth, a filter and a queue that are a few lines each.
 */
#ifndef TESTS_UNIT_SMTP_HOUSE_H
#define TESTS_UNIT_SMTP_HOUSE_H

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "common/auth/recipient_targets.h"
#include "common/disk/fd.h"
#include "common/size.h"
#include "smtpd/filter/filter_protocol.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/session/session_internal.h"

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
    struct token permit; /* of the last foreign address, and its flags */
    uint32_t recipient_flags;
    /* What auth was asked last. */
    struct auth_recipient asked;
    /* What filter got last. */
    struct filter_message question;
    struct buffer question_texts;

    /* What they are to do. */
    bool filter_refuses;
    bool filter_is_silent;
    bool queue_refuses;
    bool queue_is_silent;
    bool no_spool;

    bool hostile_expected; /* a peer will break the protocol */
    unsigned hostile;      /* how many did */
};

static void answer(struct ipc_channel *channel, struct ipc_header *head, size_t octets,
                   const struct ipc_packet *packet, struct slice tail)
{
    head->request = ipc_packet_header(packet)->request;
    assert_true(ipc_send_record(channel, head, octets, tail, NULL));
}

/* "alice@demo.test": an account; "<x@away.example>": an address elsewhere. */
static void append_target(const char *name, uint64_t session, struct buffer *list)
{
    struct slice text = slice_of_string(name);
    struct recipient_target target = {.kind = AUTH_TARGET_ACCOUNT, .name = text};
    if (name[0] == '<')
        target = (struct recipient_target){.kind = AUTH_TARGET_ADDRESS,
                                           .permit = {.session = session},
                                           .name = slice_range(text, 1, text.len - 1)};
    recipient_target_append(&target, list);
}

static bool auth_on_recipient(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct house *house = owner;
    static const struct {
        struct slice address;
        uint32_t verdict;
        const char *targets[2];
    } people[] = {
        {SLICE("alice@demo.test"), AUTH_RECIPIENT_TARGETS, {"alice@demo.test"}},
        {SLICE("bob@demo.test"), AUTH_RECIPIENT_TARGETS, {"bob@demo.test"}},
        {SLICE("both@demo.test"), AUTH_RECIPIENT_TARGETS, {"alice@demo.test", "bob@demo.test"}},
        {SLICE("postmaster"), AUTH_RECIPIENT_TARGETS, {"alice@demo.test"}},
        {SLICE("full@demo.test"), AUTH_RECIPIENT_FULL, {NULL}},
        {SLICE("loop@demo.test"), AUTH_RECIPIENT_LOOP, {NULL}},
        {SLICE("x@away.example"), AUTH_RECIPIENT_FOREIGN, {NULL}},
        {SLICE("y@away.example"), AUTH_RECIPIENT_TARGETS, {"<y@away.example>"}},
        {SLICE("away@demo.test"), AUTH_RECIPIENT_TARGETS, {"bob@demo.test", "<x@away.example>"}},
    };
    const struct auth_recipient *question = packet->record;
    struct slice address = ipc_packet_tail(packet, sizeof(*question));
    assert_int_equal(address.len, question->address_octets);
    struct auth_recipient_answer record = {.header = {.type = AUTH_RECIPIENT_ANSWER},
                                           .verdict = AUTH_RECIPIENT_UNKNOWN};
    struct buffer list = BUFFER_WITH_LIMIT(1000);
    for (size_t i = 0; i < ARRAY_LENGTH(people); i++) {
        if (!slice_equal(address, people[i].address))
            continue;
        record.verdict = people[i].verdict;
        for (; record.targets < 2 && people[i].targets[record.targets]; record.targets++)
            append_target(people[i].targets[record.targets], question->session, &list);
    }
    house->asked = *question;
    answer(&house->others[0], &record.header, sizeof(record), packet, buffer_slice(&list));
    buffer_clear(&list);
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
    if (slice_starts_with(body, SLICE("TLS-Required: No")))
        record.findings = FILTER_TLS_OPTIONAL;
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

static void note_recipient(struct house *house, struct slice octets)
{
    const struct queue_recipient *record = (const void *)octets.ptr;
    struct slice tail = slice_from(octets, sizeof(*record));
    size_t address_end = (size_t)record->account_octets + record->address_octets;
    assert_int_equal(tail.len, address_end + record->orcpt_octets);
    if (record->account_octets == 0)
        house->permit = record->permit;
    house->recipient_flags = record->flags;
    buffer_append(&house->recipients, slice_range(tail, 0, record->account_octets));
    buffer_append_octet(&house->recipients, ' ');
    buffer_append(&house->recipients, slice_range(tail, record->account_octets, address_end));
    buffer_append_octet(&house->recipients, ' ');
    buffer_append(&house->recipients, slice_from(tail, address_end));
    buffer_append_format(&house->recipients, " %u;", record->notify);
}

static bool queue_on_recipient(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    note_recipient(owner, slice_of(packet->record, packet->length));
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
    assert_true(submit->recipient_octets > sizeof(struct queue_recipient));
    note_recipient(house, slice_range(tail, 0, submit->recipient_octets));
    tail = slice_from(tail, submit->recipient_octets);
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
    struct house *house = peer->data;
    if (error->kind == ERROR_PEER && !house->hostile_expected)
        fail_msg("peer %s: %s", role_kind_name(peer->kind), error->text);
    house->hostile += error->kind == ERROR_PEER;
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
    peer->data = house;
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

static const char config_text[] = "hostname = mail.demo.test\n"
                                  "state = /nonexistent\n"
                                  "domain demo.test { }\n"
                                  "accounts { source = pam }\n"
                                  "listen %s { port = 2500 addresses = { 127.0.0.1 } }\n"
                                  "limits { message-size = 200K header-size = 100K ";

static const char limits_text[] =
    "bad-commands = 6 text-line = 2000 messages = 4 recipients = 100 command-line = 1K";

static struct house *open_house_with(const char *service, enum role_kind kind, const char *more)
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
    buffer_append_string(&text, more);
    buffer_append(&text, SLICE(" }\n"));
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

static struct house *open_house(const char *service, enum role_kind kind)
{
    return open_house_with(service, kind, limits_text);
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

/* The next line must be like the pattern, "*" at its end for anything; "(closed)" is the end of the
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
    bool fits = strcmp(pattern, "(closed)") == 0 ? !alive && got->len == 0 : matches(line, pattern);
    if (!fits)
        fail_msg("got \"%.*s\", not \"%s\"", SLICE_PRINTF(line), pattern);
    buffer_consume(got, end < got->len ? end + 2 : end);
}

/* Turns "\\r" and "\\n" of a script into the octets. */
static void append_client_line(struct slice text, struct buffer *line)
{
    for (size_t i = 0; i < text.len; i++) {
        bool escaped = text.ptr[i] == '\\' && i + 1 < text.len;
        if (escaped)
            i++;
        uint8_t octet = text.ptr[i];
        if (escaped && octet == 'r')
            octet = '\r';
        else if (escaped && octet == 'n')
            octet = '\n';
        buffer_append_octet(line, octet);
    }
    buffer_append(line, SLICE("\r\n"));
}

/* What most conversations have in common. */
static const struct {
    struct slice name;
    const char *script;
} phrases[] = {
    {SLICE("(greeting)"), "S: 220 mail.demo.test ESMTP staffetta\n"},
    {SLICE("(hello)"), "S: 220 *\nC: HELO client.example\nS: 250 mail.demo.test\n"},
    {SLICE("(ehlo with auth)"),
     "S: 220 *\nC: EHLO c\nS: 250-mail.demo.test\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\n"
     "S: 250-*\n"
     "S: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-LIMITS *\n"
     "S: 250-FUTURERELEASE 2592000 *\nS: 250 AUTH PLAIN LOGIN\n"},
    {SLICE("(mail)"), "C: MAIL FROM:<x@away.example>\nS: 250 2.1.0 Ok\n"},
    {SLICE("(rcpt)"), "C: RCPT TO:<alice@demo.test>\nS: 250 2.1.5 Ok\n"},
    {SLICE("(data)"), "C: DATA\nS: 354 *\n"},
    {SLICE("(queued)"), "S: 250 2.0.0 Ok: queued as *\n"},
    {SLICE("(quit)"), "C: QUIT\nS: 221 2.0.0 Bye\nS: (closed)\n"},
};

static void follow(struct house *house, int fd, struct buffer *got, struct slice script);

static void follow_line(struct house *house, int fd, struct buffer *got, struct slice line)
{
    for (size_t i = 0; i < ARRAY_LENGTH(phrases); i++) {
        if (slice_equal(line, phrases[i].name)) {
            follow(house, fd, got, slice_of_string(phrases[i].script));
            return;
        }
    }
    struct buffer text = BUFFER_WITH_LIMIT(4096);
    if (slice_starts_with(line, SLICE("C: "))) {
        append_client_line(slice_from(line, 3), &text);
        client_send(house, fd, buffer_slice(&text));
    } else {
        assert_true(slice_starts_with(line, SLICE("S: ")));
        buffer_append(&text, slice_from(line, 3));
        buffer_append_octet(&text, '\0');
        expect(house, fd, got, (const char *)text.ptr);
    }
    buffer_clear(&text);
}

static void follow(struct house *house, int fd, struct buffer *got, struct slice script)
{
    while (script.len > 0) {
        size_t end = slice_find_octet(script, '\n');
        follow_line(house, fd, got, slice_range(script, 0, end));
        script = slice_from(script, end + 1);
    }
}

/* A transcript of a connection from beginning to end: "C: " is sent with CRLF behind it, "S: " is
 * expected, "(...)" is a phrase of the table. */
static void talk(struct house *house, const char *script)
{
    struct buffer got = BUFFER_WITH_LIMIT(100000);
    int fd = connect_client(house);
    follow(house, fd, &got, slice_of_string(script));
    assert_int_equal(got.len, 0);
    buffer_clear(&got);
    fd_discard(&fd);
    for (int i = 0; i < 5; i++)
        turn_once(house);
}

#endif
