/*
 * One connection to a server, as an SMTP or LMTP client: greeting, TLS, login, then one transaction
 * after the other for as long as its owner has messages. Which server that is, and what a failure
 * means for other messages, is decided elsewhere: outlet.h. relay.
 *
 *   peer_open ─> CONNECTING ─> GREETING ─> HELLO ─┬──────────────────> READY ──> QUIT
 *                    └─ (implicit TLS) ─> SECURING │<─ STARTTLS <─┤      │ next() a message
 *                                            └─────┘              └─ LOGIN  settled(), returned()
 *
 * With PIPELINING a transaction is two writes (RFC 2920): MAIL, all RCPT and DATA; then the
 * message, and after it already the envelope of the next one.
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

/* Which server to speak to, and how. What it points to lives as long as the peer. */
struct peer_settings {
    const char *host; /* the server's name; without one, its address as text */
    struct ip_address address;
    uint16_t port;
    struct ip_address source; /* IP_NONE: the kernel's choice */
    /* An address of the same host in the other family, tried as well if the first does not answer
     * within PEER_STAGGER_MS; IP_NONE: none. */
    struct ip_address other, other_source;
    const char *helo;    /* our name */
    bool name_is_proved; /* DNSSEC, the policy or a route says that this host takes the mail */
    bool lmtp;
    bool implicit_tls;
    bool requires_tls; /* its messages demand REQUIRETLS; then tls is MUST */
    enum peer_tls tls;
    const char *demanded_by; /* what makes TLS a must, for the log; empty: nothing does. Static */
    const char *broken_tls;  /* a handshake failed, so tls is NEVER: why, for the log; else NULL */
    struct tls_client_server server; /* with tls other than NEVER */
    struct tls_client *tls_client;
    const char *user; /* AUTH; NULL: none */
    const char *password;
    struct mime_limits mime_limits; /* for a server without 8BITMIME */
    unsigned connect_ms, reply_ms, idle_ms;
};

enum peer_failure_kind {
    PEER_UNREACHABLE, /* no connection */
    PEER_REFUSED,     /* the server refused the connection, before it took a message */
    PEER_BAD_TLS,     /* the handshake failed, TLS broke right after it, or TLS is a must and the
                         server does not offer it */
    PEER_UNFIT,       /* it does not offer REQUIRETLS, or its name is not proved (is_unfit below) */
    PEER_LOST,        /* the connection broke or was closed */
    PEER_TIMEOUT,
    PEER_MALFORMED, /* what it says is not SMTP */
    PEER_LOCAL,     /* our own fault: no memory, no descriptor, a body that cannot be read */
};

struct peer_failure {
    enum peer_failure_kind kind;
    bool is_busy;    /* REFUSED: 421 or another 4yz, the server asks for less */
    bool was_enough; /* 421 between messages: it has taken as many as it takes on one connection */
    bool is_unfit; /* REQUIRETLS is demanded and the server cannot do it (RFC 8689 4.2.1): UNFIT, or
                      BAD_TLS that is no passing trouble */
    char code[12]; /* enhanced status code, 4.y.z */
    char words[200];     /* for people */
    struct buffer reply; /* the server's own reply, line by line; may be empty */
};

struct peer;
struct scram_client;

/* Called by the loop, never from inside a peer_* call. A message that comes back without having
 * been delivered to all its recipients has what was said about it in its transcript. After closed()
 * the peer is dead; it is freed no earlier than at the end of the turn, after peer_clear(). */
struct peer_handler {
    /* settings->other answered first, and the connection leads there: the owner corrects the
     * settings. */
    void (*moved)(struct peer *peer);
    void (*ready)(struct peer *peer); /* called once: the server takes messages now */
    /* Returns a message to send, which the peer holds from then on, or NULL. `ahead`: it would wait
     * after one that the server has not answered yet. */
    struct outgoing *(*next)(struct peer *peer, bool ahead);
    void (*settled)(struct peer *peer, struct outgoing *message); /* all its recipients are */
    /* Not all its recipients are settled: the connection ended first (`why` as in closed(), which
     * follows), or takes no more transactions (NULL). */
    void (*returned)(struct peer *peer, struct outgoing *message, const struct peer_failure *why);
    /* The server asks for less with an answer to a message (4.7.z, 4.3.2, 451 4.4.5 and such). */
    void (*slowed)(struct peer *peer);
    /* It takes no more messages: QUIT was sent. closed() follows within 2 s. */
    void (*leaving)(struct peer *peer);
    /* `why` is NULL: we ended it with QUIT, or the server ended an idle connection. */
    void (*closed)(struct peer *peer, const struct peer_failure *why);
};

enum peer_state {
    PEER_CONNECTING,
    PEER_SECURING, /* TLS handshake */
    PEER_GREETING, /* waits for 220 */
    PEER_HELLO,    /* EHLO, HELO or LHLO was sent */
    PEER_STARTTLS,
    PEER_LOGIN, /* AUTH was sent */
    PEER_READY,
    PEER_QUIT, /* QUIT was sent; waits for the end alone */
    PEER_OVER,
};

/* A socket that is being connected; fd is -1 if there is none. */
struct peer_way {
    int fd;
    ev_io connectable;
};
enum { PEER_STAGGER_MS = 250 }; /* RFC 8305 5 */

/* One mail transaction. */
struct exchange {
    struct outgoing *message;             /* NULL: none */
    uint8_t places[RELAY_RECIPIENTS_MAX]; /* indexes of the message's recipients */
    unsigned recipients;                  /* of this transaction, in `places` */
    unsigned commands; /* in all: RSET where it is needed, MAIL, a RCPT each, DATA */
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
    unsigned transactions;    /* that have ended */
    unsigned messages;        /* that were settled or returned */
    uint64_t opened_ms;
    bool tried_other;          /* settings->other, beside settings->address */
    struct ip_address local;   /* our end; IP_NONE: it was never connected */
    struct transcript opening; /* what was said before READY; the owner may put more before it */

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
    bool lacks_tls; /* the server has no TLS, or none that would do, and will have none next time */
    bool dirty;     /* RSET before the next MAIL */
    unsigned login_step;
    struct scram_client *scram; /* while logging in with SCRAM */
    struct buffer text;         /* of an outcome or of commands; reused */
};

/* Begins to connect. Never fails at once: the handler hears what happens. */
void peer_open(struct peer *peer, const struct peer_settings *settings,
               const struct peer_handler *handler, struct turn *turn, uint8_t *chunk);

/* There are messages: at the end of the turn the peer calls next(), if it can take one. */
void peer_poke(struct peer *peer);

/* READY and without a message. */
bool peer_is_idle(const struct peer *peer);

/* Ends the connection: peer_quit() with QUIT if it is idle, else like peer_abort() at once, and the
 * messages it holds come back as after a failure. closed() follows, at the end of this turn or
 * later. `words` is static. */
void peer_quit(struct peer *peer);
void peer_abort(struct peer *peer, const char *words);

/* Acts as if the time for an answer were over. Does nothing once it is READY. */
void peer_give_up(struct peer *peer);

/* Frees all but the struct and calls nobody; the messages it held have come back. May run twice. */
void peer_clear(struct peer *peer);

/* Appends the text of an outcome (smtpd/queue/outcome/outcome_text.h) about this server. `reply`:
 * the lines of its reply. */
void peer_append_outcome(const struct peer_settings *settings, struct slice code, const char *words,
                         struct slice reply, struct buffer *text);

#endif
