/* What the files of smtpd/relay/peer.h share. */
#ifndef SMTPD_RELAY_PEER_INTERNAL_H
#define SMTPD_RELAY_PEER_INTERNAL_H

#include "smtpd/relay/peer.h"

/* Ends the connection: messages come back, closed() is called. `reply` may be NULL. The words begin
 * small, without a full stop. */
struct peer_end {
    enum peer_failure_kind kind;
    const char *code; /* where the reply has none */
    const char *words;
    const struct peer_reply *reply;
};
void peer_fail(struct peer *peer, const struct peer_end *end);

/* Says QUIT and listens no more. */
void peer_end_politely(struct peer *peer);

static inline void peer_await_reply(struct peer *peer)
{
    stream_set_deadline_ms(&peer->stream, peer->settings->reply_ms);
}

/* ---- peer_transcript.c ---- */

/* What was sent or came now: of the current exchange, else of the opening. */
void peer_note_sent(struct peer *peer, struct slice octets);
void peer_note_secret(struct peer *peer, struct slice before); /* what stood before the secret */
void peer_note_reply(struct peer *peer, const struct peer_reply *reply);
void peer_note_event(struct peer *peer, const char *words);
/* Octets that came and are no reply, or not yet one, and why the connection ends. */
void peer_note_end(struct peer *peer, const char *words);
/* The message gets what was said, unless all its recipients have it. */
void peer_tell_message(struct peer *peer, const struct exchange *exchange);

/* The socket, connected, becomes the stream. */
void peer_connected(struct peer *peer, int fd);

/* ---- peer_connect.c ---- */

void peer_prepare_to_connect(struct peer *peer);
void peer_begin_to_connect(struct peer *peer);
/* May run twice. */
void peer_stop_connecting(struct peer *peer);

/* ---- peer_login.c ---- */

/* Has it what we log in with? Fails the peer where the server offers no mechanism. */
void peer_begin_login(struct peer *peer);
/* The answer to AUTH or to one of its lines; true: we are in. */
bool peer_continue_login(struct peer *peer, const struct peer_reply *reply);
/* Forgets what is left of a login; may run twice. */
void peer_end_login(struct peer *peer);

/* ---- peer_exchange.c ---- */

/* The next step of a plan (downgrade.h): peer->planning. */
void peer_plan_on(struct deferred *deferred);
/* Takes messages, if there are some and the connection can have one. */
void peer_pump(struct peer *peer);
/* More of the message, if there is room for it. */
void peer_write_content(struct peer *peer);
/* A reply while READY. */
void peer_exchange_reply(struct peer *peer, const struct peer_reply *reply);
/* The message is on its way: not all of it has been taken yet. */
bool peer_exchange_writes(const struct peer *peer);
/* Many servers take so many messages on a connection and then say 421: that is no word about the
 * next connection. */
bool peer_exchange_was_enough(const struct peer *peer, const struct peer_reply *reply);
/* What an exchange waits for, to stand before "was awaited". */
const char *peer_exchange_awaits(const struct peer *peer);
/* The connection ends: settles or returns what the exchanges hold. */
void peer_end_exchanges(struct peer *peer, const struct peer_failure *why);

#endif
