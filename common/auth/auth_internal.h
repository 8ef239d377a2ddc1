/* Shared by the parts of the role `auth`; auth.h says which part does what. */
#ifndef COMMON_AUTH_AUTH_INTERNAL_H
#define COMMON_AUTH_AUTH_INTERNAL_H

#include "common/auth/auth.h"
#include "common/auth/auth_protocol.h"
#include "common/auth/directory.h"
#include "common/auth/introspection.h"
#include "common/auth/proof.h"
#include "common/auth/throttle.h"
#include "common/hash_table.h"
#include "common/role/role_user.h"
#include "common/role/turn.h"

/* --- auth_workers.c --------------------------------------------------------------------------- */

enum auth_job_kind {
    AUTH_JOB_USER,     /* looks up a system user; served before all passwords */
    AUTH_JOB_PASSWORD, /* checks a password */
    AUTH_JOB_TOKEN,    /* checks an access token or certificate, given as the password */
    AUTH_JOB_NOTHING,  /* checks nothing: queued like a password check, so that an unknown name
                          takes as long as a known one */
};

/* The result of a job. */
struct auth_job_answer {
    enum auth_verdict_kind verdict; /* AUTH_TEMPORARY also if the user could not be looked up */
    const struct system_user *user; /* AUTH_JOB_USER: NULL if there is no such user */
    struct slice name;              /* AUTH_JOB_TOKEN, granted: the account that it names */
    int64_t until;                  /* AUTH_JOB_TOKEN, granted: as in struct check_token_answer */
};

/* Embedded in an object of the caller, who zeroes it and sets the fields up to `done`. The slices
 * are borrowed until `done` is called. */
struct auth_job {
    enum auth_job_kind kind;
    uint32_t method; /* enum check_method, enum check_token_kind */
    struct slice name;
    struct slice verifier;
    struct slice password;
    struct ip_address address;
    void (*done)(struct auth_job *job, const struct auth_job_answer *answer); /* may free it */

    struct auth_job *prev;
    struct auth_job *next;
    uint64_t until_ms; /* deadline, by turn_now_ms(): it then ends with AUTH_TEMPORARY */
};

struct auth_workers {
    struct auth *auth;
    struct auth_job *waiting[2]; /* [0] user look-ups, [1] all others; oldest first */
    size_t waiting_count;
    uint64_t last_request;
    uint32_t asked_for; /* workers requested from the master by MASTER_CHECKS */
    ev_timer deadlines; /* once a second while there are jobs */
    struct deferred feed;
};

void auth_workers_init(struct auth_workers *workers, struct auth *auth);

/* Queues the job. Its `done` is called exactly once, never before this returns; if no worker
 * answers in time, with AUTH_TEMPORARY. False: too many jobs wait; `done` will not be called. */
bool auth_workers_submit(struct auth_workers *workers, struct auth_job *job);

/* After a reload, for which the master has reset the number of workers. */
void auth_workers_reload(struct auth_workers *workers);

/* A `check` process has connected, or died. */
void auth_worker_up(struct role_peer *peer);
void auth_worker_down(struct role_peer *peer);
enum { AUTH_RULES_CHECK = 3 };
extern const struct ipc_rule auth_rules_check[AUTH_RULES_CHECK];

/* --- auth_logins.c ---------------------------------------------------------------------------- */

struct auth_login;

struct auth_logins {
    struct auth *auth;
    struct auth_login *all;
    struct auth_login *throttled; /* logins that wait for other attempts to end */
    size_t count;
    struct deferred retry;
};

void auth_logins_init(struct auth_logins *logins, struct auth *auth);
bool auth_on_password(void *owner, struct ipc_packet *packet, struct error *error);

/* A login attempt. Borrowed for the call. */
struct auth_attempt {
    struct role_peer *peer;
    uint64_t request;
    const struct master_client *client;
    uint32_t service;
    const char *by;          /* mechanism, for the log; static */
    struct slice name;       /* as the client wrote it */
    struct slice password;   /* or the token: the throttle counts the same wrong one once */
    struct slice counted_as; /* the name under which the throttle counts failures */
    const struct directory_account *account; /* NULL: no such account */
    bool hears_why;                          /* a refusal goes through auth_tokens_refused() */
    bool by_token;                           /* `judged` is of a token: AUTH_GRANTED is final */
    enum auth_verdict_kind judged;           /* 0: the password is still to be checked. AUTH_WRONG,
                                                AUTH_GRANTED: a token or a SCRAM proof was checked already;
                                                after the throttle, a granted proof goes to
                                                auth_exchange_proved() */
};
void auth_logins_begin(const struct auth_attempt *attempt);

/* Grants the login for which auth_exchange_proved() was called before. */
void auth_logins_grant(const struct auth_attempt *attempt);

/* Sends AUTH_VERDICT for a refused login. */
void auth_answer_verdict(struct role_peer *peer, uint64_t request, enum auth_verdict_kind verdict);

/* --- auth_exchanges.c ------------------------------------------------------------------------- */

struct auth_exchange;

/* Where an answer goes. */
struct auth_asker {
    uint64_t session;
    enum role_kind peer_kind;
    uint32_t peer_number;
    uint64_t request;
};
/* The SCRAM proof was right and passed the throttle: sends the client the server's final message.
 * The login is granted when the client has answered it. */
void auth_exchange_proved(struct auth *auth, const struct auth_asker *asker);
void auth_exchanges_peer_down(struct auth *auth, const struct role_peer *peer);
bool auth_on_sasl(void *owner, struct ipc_packet *packet, struct error *error);

/* Tells a session or login process that has connected whether SCRAM is offered. */
void auth_offer_to(struct role_peer *peer);

/* After the directory has changed: tells all of them if SCRAM is offered now and was not, or the
 * reverse. */
void auth_look_what_to_offer(struct auth *auth);

/* --- auth_tokens.c ---------------------------------------------------------------------------- */

/* Handles a message of OAUTHBEARER, XOAUTH2 or EXTERNAL. The peer always gets an answer. */
void auth_tokens_ask(struct role_peer *peer, struct ipc_packet *packet, struct slice message,
                     struct slice certificates);

/* Tells the client why its token was refused (RFC 7628 3.2.2); the client's answer is ignored. */
void auth_tokens_refused(struct role_peer *peer, uint64_t request);

/* --- auth_names.c ----------------------------------------------------------------------------- */

/* An account over quota, as reported by queue after a delivery. */
struct auth_full_account {
    UT_hash_handle hh;
    uint64_t until_ms;
    size_t octets;
    uint8_t account[MASTER_ACCOUNT_MAX];
};

bool auth_on_recipient(void *owner, struct ipc_packet *packet, struct error *error);
bool auth_on_sender(void *owner, struct ipc_packet *packet, struct error *error);
bool auth_on_read(void *owner, struct ipc_packet *packet, struct error *error);
bool auth_on_target(void *owner, struct ipc_packet *packet, struct error *error);
/* ROLE_FIND; owner: struct role. */
bool auth_on_find(void *owner, struct ipc_packet *packet, struct error *error);
bool auth_on_full(void *owner, struct ipc_packet *packet, struct error *error);

/* --- auth.c ----------------------------------------------------------------------------------- */

enum {
    AUTH_OWNERS_MAX = 16,
    AUTH_TOKEN_LIFETIME_MS = 24 * 60 * 60 * 1000, /* longer than any session */
};

/* A system user that owns virtual mail. Looked up in NSS before the sandbox is entered, and kept by
 * name for a reload. */
struct auth_owner {
    char name[64];
    struct role_user user;
};

struct auth_parked;

struct auth {
    struct role *role;
    struct turn turn;
    struct arena arena; /* of one request */
    struct directory directory;
    bool directory_changed; /* the check of the files under way has found a change */
    uint64_t looked_ns;     /* when the files were last checked for changes; 0: not yet */
    struct auth_owner owners[AUTH_OWNERS_MAX];
    size_t owner_count;
    struct throttle *throttle;
    struct proofs *proofs;
    struct token_key token_key;
    struct auth_workers workers;
    struct auth_logins logins;
    struct introspections introspections;
    struct auth_exchange *exchanges; /* a hash table, by session */
    bool offers_scram;
    struct auth_full_account *full;
    struct auth_parked *parked; /* requests that wait for a system user to be looked up */
    size_t parked_count;
    unsigned replays; /* how often the current request was parked before; 0: it is new */
};

static inline struct auth *auth_of(const struct role_peer *peer)
{
    return peer->role->state;
}

/* To be called first for each request: reloads changed files (checked once a turn), resets the
 * arena. */
void auth_begin_request(struct auth *auth);

/* If the request failed because a system user has not been looked up yet: copies the request, and
 * calls the handler again when the user is known. False: the failure had another cause, too many
 * requests wait, or this one was parked too often; the caller answers with a temporary error. */
bool auth_park(struct role_peer *peer, const struct ipc_packet *packet, ipc_handler *handler);

/* auth_park() for a request of the master; the handler's owner is the role. */
bool auth_park_of_master(struct auth *auth, const struct ipc_packet *packet, ipc_handler *handler);

/* Sends a record to a peer that may be gone or congested: in that case its question stays
 * unanswered, and one line is logged. */
void auth_answer(struct role_peer *peer, const struct ipc_message *message);

#endif
