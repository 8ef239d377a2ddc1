/*
 * AUTH to a smarthost, RFC 4954, by the strongest mechanism offered; see peer.h. relay.
 *
 *   SCRAM  FIRST ─334─> FINAL ─334 (the server's proof is looked at)─> PROVED ─235─> in
 *   LOGIN  NAME ─334─> PASSWORD ─334─> PLAIN ─235─> in
 */
#include <stdlib.h>

#include <sodium.h>

#include "common/login/scram.h"
#include "common/text/base64.h"
#include "common/tls/tls_stream.h"
#include "smtpd/relay/peer_internal.h"

enum { LOGIN_PLAIN, LOGIN_NAME, LOGIN_PASSWORD, LOGIN_FIRST, LOGIN_FINAL, LOGIN_PROVED };

/* Writes a line that holds a secret: the buffer is wiped, the stream's copy is sent at the end of
 * this turn. */
static void write_secret(struct peer *peer, struct slice before, struct buffer *secret)
{
    struct buffer *line = &peer->text;
    buffer_reset(line);
    buffer_append(line, before);
    base64_encode(buffer_slice(secret), line);
    buffer_append(line, SLICE("\r\n"));
    if (line->failed || secret->failed)
        peer_fail(peer, &(struct peer_end){PEER_LOCAL, "4.3.0", "no memory for AUTH", NULL});
    else
        stream_write(&peer->stream, buffer_slice(line));
    peer_note_secret(peer, before);
    if (line->ptr)
        sodium_memzero(line->ptr, line->capacity);
    if (secret->ptr)
        sodium_memzero(secret->ptr, secret->capacity);
    buffer_clear(secret);
    if (peer->state != PEER_OVER)
        peer_await_reply(peer);
}

/* message = [authzid] UTF8NUL authcid UTF8NUL passwd    RFC 4616 2 */
static void say_plain(struct peer *peer)
{
    struct buffer message = BUFFER_WITH_LIMIT(2048);
    peer->login_step = LOGIN_PLAIN;
    /* One allocation: growth would leave copies of the password in memory. */
    buffer_reserve(&message, message.limit);
    buffer_append_octet(&message, '\0');
    buffer_append_string(&message, peer->settings->user);
    buffer_append_octet(&message, '\0');
    buffer_append_string(&message, peer->settings->password);
    write_secret(peer, SLICE("AUTH PLAIN "), &message);
}

static void say_word(struct peer *peer, const char *word)
{
    struct buffer message = BUFFER_WITH_LIMIT(2048);
    buffer_reserve(&message, message.limit);
    buffer_append_string(&message, word);
    write_secret(peer, SLICE(""), &message);
}

/* ---- SCRAM ---- */

/* Strongest first. Channel binding outranks the better hash: no one in the middle can relay the
 * login. */
static const struct mechanism {
    const char *name;
    unsigned offers;
    enum scram_hash hash;
    bool binds;
} mechanisms[] = {
    {"SCRAM-SHA-256-PLUS", OFFERS_SCRAM_SHA_256_PLUS, SCRAM_SHA_256, true},
    {"SCRAM-SHA-1-PLUS", OFFERS_SCRAM_SHA_1_PLUS, SCRAM_SHA_1, true},
    {"SCRAM-SHA-256", OFFERS_SCRAM_SHA_256, SCRAM_SHA_256, false},
    {"SCRAM-SHA-1", OFFERS_SCRAM_SHA_1, SCRAM_SHA_1, false},
};

static const struct mechanism *choose_scram(const struct peer *peer, bool can_bind)
{
    for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
        if ((peer->offers.offered & mechanisms[i].offers) != 0
            && (can_bind || !mechanisms[i].binds))
            return &mechanisms[i];
    return NULL;
}

static void fail_scram(struct peer *peer, const struct error *error)
{
    peer_fail(peer, &(struct peer_end){PEER_REFUSED, "4.7.8", error->text, NULL});
}

static bool write_first(struct peer *peer, const struct mechanism *mechanism,
                        const struct tls_client_binding *tls, struct buffer *message,
                        struct error *error)
{
    uint8_t random[SCRAM_NONCE_OCTETS];
    struct buffer nonce = BUFFER_WITH_LIMIT(64);
    const struct scram_binding binding = {.type = mechanism->binds ? tls->type : NULL,
                                          .octets = slice_of(tls->of.octets, tls->of.length)};
    randombytes_buf(random, sizeof(random));
    base64_encode(slice_of(random, sizeof(random)), &nonce);
    peer->scram->hash = mechanism->hash;
    bool done = scram_client_first(peer->scram, &binding, slice_of_string(peer->settings->user),
                                   buffer_slice(&nonce), message, error);
    buffer_clear(&nonce);
    return done;
}

static void say_first(struct peer *peer, const struct mechanism *mechanism,
                      const struct tls_client_binding *tls)
{
    struct error error = {0};
    struct buffer message = BUFFER_WITH_LIMIT(SCRAM_MESSAGE_MAX);
    char before[40];
    snprintf(before, sizeof(before), "AUTH %s ", mechanism->name);
    peer->login_step = LOGIN_FIRST;
    peer->scram = calloc(1, sizeof(*peer->scram));
    bool done =
        peer->scram ? write_first(peer, mechanism, tls, &message, &error) : error_memory(&error);
    if (done)
        write_secret(peer, slice_of_string(before), &message);
    else
        fail_scram(peer, &error);
    buffer_clear(&message);
}

/* Reads the challenge after 334. */
static bool read_challenge(const struct peer_reply *reply, uint8_t octets[SCRAM_MESSAGE_MAX],
                           struct slice *challenge, struct error *error)
{
    struct slice rest = reply->lines, text = slice_of(NULL, 0);
    size_t length = 0;
    peer_reply_next_line(&rest, &text);
    if (!base64_decode(slice_trim(text), octets, SCRAM_MESSAGE_MAX, &length))
        return error_set(error, ERROR_PEER, "the server's SCRAM message is no base64, or too long");
    *challenge = slice_of(octets, length);
    return true;
}

static void say_final(struct peer *peer, const struct peer_reply *reply)
{
    struct error error = {0};
    struct buffer message = BUFFER_WITH_LIMIT(2 * SCRAM_MESSAGE_MAX);
    uint8_t octets[SCRAM_MESSAGE_MAX];
    struct slice challenge, password = slice_of_string(peer->settings->password);
    peer->login_step = LOGIN_FINAL;
    if (read_challenge(reply, octets, &challenge, &error)
        && scram_client_final(peer->scram, password, challenge, &message, &error))
        write_secret(peer, SLICE(""), &message);
    else
        fail_scram(peer, &error);
    buffer_clear(&message);
}

/* RFC 4954 4: the server's final message comes as a challenge and gets an empty response. */
static void check_proof(struct peer *peer, const struct peer_reply *reply)
{
    struct error error = {0};
    uint8_t octets[SCRAM_MESSAGE_MAX];
    struct slice challenge;
    peer->login_step = LOGIN_PROVED;
    if (!read_challenge(reply, octets, &challenge, &error)
        || !scram_client_verify(peer->scram, challenge, &error)) {
        fail_scram(peer, &error);
        return;
    }
    stream_write(&peer->stream, SLICE("\r\n"));
    peer_await_reply(peer);
}

static void continue_scram(struct peer *peer, const struct peer_reply *reply)
{
    if (peer->login_step == LOGIN_FIRST)
        say_final(peer, reply);
    else
        check_proof(peer, reply);
}

void peer_end_login(struct peer *peer)
{
    if (!peer->scram)
        return;
    scram_client_clear(peer->scram);
    free(peer->scram);
    peer->scram = NULL;
}

/* ---- the choice ---- */

void peer_begin_login(struct peer *peer)
{
    struct tls_client_binding binding = {.type = NULL};
    const struct ssl_st *tls = tls_stream_connection(&peer->stream);
    bool can_bind = tls && tls_client_bind(tls, &binding);
    const struct mechanism *scram = choose_scram(peer, can_bind);
    buffer_reserve(&peer->text, 4096);
    if (!peer->settings->password) {
        peer_fail(peer, &(struct peer_end){PEER_LOCAL, "4.7.0",
                                           "the route's password file cannot be read", NULL});
    } else if (scram) {
        say_first(peer, scram, &binding);
    } else if (capabilities_offer(&peer->offers, OFFERS_PLAIN)) {
        say_plain(peer);
    } else if (capabilities_offer(&peer->offers, OFFERS_LOGIN)) {
        peer->login_step = LOGIN_NAME;
        peer_note_sent(peer, SLICE("AUTH LOGIN"));
        stream_write(&peer->stream, SLICE("AUTH LOGIN\r\n"));
        peer_await_reply(peer);
    } else {
        peer_fail(peer, &(struct peer_end){PEER_REFUSED, "4.7.0",
                                           "the server offers no login that we know", NULL});
    }
}

bool peer_continue_login(struct peer *peer, const struct peer_reply *reply)
{
    if (reply->code == 334 && peer->login_step == LOGIN_NAME) {
        peer->login_step = LOGIN_PASSWORD;
        say_word(peer, peer->settings->user);
        return false;
    }
    if (reply->code == 334 && peer->login_step == LOGIN_PASSWORD) {
        peer->login_step = LOGIN_PLAIN;
        say_word(peer, peer->settings->password);
        return false;
    }
    if (reply->code == 334
        && (peer->login_step == LOGIN_FIRST || peer->login_step == LOGIN_FINAL)) {
        continue_scram(peer, reply);
        return false;
    }
    if (reply->code == 235 && peer->scram && peer->login_step != LOGIN_PROVED) {
        peer_fail(peer, &(struct peer_end){PEER_REFUSED, "4.7.8",
                                           "the server lets us in without a proof that it knows "
                                           "the password: it may be another one",
                                           reply});
        return false;
    }
    if (reply->code == 235) {
        peer_end_login(peer);
        return true;
    }
    peer_fail(peer, &(struct peer_end){PEER_REFUSED, "4.7.8",
                                       "the server refused our name and password", reply});
    return false;
}
