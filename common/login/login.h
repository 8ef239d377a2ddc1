/*
 * The part of a login role that imapd and pop3d share: connections, TLS, the question to `auth`,
 * and passing on clients that have logged in. The protocol itself is a struct login_protocol. Runs
 * in imapd-login and pop3d-login.
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
 * Without TLS the client's descriptor goes to the user's process, and the session ends here; with
 * TLS the octets are carried between that process and the client, decrypted, until either side
 * ends.
 *
 * After IMAP's UNAUTHENTICATE a session goes from CARRYING by RETURNING back to TALKING:
 * common/login/login_return.c.
 *
 * While an IMAP session is asleep (hibernation, common/role/master_protocol.h) this process holds
 * the client's connection and the record of the session's state. The client's first octet, or the
 * master, causes a new handoff. Of a carried connection the user's process gives back the other end
 * of `user`: if no octets are in it both ends are closed; else it goes to the next process as it
 * is.
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
    LOGIN_SECURING,  /* TLS handshake; nothing is read */
    LOGIN_TALKING,   /* reading commands */
    LOGIN_ASKING,    /* auth was asked; commands wait in the input */
    LOGIN_CARRYING,  /* logged in; octets are carried in both directions */
    LOGIN_ASLEEP,    /* logged in; the session is asleep, or waking */
    LOGIN_RETURNING, /* logged out, but carried octets are still on their way */
    LOGIN_CLOSING,   /* the last reply was written to the stream */
    LOGIN_STATES,
};

/* Why a login is refused. */
enum login_refusal {
    LOGIN_WRONG,     /* wrong name or password, not said which */
    LOGIN_THROTTLED, /* too many failures before */
    LOGIN_EXPIRED,   /* right password, but it or the account has expired */
    LOGIN_TEMPORARY, /* a failure of the server */
    LOGIN_MALFORMED, /* not a message of the mechanism */
    LOGIN_IN_USE,    /* POP3: another session has the maildrop */
};

/* Why the server ends a connection. */
enum login_end {
    LOGIN_END_TIMEOUT,      /* timeouts.login */
    LOGIN_END_SHUTDOWN,     /* the role was asked to stop */
    LOGIN_END_BAD_COMMANDS, /* limits.bad-commands */
    LOGIN_END_SILENT,       /* asleep for timeouts.imap */
    LOGIN_END_LOST,         /* the sleeping session cannot be woken */
};

struct login_protocol {
    const char *alpn;      /* RFC 7301 */
    size_t session_octets; /* of the protocol's session, which begins with a struct login_session */

    /* A connection has been accepted: write the greeting (with implicit TLS it is sent after the
     * handshake). */
    void (*begin)(struct login_session *session);
    /* There is input: read whole commands while login_is_talking() and the output is not full. */
    void (*step)(struct login_session *session);
    /* STARTTLS is done: forget what the client said before. */
    void (*secured)(struct login_session *session);
    /* The login was refused: answer the command that called login_ask(). */
    void (*refused)(struct login_session *session, enum login_refusal refusal);
    /* auth's next message in the exchange that called login_ask_exchange(): send it. Borrowed. */
    void (*challenged)(struct login_session *session, struct slice message);
    /* The connection is about to be closed: write the protocol's last reply, if it has one. */
    void (*farewell)(struct login_session *session, enum login_end end);
    /* The tag for the handoff (struct handoff). Borrowed. */
    struct slice (*tag)(const struct login_session *session);
    /* Zero and free what was needed only to log in; may run twice. */
    void (*forget)(struct login_session *session);
    /* After UNAUTHENTICATE: reset the session to its state after begin(). NULL: never. */
    void (*returned)(struct login_session *session);
    /* A connection is refused at a limit, or closed for its silence there: append all that it is
     * sent to `text`. */
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
    struct login_session *asking;   /* ASKING: a hash table, by request */
    struct login_session *served;   /* CARRYING or ASLEEP: a hash table, by number */
    uint64_t next_session;
    uint64_t next_request;
    uint64_t session_count;
    bool scram;          /* auth allows SCRAM to be offered */
    struct buffer reply; /* scratch space for the protocol's replies; reset before each use */
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

    uint64_t number; /* in the log; unique while the master lives */
    char name[17];   /* `number` in hexadecimal */
    const struct config_listen *listen;
    struct ip_address address;
    uint16_t port;
    struct connection_share share;

    bool secured;         /* TLS is in use */
    uint64_t login_until; /* deadline for the login, by turn_now_ms() */
    uint32_t bad_commands;
    uint64_t request; /* while ASKING: number of the question to auth */
    bool exchanging;  /* while ASKING: by login_ask_exchange() */
    bool served;      /* in server->served */
    UT_hash_handle hh;
    struct login_sleep *sleep; /* NULL: the session is not asleep */
    struct login_return *back; /* NULL: not RETURNING, or all carried octets have arrived */
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

/* Whether STARTTLS is offered: there is a certificate, and no TLS yet. */
bool login_can_start_tls(const struct login_session *session);

/* Whether the client may send a password: with TLS, or from this host if configured. */
bool login_takes_passwords(const struct login_session *session);

/* The mechanisms to offer if it may send a password, for common/login/sasl.h. */
unsigned login_mechanisms(const struct login_session *session);

/* After the answer to STARTTLS was written: discards input after the command, begins the
 * handshake. */
void login_start_tls(struct login_session *session);

/* Asks auth. refused() is called, perhaps before this returns; or the user's process answers the
 * client. Name and password are borrowed for the call and may have any length. */
void login_ask(struct login_session *session, struct slice name, struct slice password);

/* login_ask() with the result of SASL_DONE. Another authorization identity is LOGIN_WRONG (RFC 4616
 * 2). */
void login_ask_sasl(struct login_session *session, const struct sasl *sasl);

/* After SASL_ASK: asks auth. challenged() is called, or it ends as login_ask(). */
void login_ask_exchange(struct login_session *session, const struct sasl *sasl);

/* Counts a bad command; call it after its reply was written. False: it was one too many, and the
 * session is closing. */
bool login_count_bad_command(struct login_session *session);

/* Writes server->reply to the client; a failed buffer fails the stream. */
void login_reply(struct login_session *session);

/* Closes the connection after the last reply was written. `reason` goes to the log. */
void login_close(struct login_session *session, const char *reason);

#endif
