/*
 * A connection to a server, up to the first message and after the last; see peer.h. The
 * transactions are in peer_exchange.c, the login in peer_login.c. relay.
 *
 * Each state awaits one thing:
 *
 *   CONNECTING  the socket to become writable, connect_ms at most
 *   SECURING    on_secured; then a greeting (implicit TLS) or, after STARTTLS, EHLO once more
 *   GREETING    220
 *   HELLO       the answer to EHLO or LHLO; of an old server, to HELO
 *   STARTTLS    220, and not an octet after it
 *   LOGIN       the answers of AUTH
 *   READY       those of transactions, or nothing for idle_ms
 *   QUIT, OVER  nothing
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/disk/fd.h"
#include "common/tls/tls_stream.h"
#include "smtpd/queue/outcome/outcome_text.h"
#include "smtpd/relay/peer_internal.h"

enum {
    OUTPUT_HIGH_WATER = 1 << 18,
    OUTPUT_MAX = 1 << 20, /* holds one chunk in the worst case and an envelope of 100 recipients */
    QUIT_LINGER_MS = 2000,
    TEXT_MAX = 1 << 17,
};

static const char *const awaited[] = {
    [PEER_CONNECTING] = "the connection",
    [PEER_SECURING] = "the TLS handshake",
    [PEER_GREETING] = "the greeting",
    [PEER_HELLO] = "the answer to EHLO",
    [PEER_STARTTLS] = "the answer to STARTTLS",
    [PEER_LOGIN] = "the answer to AUTH",
    [PEER_QUIT] = "the end",
    [PEER_OVER] = "nothing",
};

enum { WORDS_MAX = 200 };

/* Writes what ended the connection and what was in progress. A server that stops reading, or leaves
 * with output pending, is told apart from one whose answer was awaited. */
static void tell_what_went_on(const struct peer *peer, const char *what, char words[WORDS_MAX])
{
    bool is_ready = peer->state == PEER_READY;
    bool writes = peer->stream.stalled_since > 0;
    if (is_ready && peer_exchange_writes(peer))
        snprintf(words, WORDS_MAX, "%s while the message was being sent", what);
    else if (is_ready && writes)
        snprintf(words, WORDS_MAX, "%s while commands were being sent", what);
    else
        snprintf(words, WORDS_MAX, "%s while %s was awaited", what,
                 is_ready ? peer_exchange_awaits(peer) : awaited[peer->state]);
}

/* The only place that writes `state`. */
static void enter(struct peer *peer, enum peer_state state)
{
    peer->state = state;
}

/* ---- the end ---- */

void peer_append_outcome(const struct peer_settings *settings, struct slice code, const char *words,
                         struct slice reply, struct buffer *text)
{
    char address[IP_ADDRESS_TEXT_SIZE], line[OUTCOME_WORDS_MAX + 1], server[OUTCOME_PEER_MAX + 1];
    snprintf(line, sizeof(line), "%.*s %s", SLICE_PRINTF(code), words);
    snprintf(server, sizeof(server), "%s [%s]", settings->host,
             ip_address_format(&settings->address, address));
    outcome_text_format(&(struct outcome_text){.words = slice_of_string(line),
                                               .reply = reply,
                                               .peer = slice_of_string(server)},
                        text);
}

static void fill_failure(const struct peer *peer, const struct peer_end *end,
                         struct peer_failure *why)
{
    *why = (struct peer_failure){.kind = end->kind, .reply = BUFFER_WITH_LIMIT(RELAY_TEXT_MAX)};
    why->is_unfit = peer->settings->requires_tls && (end->kind == PEER_UNFIT || peer->lacks_tls);
    snprintf(why->code, sizeof(why->code), "%s", end->code);
    snprintf(why->words, sizeof(why->words), "%s", end->words);
    if (!end->reply)
        return;
    why->is_busy = peer_reply_is(end->reply, 4);
    why->was_enough = peer_exchange_was_enough(peer, end->reply);
    /* A refused connection says nothing about a recipient: always temporary. */
    if (end->reply->enhanced.len > 0 && peer_reply_is(end->reply, 4))
        snprintf(why->code, sizeof(why->code), "%.*s", SLICE_PRINTF(end->reply->enhanced));
    buffer_append(&why->reply, slice_range(end->reply->lines, 0, RELAY_TEXT_MAX));
}

/* Runs once: a stream that breaks while QUIT is written reports it before the write returns. */
static void close_quietly(struct peer *peer)
{
    if (peer->state == PEER_OVER)
        return;
    enter(peer, PEER_OVER);
    peer->handler->closed(peer, NULL);
}

void peer_fail(struct peer *peer, const struct peer_end *end)
{
    if (peer->state == PEER_OVER)
        return;
    if (peer->state == PEER_QUIT) {
        close_quietly(peer);
        return;
    }
    struct peer_failure why;
    fill_failure(peer, end, &why);
    peer_note_end(peer, end->words);
    enter(peer, PEER_OVER);
    peer_stop_connecting(peer);
    stream_clear(&peer->stream);
    peer_end_exchanges(peer, &why);
    peer->handler->closed(peer, &why);
    buffer_clear(&why.reply);
}

static void fail_refused(struct peer *peer, const char *words, const struct peer_reply *reply)
{
    peer_fail(peer, &(struct peer_end){PEER_REFUSED, "4.3.0", words, reply});
}

void peer_end_politely(struct peer *peer)
{
    enter(peer, PEER_QUIT);
    stream_write(&peer->stream, SLICE("QUIT\r\n"));
    if (peer->state != PEER_OVER)
        stream_finish(&peer->stream, QUIT_LINGER_MS);
    if (peer->state != PEER_OVER)
        peer->handler->leaving(peer);
}

/* ---- EHLO, STARTTLS ---- */

static void say_hello(struct peer *peer, const char *verb)
{
    enter(peer, PEER_HELLO);
    buffer_reset(&peer->text);
    buffer_append_format(&peer->text, "%s %s\r\n", verb, peer->settings->helo);
    peer_note_sent(peer, buffer_slice(&peer->text));
    stream_write(&peer->stream, buffer_slice(&peer->text));
    peer_await_reply(peer);
}

static void say_extended_hello(struct peer *peer)
{
    peer->is_extended = true;
    say_hello(peer, peer->settings->lmtp ? "LHLO" : "EHLO");
}

static void start_tls(struct peer *peer)
{
    struct error error;
    struct ssl_st *connection = tls_client_connection(peer->settings->tls_client, peer->stream.fd,
                                                      &peer->settings->server, &error);
    if (!connection) {
        peer_fail(peer, &(struct peer_end){PEER_BAD_TLS, "4.7.5", error.text, NULL});
        return;
    }
    enter(peer, PEER_SECURING);
    tls_stream_connect(&peer->stream, connection);
    peer_await_reply(peer);
}

/* RFC 8689 4.2.1: the host's name must be proved, its certificate must be valid for that name, and
 * it must offer REQUIRETLS. NULL: all three hold. */
static const struct peer_end *find_unfit(const struct peer *peer)
{
    static const struct peer_end name = {
        PEER_UNFIT, "4.7.10",
        "the message demands REQUIRETLS, but neither DNSSEC nor MTA-STS proves that this server is "
        "the right one",
        NULL};
    static const struct peer_end certificate = {
        PEER_UNFIT, "4.7.10",
        "the message demands REQUIRETLS, but this server's certificate does not prove its name",
        NULL};
    static const struct peer_end offer = {
        PEER_UNFIT, "4.7.30", "the message demands REQUIRETLS, which this server does not offer",
        NULL};
    static const struct peer_end never = {
        PEER_UNFIT, "4.7.10", "the message demands REQUIRETLS, but the route forbids TLS", NULL};
    if (!peer->tls_version)
        return &never;
    if (!peer->settings->name_is_proved)
        return &name;
    if (strcmp(peer->tls_verified, "no") == 0)
        return &certificate;
    return capabilities_offer(&peer->offers, OFFERS_REQUIRETLS) ? NULL : &offer;
}

static void become_ready(struct peer *peer)
{
    const struct peer_end *unfit = peer->settings->requires_tls ? find_unfit(peer) : NULL;
    if (unfit) {
        stream_write_through(&peer->stream, SLICE("QUIT\r\n"));
        peer_fail(peer, unfit);
        return;
    }
    enter(peer, PEER_READY);
    peer->handler->ready(peer);
    peer_pump(peer);
}

/* RFC 3207 4: with 454 TLS may be available later. */
static void fail_without_tls(struct peer *peer, const char *words, const struct peer_reply *reply)
{
    peer->lacks_tls = !reply || !peer_reply_is(reply, 4);
    peer_fail(peer, &(struct peer_end){PEER_BAD_TLS, "4.7.4", words, reply});
}

/* The step after EHLO depends on what was offered and on what is already done. */
static void go_on(struct peer *peer)
{
    const struct peer_settings *settings = peer->settings;
    bool offered = capabilities_offer(&peer->offers, OFFERS_STARTTLS);
    if (!peer->tls_version && settings->tls != PEER_TLS_NEVER && offered) {
        enter(peer, PEER_STARTTLS);
        peer_note_sent(peer, SLICE("STARTTLS"));
        stream_write(&peer->stream, SLICE("STARTTLS\r\n"));
        peer_await_reply(peer);
    } else if (!peer->tls_version && settings->tls == PEER_TLS_MUST) {
        fail_without_tls(peer, "the server offers no TLS, which is required here", NULL);
    } else if (settings->user && !peer->is_logged_in) {
        enter(peer, PEER_LOGIN);
        peer_begin_login(peer);
    } else {
        become_ready(peer);
    }
}

static void on_greeting(struct peer *peer, const struct peer_reply *reply)
{
    if (reply->code != 220)
        fail_refused(peer, "the server refused the connection", reply);
    else
        say_extended_hello(peer);
}

/* RFC 5321 3.2: an old server that does not know EHLO is greeted with HELO. */
static bool may_be_old(const struct peer *peer, const struct peer_reply *reply)
{
    return peer->is_extended && !peer->settings->lmtp && peer_reply_is(reply, 5)
           && peer->settings->tls != PEER_TLS_MUST && !peer->settings->user;
}

static void on_hello(struct peer *peer, const struct peer_reply *reply)
{
    if (peer_reply_is(reply, 2)) {
        peer->offers = (struct capabilities){.offered = 0};
        if (peer->is_extended)
            capabilities_read(reply, &peer->offers);
        go_on(peer);
    } else if (may_be_old(peer, reply)) {
        peer->is_extended = false;
        say_hello(peer, "HELO");
    } else {
        fail_refused(peer, "the server refused our greeting", reply);
    }
}

/* RFC 3207 6: octets that came in the clear after the answer may not be from the server. */
static void on_starttls(struct peer *peer, const struct peer_reply *reply)
{
    if (reply->code == 220 && stream_discard_input(&peer->stream) > 0) {
        peer_fail(peer, &(struct peer_end){
                            PEER_MALFORMED, "4.7.0",
                            "octets in the clear behind the answer to STARTTLS: an attack", NULL});
    } else if (reply->code == 220) {
        start_tls(peer);
    } else if (peer->settings->tls == PEER_TLS_MUST) {
        fail_without_tls(peer, "the server refused STARTTLS, which is required here", reply);
    } else {
        peer->offers.offered &= ~(unsigned)OFFERS_STARTTLS;
        go_on(peer);
    }
}

static void on_login(struct peer *peer, const struct peer_reply *reply)
{
    if (!peer_continue_login(peer, reply))
        return;
    peer->is_logged_in = true;
    go_on(peer);
}

/* ---- the stream ---- */

static void on_reply(struct peer *peer, const struct peer_reply *reply)
{
    static void (*const handlers[])(struct peer *, const struct peer_reply *) = {
        [PEER_GREETING] = on_greeting,      [PEER_HELLO] = on_hello,
        [PEER_STARTTLS] = on_starttls,      [PEER_LOGIN] = on_login,
        [PEER_READY] = peer_exchange_reply,
    };
    if (peer->state < sizeof(handlers) / sizeof(handlers[0]) && handlers[peer->state])
        handlers[peer->state](peer, reply);
}

static void fail_tls(struct peer *peer, const char *words)
{
    peer_fail(peer, &(struct peer_end){PEER_BAD_TLS, "4.7.5", words, NULL});
}

/* A connection that breaks during the handshake proves nothing. */
static void fail_handshake(struct peer *peer, const struct error *why)
{
    peer->lacks_tls = why->kind == ERROR_PEER;
    fail_tls(peer, why->text);
}

/* With TLS 1.3 the server can reject the handshake after our Finished (RFC 8446 4.4.4). */
static bool is_right_behind_handshake(const struct peer *peer)
{
    return peer->tls_version && (peer->state == PEER_HELLO || peer->state == PEER_GREETING);
}

static void fail_lost(struct peer *peer, const char *what)
{
    char words[WORDS_MAX];
    tell_what_went_on(peer, what, words);
    if (is_right_behind_handshake(peer))
        fail_tls(peer, words);
    else
        peer_fail(peer, &(struct peer_end){PEER_LOST, "4.4.2", words, NULL});
}

/* A server's SCRAM messages allow guessing the password offline. */
static void note_reply(struct peer *peer, const struct peer_reply *reply)
{
    if (peer->state == PEER_LOGIN && peer->scram && reply->code == 334)
        peer_note_event(peer, "334, and a SCRAM message, which is not kept");
    else
        peer_note_reply(peer, reply);
}

static bool read_reply(struct peer *peer)
{
    struct cursor in = cursor_of(stream_input(&peer->stream));
    struct cursor start = in;
    struct peer_reply reply;
    switch (peer_reply_read(&peer->reader, &in, &reply)) {
    case PARSE_MORE:
        return false;
    case PARSE_BAD:
        peer_fail(peer,
                  &(struct peer_end){PEER_MALFORMED, "4.5.0",
                                     "the server's answer is no SMTP reply, or endless", NULL});
        return false;
    case PARSE_DONE:
        note_reply(peer, &reply);
        stream_consume(&peer->stream, cursor_since(&in, &start).len);
        on_reply(peer, &reply);
        break;
    }
    return true;
}

static void on_input(struct stream *stream)
{
    struct peer *peer = stream->owner;
    while (peer->state != PEER_OVER && peer->state != PEER_SECURING && stream_input(stream).len > 0
           && read_reply(peer))
        continue;
    if (peer->state == PEER_OVER || !stream_at_end(stream))
        return;
    if (peer_is_idle(peer))
        close_quietly(peer);
    else
        fail_lost(peer, "the server closed the connection");
}

static void on_drained(struct stream *stream)
{
    struct peer *peer = stream->owner;
    if (peer->state == PEER_READY)
        peer_write_content(peer);
}

static void on_secured(struct stream *stream)
{
    struct peer *peer = stream->owner;
    struct tls_facts facts;
    if (!tls_stream_facts(stream, &facts))
        return;
    peer->tls_version = facts.version;
    peer->tls_cipher = facts.cipher;
    peer->tls_verified = tls_client_verified(tls_stream_connection(stream));
    peer->tls_doubt = tls_client_doubt(tls_stream_connection(stream));
    transcript_add_event(&peer->opening, "%s, %s, certificate verified: %s", peer->tls_version,
                         peer->tls_cipher, peer->tls_verified);
    if (peer->settings->implicit_tls) {
        enter(peer, PEER_GREETING);
        peer_await_reply(peer);
    } else {
        say_extended_hello(peer);
    }
}

static void on_deadline(struct stream *stream)
{
    struct peer *peer = stream->owner;
    if (peer_is_idle(peer)) {
        peer_end_politely(peer);
        return;
    }
    char words[WORDS_MAX];
    tell_what_went_on(peer, "timed out", words);
    if (peer->state == PEER_SECURING)
        fail_tls(peer, words);
    else
        peer_fail(peer, &(struct peer_end){PEER_TIMEOUT, "4.4.2", words, NULL});
}

static void on_closed(struct stream *stream, const struct error *why)
{
    struct peer *peer = stream->owner;
    if (!why || peer->state == PEER_QUIT || peer_is_idle(peer))
        close_quietly(peer);
    else if (peer->state == PEER_SECURING)
        fail_handshake(peer, why);
    else
        fail_lost(peer, why->text);
}

static const struct stream_handler stream_handler = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_secured = on_secured,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

/* ---- connecting ---- */

static void note_local_address(struct peer *peer, int fd)
{
    struct sockaddr_storage name;
    socklen_t octets = sizeof(name);
    if (getsockname(fd, (struct sockaddr *)&name, &octets) == 0)
        ip_address_from_sockaddr((const struct sockaddr *)&name, &peer->local, NULL);
}

void peer_connected(struct peer *peer, int fd)
{
    const struct stream_limits limits = {
        .input = PEER_REPLY_MAX + PEER_REPLY_LINE_MAX,
        .high_water = OUTPUT_HIGH_WATER,
        .output = OUTPUT_MAX,
        .stalled_ms = peer->settings->reply_ms,
    };
    note_local_address(peer, fd);
    peer_note_event(peer, "connected");
    stream_init(&peer->stream, peer->turn, fd, &stream_handler, &limits);
    peer->stream.owner = peer;
    if (peer->settings->implicit_tls) {
        start_tls(peer);
        return;
    }
    enter(peer, PEER_GREETING);
    peer_await_reply(peer);
}

/* ---- what the owner calls ---- */

static void fail_given_up(struct peer *peer)
{
    char words[WORDS_MAX];
    tell_what_went_on(peer, "given up, since others need the connection,", words);
    peer_fail(peer, &(struct peer_end){PEER_TIMEOUT, "4.4.2", words, NULL});
}

static void on_work(struct deferred *deferred)
{
    struct peer *peer = (struct peer *)(void *)((uint8_t *)deferred - offsetof(struct peer, work));
    if (peer->abort_words)
        peer_fail(peer, &(struct peer_end){PEER_LOCAL, "4.3.2", peer->abort_words, NULL});
    else if (peer->is_given_up && peer->state < PEER_READY)
        fail_given_up(peer);
    else if (peer->state == PEER_CONNECTING && peer->ways[0].fd < 0 && peer->ways[1].fd < 0)
        peer_begin_to_connect(peer);
    else if (peer->state == PEER_READY)
        peer_pump(peer);
}

void peer_open(struct peer *peer, const struct peer_settings *settings,
               const struct peer_handler *handler, struct turn *turn, uint8_t *chunk)
{
    void *owner = peer->owner;
    *peer = (struct peer){
        .owner = owner,
        .handler = handler,
        .settings = settings,
        .chunk = chunk,
        .state = PEER_CONNECTING,
        .opened_ms = turn_now_ms(),
        .turn = turn,
        .work = {.run = on_work},
        .planning = {.run = peer_plan_on},
        .stream = {.fd = -1},
        .text = BUFFER_WITH_LIMIT(TEXT_MAX),
    };
    peer_prepare_to_connect(peer);
    turn_defer(turn, &peer->work);
}

void peer_poke(struct peer *peer)
{
    if (peer->state == PEER_READY)
        turn_defer(peer->turn, &peer->work);
}

bool peer_is_idle(const struct peer *peer)
{
    return peer->state == PEER_READY && !peer->current.message;
}

void peer_abort(struct peer *peer, const char *words)
{
    peer->abort_words = words;
    turn_defer(peer->turn, &peer->work);
}

void peer_give_up(struct peer *peer)
{
    peer->is_given_up = true;
    turn_defer(peer->turn, &peer->work);
}

void peer_quit(struct peer *peer)
{
    if (peer_is_idle(peer))
        peer_end_politely(peer);
    else
        peer_abort(peer, "the relay ends");
}

void peer_clear(struct peer *peer)
{
    if (!peer->turn)
        return;
    enter(peer, PEER_OVER);
    turn_cancel(&peer->work);
    turn_cancel(&peer->planning);
    peer_stop_connecting(peer);
    stream_clear(&peer->stream);
    peer_end_login(peer);
    buffer_clear(&peer->text);
    transcript_clear(&peer->opening);
    transcript_clear(&peer->transcripts[0]);
    transcript_clear(&peer->transcripts[1]);
    peer->turn = NULL;
}
