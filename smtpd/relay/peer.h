/*
 * One connection to a server, as an SMTP or LMTP client: greeting, TLS, login, then one transaction
 * after another while its owner has messages. outlet.h chooses the server and decides what a
 * failure means for other messages. relay.
 *
 *   peer_open ─> CONNECTING ─> GREETING ─> HELLO ─┬──────────────────> READY ──> QUIT
 *                    └─ (implicit TLS) ─> SECURING │<─ STARTTLS <─┤      │ next() a message
 *                                            └─────┘              └─ LOGIN  settled(), returned()
 *
 * With PIPELINING a transaction takes two writes (RFC 2920): MAIL, all RCPT and DATA; then the
 * message, followed by the envelope of the next one.
 *
 * Whatever the server does: memory is bounded, each wait has a deadline, each message comes back
 * exactly once by settled() or returned(), and closed() is called exactly once, at the end.
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

/* Which server to speak to, and how. All pointers must stay valid as long as the peer. */
struct peer_settings {
    const char *host; /* the server's name, or its address as text if it has none */
    struct ip_address address;
    uint16_t port;
    struct ip_address source; /* IP_NONE: the kernel's choice */
    /* An address of the same host in the other family, also tried if the first does not answer
     * within PEER_STAGGER_MS; IP_NONE: none. */
    struct ip_address other, other_source;
    const char *helo;    /* our name */
    bool name_is_proved; /* DNSSEC, the policy or a route says that this host takes the mail */
    bool lmtp;
    bool implicit_tls;
    bool requires_tls; /* its messages demand REQUIRETLS; `tls` is then PEER_TLS_MUST */
    enum peer_tls tls;
    const char *demanded_by; /* what makes TLS mandatory, for the log; empty: nothing. Static */
    const char *broken_tls;  /* why an earlier handshake failed, for the log; `tls` is then
                                PEER_TLS_NEVER. NULL: none failed */
    struct tls_client_server server; /* used unless `tls` is PEER_TLS_NEVER */
    struct tls_client *tls_client;
    const char *user; /* AUTH; NULL: none */
    const char *password;
    struct mime_limits mime_limits; /* for a server without 8BITMIME */
    unsigned connect_ms, reply_ms, idle_ms;
};

enum peer_failure_kind {
    PEER_UNREACHABLE, /* no connection */
    PEER_REFUSED,     /* the server refused the connection before it took a message */
    PEER_BAD_TLS,     /* the handshake failed, TLS broke right after it, or TLS is mandatory and the
                         server does not offer it */
    PEER_UNFIT,       /* no REQUIRETLS offered, or the name is not proved (is_unfit below) */
    PEER_LOST,        /* the connection broke or was closed */
    PEER_TIMEOUT,
    PEER_MALFORMED, /* the server does not speak SMTP */
    PEER_LOCAL,     /* our own fault: no memory, no descriptor, a body that cannot be read */
};

struct peer_failure {
    enum peer_failure_kind kind;
    bool is_busy;    /* PEER_REFUSED with 421 or another 4yz: the server asks for less load */
    bool was_enough; /* 421 between messages: the server's limit for one connection is reached */
    bool is_unfit;   /* REQUIRETLS is demanded and the server cannot do it (RFC 8689 4.2.1):
                        PEER_UNFIT, or PEER_BAD_TLS that is not temporary */
    char code[12];   /* enhanced status code, 4.y.z */
    char words[200]; /* for people */
    struct buffer reply; /* the server's own reply, line by line; may be empty */
};

struct peer;
struct scram_client;

/* Called by the loop, never from inside a peer_* call. A message that comes back undelivered to
 * some of its recipients carries the dialogue about it in its transcript. After closed() the peer
 * is dead; free it no earlier than at the end of the turn, after peer_clear(). */
struct peer_handler {
    /* settings->other answered first and is the one connected to: the owner corrects the
     * settings. */
    void (*moved)(struct peer *peer);
    void (*ready)(struct peer *peer); /* the server takes messages from now on; called once */
    /* Returns a message to send, which the peer holds from then on, or NULL. `ahead`: it will be
     * queued after one that the server has not answered yet. */
    struct outgoing *(*next)(struct peer *peer, bool ahead);
    void (*settled)(struct peer *peer, struct outgoing *message); /* for all its recipients */
    /* Some recipients of the message are not settled, because the connection ended first (`why` as
     * in closed(), which follows) or takes no more transactions (`why` is NULL). */
    void (*returned)(struct peer *peer, struct outgoing *message, const struct peer_failure *why);
    /* The server's answer to a message asks for less load (4.7.z, 4.3.2, 451 4.4.5 and similar). */
    void (*slowed)(struct peer *peer);
    /* QUIT was sent: the peer takes no more messages. closed() follows within 2 s. */
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
    PEER_QUIT, /* QUIT was sent; waits only for the connection to end */
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
    uint8_t places[RELAY_RECIPIENTS_MAX]; /* indexes into the message's recipients */
    unsigned recipients;                  /* of this transaction, in `places` */
    unsigned commands; /* total: RSET if needed, MAIL, one RCPT per recipient, DATA */
    unsigned sent;
    unsigned answered;
    unsigned accepted;
    unsigned needs;  /* enum envelope_needs */
    bool is_planned; /* `downgrade` is being planned; no command has been sent yet */
    bool reset_first;
    bool mail_refused;
    bool sending; /* DATA was answered with 354 */
    bool written; /* the final dot is in the output */
    struct outgoing_cursor at;
    struct downgrade *downgrade; /* read instead of `at`; NULL: the message is sent as it is */
    struct data_encoder encoder;
    struct transcript *transcript; /* one of the peer's two, for the whole message */
};

struct peer {
    void *owner; /* the caller's */
    const struct peer_handler *handler;
    const struct peer_settings *settings;
    uint8_t *chunk; /* OUTGOING_CHUNK octets, shared by all peers of the process */
    enum peer_state state;

    /* The rest of relay may read these. */
    struct capabilities offers;
    const char *tls_version; /* static; NULL: no TLS */
    const char *tls_cipher;
    const char *tls_verified; /* as tls_client_verified */
    const char *tls_doubt;    /* as tls_client_doubt */
    unsigned transactions;    /* that have ended, as a count */
    unsigned messages;        /* settled or returned, as a count */
    uint64_t opened_ms;
    bool tried_other;          /* settings->other was tried besides settings->address */
    struct ip_address local;   /* our end of the connection; IP_NONE: it was never established */
    struct transcript opening; /* the dialogue before PEER_READY; the owner may prepend to it */

    /* Private to peer.c. */
    struct turn *turn;
    struct peer_way ways[2]; /* to settings->address and to ->other */
    ev_timer connect_timer;
    ev_timer stagger_timer;   /* until settings->other is tried */
    struct deferred work;     /* requested by peer_open, peer_poke and peer_abort */
    struct deferred planning; /* the next step of the exchange that is_planned */
    const char *abort_words;  /* NULL: no abort was requested */
    bool is_given_up;
    struct stream stream;
    struct peer_reply_reader reader;
    struct exchange current;
    struct exchange ahead;
    struct transcript transcripts[2]; /* of the exchanges */
    bool is_extended;                 /* EHLO or LHLO was accepted */
    bool is_logged_in;
    bool lacks_tls; /* the server has no acceptable TLS, and will have none next time */
    bool dirty;     /* RSET is due before the next MAIL */
    unsigned login_step;
    struct scram_client *scram; /* while logging in with SCRAM */
    struct buffer text;         /* text of an outcome or of commands; reused */
};

/* Begins to connect. Never fails synchronously: the handler is told what happens. */
void peer_open(struct peer *peer, const struct peer_settings *settings,
               const struct peer_handler *handler, struct turn *turn, uint8_t *chunk);

/* Says that there are messages: at the end of the turn the peer calls next(), if it can take
 * one. */
void peer_poke(struct peer *peer);

/* Whether the state is PEER_READY and the peer has no message. */
bool peer_is_idle(const struct peer *peer);

/* End the connection. peer_quit() sends QUIT if the peer is idle; otherwise, like peer_abort(), it
 * ends at once and the messages it holds come back as after a failure. closed() follows, at the end
 * of this turn or later. `words` is static. */
void peer_quit(struct peer *peer);
void peer_abort(struct peer *peer, const char *words);

/* Acts as if the timeout for an answer had expired. Does nothing once the state is PEER_READY. */
void peer_give_up(struct peer *peer);

/* Frees everything but the struct and calls no handler; all messages must have come back. May run
 * twice. */
void peer_clear(struct peer *peer);

/* Appends the text of an outcome (smtpd/queue/outcome/outcome_text.h) about this server. `reply`
 * holds the lines of its reply. */
void peer_append_outcome(const struct peer_settings *settings, struct slice code, const char *words,
                         struct slice reply, struct buffer *text);

#endif
