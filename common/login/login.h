/*
 * The half of a login role that imapd and pop3d share: connections, TLS, the question to `auth`,
 * and what becomes of a client that is let in. What differs, the language, is a struct
 * login_protocol. Runs in imapd-login and pop3d-login.
 *
 *     accepted ──> SECURING (implicit TLS) ──> TALKING ──login_ask──> ASKING
 *                      ^                        │  ^                   │ │
 *                      └─────login_start_tls────┘  └──────refused──────┘ │ admitted
 *                                                                        v
 *        CLOSING <── login_close, deadlines, limits ── any         handed over │ CARRYING
 *                                                                               │  ^
 *                                                      ROLE_ASLEEP ─> ASLEEP <──┘  │ ROLE_AWAKE
 *                                                                        └─────────┘
 *
 * In the clear the client's descriptor goes to the user's process and the session ends here; with
 * TLS the octets are carried between it and the client, decrypted, until either side ends.
 *
 * From CARRYING a client of IMAP who says UNAUTHENTICATE comes back to TALKING, by RETURNING:
 * common/login/login_return.c.
 *
 * A client of IMAP whose session is asleep (hibernation, common/role/master_protocol.h) is here
 * again, with the record of what its process knew; its first octet, or the master, has it handed
 * over anew. What that process gave back of a connection that is carried is the other end of
 * `user`: if nothing is under way in it, both ends are closed; else it goes to the next process as
 * it is.
 */
#ifndef COMMON_LOGIN_LOGIN_H
#define COMMON_LOGIN_LOGIN_H

#include "common/auth/auth_protocol.h"
#include "common/hash_table.h"
#include "common/login/sasl.h"
#include "common/net/acceptor.h"
#include "common/net/stream.h"
#include "common/role/role.h"
#include "common/tls/tls_role.h"

struct login_session;

enum login_state {
    LOGIN_SECURING,  /* the TLS handshake; nothing is read */
    LOGIN_TALKING,   /* commands are read */
    LOGIN_ASKING,    /* auth was asked; commands wait in the input */
    LOGIN_CARRYING,  /* logged in; both directions are carried */
    LOGIN_ASLEEP,    /* logged in; its session is asleep, or waking */
    LOGIN_RETURNING, /* logged out, but what was said on both sides is still on its way */
    LOGIN_CLOSING,   /* the last word is written */
    LOGIN_STATES,
};

/* Why a password does not let in. */
enum login_refusal {
    LOGIN_WRONG,     /* name or password: never said which */
    LOGIN_THROTTLED, /* too many failures before */
    LOGIN_EXPIRED,   /* right, but no longer valid */
    LOGIN_TEMPORARY, /* our trouble */
    LOGIN_MALFORMED, /* a message that is none of the mechanism */
    LOGIN_IN_USE,    /* POP3: another session has the maildrop */
};

/* Why a connection is ended by us while the client could still say something. */
enum login_end {
    LOGIN_END_TIMEOUT,      /* timeouts.login */
    LOGIN_END_SHUTDOWN,     /* the role was asked to stop */
    LOGIN_END_BAD_COMMANDS, /* limits.bad-commands */
    LOGIN_END_SILENT,       /* asleep for timeouts.imap */
    LOGIN_END_LOST,         /* what is asleep cannot be woken */
};

struct login_protocol {
    const char *alpn;      /* RFC 7301 */
    size_t session_octets; /* of the protocol's session, which begins with a struct login_session */

    /* A connection begins; says the greeting (with implicit TLS it goes out protected). */
    void (*begin)(struct login_session *session);
    /* Reads whole commands while login_is_talking() and the output is not full. */
    void (*step)(struct login_session *session);
    /* TLS has been added: what was said before counts no longer. */
    void (*secured)(struct login_session *session);
    /* Answers the command that called login_ask(). */
    void (*refused)(struct login_session *session, enum login_refusal refusal);
    /* auth has a message for the client, in the exchange that called login_ask_exchange(). */
    void (*challenged)(struct login_session *session, struct slice message);
    /* Says farewell, or nothing where the protocol wants that. */
    void (*farewell)(struct login_session *session, enum login_end end);
    /* What goes with the handoff: the tag that the user's process answers. */
    struct slice (*tag)(const struct login_session *session);
    /* Zeroes and frees all that was only for logging in; may run twice. */
    void (*forget)(struct login_session *session);
    /* The client is nobody again, with nothing said: as after begin(). NULL: never. */
    void (*returned)(struct login_session *session);
    /* A connection beyond a limit, or silent where one is reached: the whole of what it is told.
     * Appends to `text`. */
    void (*turn_away)(const char *limit, struct buffer *text);
};

/* One process. */
struct login_server {
    const struct login_protocol *protocol; /* the only one that is set before role_run() */
    struct role *role;
    struct turn turn;
    struct tls_role tls;
    struct acceptor acceptor;
    struct login_session *sessions; /* a list */
    struct login_session *asking;   /* a hash table, by request */
    struct login_session *served;   /* CARRYING or ASLEEP: a hash table, by number */
    uint64_t next_session;
    uint64_t next_request;
    uint64_t session_count;
    bool scram;          /* auth says that it may be offered */
    struct buffer reply; /* for the protocol to compose in; reset before each use */
};

/* One connection. */
struct login_session {
    struct stream client;
    struct stream user; /* to the user's process, while CARRYING */
    struct login_server *server;
    enum login_state state;
    struct login_session *prev;
    struct login_session *next;
    struct deferred freeing;
    struct deferred stepping;

    uint64_t number; /* in the log; never the same twice while the master lives */
    char name[17];   /* the same in hexadecimal */
    const struct config_listen *listen;
    struct ip_address address;
    uint16_t port;
    struct connection_share share;

    bool secured;         /* TLS */
    uint64_t login_until; /* turn_now_ms: when patience ends */
    uint32_t bad_commands;
    uint64_t request; /* what auth was asked, while ASKING */
    bool exchanging;  /* by login_ask_exchange() */
    bool served;      /* among the server's */
    UT_hash_handle hh;
    struct login_sleep *sleep; /* NULL: its user's process knows all of it */
    struct login_return *back; /* NULL: not RETURNING, or all that comes back is here */
};

/* The role; its state is a struct login_server. */
extern const struct role_spec login_role;

static inline bool login_is_talking(const struct login_session *session)
{
    return session->state == LOGIN_TALKING && !stream_is_over(&session->client);
}

static inline const struct config *login_config(const struct login_session *session)
{
    return &session->server->role->config;
}

/* May STARTTLS be offered? There is a certificate, and no TLS yet. */
bool login_can_start_tls(const struct login_session *session);

/* May a password be sent? With TLS, or from this machine where the configuration allows it. */
bool login_takes_passwords(const struct login_session *session);

/* The mechanisms that are offered where it may, for common/login/sasl.h. */
unsigned login_mechanisms(const struct login_session *session);

/* After the answer to STARTTLS was written: discards what came behind the command, begins the
 * handshake. */
void login_start_tls(struct login_session *session);

/* Asks auth. Answered by refused(), perhaps before this returns, or by the user's process. Name and
 * password are borrowed for the call; no length is too much. */
void login_ask(struct login_session *session, struct slice name, struct slice password);

/* What SASL came to: the same; acting as somebody else is refused as wrong (RFC 4616 2). */
void login_ask_sasl(struct login_session *session, const struct sasl *sasl);

/* A message of a mechanism that auth speaks: answered by challenged(), or as login_ask(). */
void login_ask_exchange(struct login_session *session, const struct sasl *sasl);

/* A command that was refused, after its reply was written. False: it was one too many, the session
 * is closing. */
bool login_count_bad_command(struct login_session *session);

/* Writes what server->reply holds; a failed buffer fails the stream. */
void login_reply(struct login_session *session);

/* The client has the last word it needs: ends in peace. `reason` for the log. */
void login_close(struct login_session *session, const char *reason);

#endif
