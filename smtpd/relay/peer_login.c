/* AUTH PLAIN and LOGIN to a smarthost, RFC 4954; see peer.h. relay. */
#include <sodium.h>

#include "common/base64.h"
#include "smtpd/relay/peer_internal.h"

enum { LOGIN_PLAIN, LOGIN_NAME, LOGIN_PASSWORD };

/* A line that holds a secret: the buffer is wiped, the stream's copy leaves with this turn. */
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
    /* One allocation: growth would leave copies of the password behind. */
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

void peer_begin_login(struct peer *peer)
{
    buffer_reserve(&peer->text, 4096);
    if (!peer->settings->password) {
        peer_fail(peer, &(struct peer_end){PEER_LOCAL, "4.7.0",
                                           "the route's password file cannot be read", NULL});
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
    if (reply->code == 235)
        return true;
    peer_fail(peer, &(struct peer_end){PEER_REFUSED, "4.7.8",
                                       "the server refused our name and password", reply});
    return false;
}
