/*
 * One connection to a server, as an SMTP or LMTP client: greeting, TLS, login, then one transaction
 * after the other for as long as its owner has messages. It decides nothing about which server that
 * is, or what a failure means for others; see outlet.h. relay.
 *
 *   peer_open ─> CONNECTING ─> GREETING ─> HELLO ─┬──────────────────> READY ──> QUIT
 *                    └─ (implicit TLS) ─> SECURING │<─ STARTTLS <─┤      │ next() a message
 *                                            └─────┘              └─ LOGIN  settled(), returned()
 *
 * With PIPELINING a transaction is two writes (RFC 2920): MAIL, all RCPT and DATA; then the
 * message, and behind it already the envelope of the next one.
 *
 * Whatever the server does, memory is bounded, each wait has a deadline, each message comes back
 * once by settled() or returned(), and the end is one call of closed().
 */
#ifndef SMTPD_RELAY_PEER_H
#define SMTPD_RELAY_PEER_H

#include "common/net/ip_address.h"
#include "common/net/stream.h"
#include "common/tls/tls_client.h"
#include "smtpd/relay/capabilities.h"
#include "smtpd/relay/data_encoder.h"
#include "smtpd/relay/downgrade/downgrade.h"
#include "smtpd/relay/outgoing.h"
#include "smtpd/relay/transcript.h"

enum peer_tls { PEER_TLS_NEVER, PEER_TLS_MAY, PEER_TLS_MUST };

/* Whom to speak to and how. What it points to lives as long as the peer. */
struct peer_settings {
    const char *host; /* its name; for an address alone, that as text */
    struct ip_address address;
    uint16_t port;
    struct ip_address source; /* IP_NONE: the kernel's choice */
    /* Another address of the host, of the other family, which is tried too where the first does
     * not answer within PEER_STAGGER_MS; IP_NONE: none. */
    struct ip_address other, other_source;
    const char *helo;    /* our name */
    bool name_is_proved; /* that this host is to have the mail: by DNSSEC or by a route */
    bool lmtp;
    bool implicit_tls;
    bool requires_tls; /* its messages demand REQUIRETLS; with tls MUST */
    enum peer_tls tls;
    const char *demanded_by; /* what makes TLS a must, for the log; empty: nothing. Static */
    const char *broken_tls; /* tls is NEVER since a handshake failed: why, for the log; else NULL */
    struct tls_client_server server; /* with tls other than NEVER */
    struct tls_client *tls_client;
    const char *user; /* AUTH; NULL: none */
    const char *password;
    struct mime_limits mime_limits; /* for a server without 8BITMIME */
    unsigned connect_ms, reply_ms, idle_ms;
};

enum peer_failure_kind {
    PEER_UNREACHABLE, /* no connection */
    PEER_REFUSED,     /* the server said so, before it took a message */
    PEER_BAD_TLS,     /* the handshake failed or TLS broke right behind it, or there is none and
                         there must be */
    PEER_UNFIT,       /* it does not offer REQUIRETLS, or is not proved to be the one (below) */
    PEER_LOST,        /* the connection broke or was closed */
    PEER_TIMEOUT,
    PEER_MALFORMED, /* what it says is no SMTP */
    PEER_LOCAL,     /* it is ours: no memory, no descriptor, a body that cannot be read */
};

struct peer_failure {
    enum peer_failure_kind kind;
    bool is_busy;    /* REFUSED: 421 or 4yz, it asks for less */
    bool was_enough; /* 421 behind messages that were answered, and not to one */
    bool is_unfit;   /* it does not do for REQUIRETLS, which is demanded (RFC 8689 4.2.1): UNFIT,
                        or BAD_TLS that is no passing trouble */
    char code[12];   /* enhanced status code, 4.y.z */
    char words[200]; /* for people */
    struct buffer reply; /* the server's own, line by line; may be empty */
};

struct peer;
struct scram_client;

/* Called by the loop, never from inside peer_*. A message that comes back without being delivered
 * to all has what was said about it in its transcript. In closed() the owner may take the peer for
 * dead; it is freed no earlier than at the end of the turn, after peer_clear(). */
struct peer_handler {
    /* It was settings->other that answered first: what is said on the connection goes there. The
     * owner corrects the settings. */
    void (*moved)(struct peer *peer);
    void (*ready)(struct peer *peer); /* once: the server takes messages */
    /* A message to send, which the peer holds from then on, or NULL. `ahead`: it would wait behind
     * one that the server has not answered yet. */
    struct outgoing *(*next)(struct peer *peer, bool ahead);
    void (*settled)(struct peer *peer, struct outgoing *message); /* all recipients are */
    /* Not sent: the connection ended before. `why` as in closed(), which follows. */
    void (*returned)(struct peer *peer, struct outgoing *message, const struct peer_failure *why);
    /* The server asks for less with an answer to a message (4.7.z, 4.3.2, 451 4.4.5 and such). */
    void (*slowed)(struct peer *peer);
    /* It takes no message any more: QUIT was said. closed() follows in 2 s at most. */
    void (*leaving)(struct peer *peer);
    /* NULL: we ended it with QUIT, or the server an idle connection. */
    void (*closed)(struct peer *peer, const struct peer_failure *why);
};

enum peer_state {
    PEER_CONNECTING,
    PEER_SECURING, /* TLS handshake */
    PEER_GREETING, /* 220 is awaited */
    PEER_HELLO,    /* EHLO, HELO or LHLO was sent */
    PEER_STARTTLS,
    PEER_LOGIN, /* AUTH was sent */
    PEER_READY,
    PEER_QUIT, /* QUIT was sent; nothing is awaited but the end */
    PEER_OVER,
};

/* A socket while it is being connected; fd is -1 else. */
struct peer_way {
    int fd;
    ev_io connectable;
};
enum { PEER_STAGGER_MS = 250 }; /* RFC 8305 5 */

/* One mail transaction. */
struct exchange {
    struct outgoing *message; /* NULL: none */
    uint8_t places[RELAY_RECIPIENTS_MAX];
    unsigned recipients; /* of this transaction; places[i] is the message's recipient */
    unsigned commands;   /* RSET where it is needed, MAIL, RCPT each, DATA */
    unsigned sent;
    unsigned answered;
    unsigned accepted;
    unsigned needs;  /* enum envelope_needs */
    bool is_planned; /* `downgrade` is being planned, and nothing has been said yet */
    bool reset_first;
    bool mail_refused;
    bool sending; /* DATA was answered with 354 */
    bool written; /* the final dot is in the output */
    struct outgoing_cursor at;
    struct downgrade *downgrade; /* instead of `at`; NULL: the message goes as it is */
    struct data_encoder encoder;
    struct transcript *transcript; /* one of the peer's two; of all transactions of the message */
};

struct peer {
    void *owner; /* the caller's */
    const struct peer_handler *handler;
    const struct peer_settings *settings;
    uint8_t *chunk; /* OUTGOING_CHUNK octets that all peers of the process share */
    enum peer_state state;

    /* What the rest of relay may read. */
    struct capabilities offers;
    const char *tls_version; /* static; NULL: no TLS */
    const char *tls_cipher;
    const char *tls_verified; /* as tls_client_verified */
    const char *tls_doubt;    /* as tls_client_doubt */
    unsigned transactions;    /* that ended */
    unsigned messages;        /* whose part here ended */
    uint64_t opened_ms;
    bool tried_other;        /* settings->other, beside settings->address */
    struct ip_address local; /* our end; IP_NONE: it was never connected */
    struct transcript
        opening; /* all that was said before READY; the owner may put more before it */

    /* The rest is peer.c's. */
    struct turn *turn;
    struct peer_way ways[2]; /* to settings->address and to ->other */
    ev_timer connect_timer;
    ev_timer stagger_timer;   /* until the other one is tried */
    struct deferred work;     /* what peer_open, peer_poke and peer_abort asked for */
    struct deferred planning; /* the next step of the exchange that is_planned */
    const char *abort_words;  /* NULL: not asked for */
    bool is_given_up;
    struct stream stream;
    struct peer_reply_reader reader;
    struct exchange current;
    struct exchange ahead;
    struct transcript transcripts[2]; /* of the exchanges */
    bool is_extended;                 /* EHLO or LHLO was taken */
    bool is_logged_in;
    bool lacks_tls; /* the server has shown that it has none, or none that would do; it would show
                       that again */
    bool dirty;     /* RSET before the next MAIL */
    unsigned login_step;
    struct scram_client *scram; /* while logging in by it */
    struct buffer text;         /* of an outcome, of commands: reused */
};

/* Begins to connect. Never fails at once: what happens is told by the handler. */
void peer_open(struct peer *peer, const struct peer_settings *settings,
               const struct peer_handler *handler, struct turn *turn, uint8_t *chunk);

/* There are messages: at the end of the turn the peer asks next(), if it can take one. */
void peer_poke(struct peer *peer);

/* READY and without a message. */
bool peer_is_idle(const struct peer *peer);

/* With QUIT where it is idle; else at once, and what it holds comes back as by a failure. closed()
 * follows, at the end of this turn or later. `words` is static. */
void peer_quit(struct peer *peer);
void peer_abort(struct peer *peer, const char *words);

/* As if the time for an answer were over; nothing once it is READY. */
void peer_give_up(struct peer *peer);

/* Frees all but the struct, without a call; messages it holds must have come back. May run twice.
 */
void peer_clear(struct peer *peer);

/* Appends an outcome's text (smtpd/queue/outcome/outcome_text.h) about this server. `reply`: its
 * lines. */
void peer_append_outcome(const struct peer_settings *settings, struct slice code, const char *words,
                         struct slice reply, struct buffer *text);

#endif
