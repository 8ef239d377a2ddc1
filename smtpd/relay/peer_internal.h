/* What the files of smtpd/relay/peer.h share. */
#ifndef SMTPD_RELAY_PEER_INTERNAL_H
#define SMTPD_RELAY_PEER_INTERNAL_H

#include "smtpd/relay/peer.h"

/* Why a connection ends. */
struct peer_end {
    enum peer_failure_kind kind;
    const char *code;               /* if the reply has none */
    const char *words;              /* begin with a small letter, without a full stop */
    const struct peer_reply *reply; /* NULL: none */
};
/* Ends the connection: its messages come back, and closed() is called. */
void peer_fail(struct peer *peer, const struct peer_end *end);

/* Says QUIT and listens no more. */
void peer_end_politely(struct peer *peer);

static inline void peer_await_reply(struct peer *peer)
{
    stream_set_deadline_ms(&peer->stream, peer->settings->reply_ms);
}

/* ---- peer_transcript.c ---- */

/* Add to the transcript of the current exchange, or of the opening where there is none. */
void peer_note_sent(struct peer *peer, struct slice octets);
void peer_note_secret(struct peer *peer, struct slice before); /* what came before the secret */
void peer_note_reply(struct peer *peer, const struct peer_reply *reply);
void peer_note_event(struct peer *peer, const char *words);
/* Octets that came and are not a whole reply, and why the connection ends. */
void peer_note_end(struct peer *peer, const char *words);
/* Copies what was said to the message, unless all its recipients have it. */
void peer_tell_message(struct peer *peer, const struct exchange *exchange);

/* Makes the connected socket the stream. */
void peer_connected(struct peer *peer, int fd);

/* ---- peer_connect.c ---- */

void peer_prepare_to_connect(struct peer *peer);
void peer_begin_to_connect(struct peer *peer);
/* May run twice. */
void peer_stop_connecting(struct peer *peer);

/* ---- peer_login.c ---- */

/* Logs in with the best mechanism that is offered; fails the peer where there is none. */
void peer_begin_login(struct peer *peer);
/* The answer to AUTH or to one of its lines; true: we are in. */
bool peer_continue_login(struct peer *peer, const struct peer_reply *reply);
/* Forgets what is left of a login; may run twice. */
void peer_end_login(struct peer *peer);

/* ---- peer_exchange.c ---- */

/* peer->planning: the next step of a plan (downgrade.h). */
void peer_plan_on(struct deferred *deferred);
/* Takes messages, if there are any and the connection can take one. */
void peer_pump(struct peer *peer);
/* Writes more of the message, if there is room for it. */
void peer_write_content(struct peer *peer);
/* A reply while READY. */
void peer_exchange_reply(struct peer *peer, const struct peer_reply *reply);
/* Whether a message is being sent: the server has not taken all of it yet. */
bool peer_exchange_writes(const struct peer *peer);
/* Whether this 421 only says that the server has taken as many messages as it takes on one
 * connection: that says nothing about the next connection. */
bool peer_exchange_was_enough(const struct peer *peer, const struct peer_reply *reply);
/* What an exchange waits for, to stand before "was awaited". */
const char *peer_exchange_awaits(const struct peer *peer);
/* The connection ends: settles or returns what the exchanges hold. */
void peer_end_exchanges(struct peer *peer, const struct peer_failure *why);

#endif
