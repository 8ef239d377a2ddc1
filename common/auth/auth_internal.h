/* What the parts of the role `auth` see of each other; auth.h says which part does what. */
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
    AUTH_JOB_USER,     /* who is that system user? Goes before all passwords */
    AUTH_JOB_PASSWORD, /* is this the password? */
    AUTH_JOB_TOKEN,    /* whose is this access token or certificate (the password)? */
    AUTH_JOB_NOTHING,  /* a password that cannot be right: it waits in line like the others, so that
                          a name that does not exist takes as long as one that does */
};

/* What became of a job. */
struct auth_job_answer {
    enum auth_verdict_kind verdict; /* AUTH_TEMPORARY also for a user that nobody could look up */
    const struct system_user *user; /* AUTH_JOB_USER: NULL if there is none */
    struct slice name;              /* AUTH_JOB_TOKEN that is right: whom it names */
    int64_t until;                  /* the same: of struct check_token_answer */
};

/* Lives in whoever wants to know. Zeroed and given the first half, it is ready. The slices are
 * borrowed until `done`. */
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
    uint64_t until_ms; /* turn_now_ms: then it ends in AUTH_TEMPORARY */
};

struct auth_workers {
    struct auth *auth;
    struct auth_job *waiting[2]; /* users, then passwords; oldest first */
    size_t waiting_count;
    uint64_t last_request;
    uint32_t asked_for; /* how many workers the master was told we want */
    ev_timer deadlines; /* once a second while there are jobs */
    struct deferred feed;
};

void auth_workers_init(struct auth_workers *workers, struct auth *auth);

/* The job is done before long, with AUTH_TEMPORARY in the worst case, never before this returns.
 * False: too many wait, nothing was taken. */
bool auth_workers_submit(struct auth_workers *workers, struct auth_job *job);

/* The master counts anew. */
void auth_workers_reload(struct auth_workers *workers);

/* A `check` process. */
void auth_worker_up(struct role_peer *peer);
void auth_worker_down(struct role_peer *peer);
enum { AUTH_RULES_CHECK = 3 };
extern const struct ipc_rule auth_rules_check[AUTH_RULES_CHECK];

/* --- auth_logins.c ---------------------------------------------------------------------------- */

struct auth_login;

struct auth_logins {
    struct auth *auth;
    struct auth_login *all;
    struct auth_login *throttled; /* wait until attempts of others have ended */
    size_t count;
    struct deferred retry;
};

void auth_logins_init(struct auth_logins *logins, struct auth *auth);
bool auth_on_password(void *owner, struct ipc_packet *packet, struct error *error);

/* Somebody tries to log in. Borrowed for the call. */
struct auth_attempt {
    struct role_peer *peer;
    uint64_t request;
    const struct master_client *client;
    uint32_t service;
    const char *by;        /* for the log; static */
    struct slice name;     /* as the client wrote it */
    struct slice password; /* or what stands for it in the count of failures */
    struct slice counted_as;
    const struct directory_account *account; /* NULL: none */
    bool hears_why;                          /* of a refusal: auth_tokens_refused() */
    bool by_token;                           /* judged already: AUTH_GRANTED lets in at once */
    enum auth_verdict_kind judged; /* 0: the password is to be checked. AUTH_WRONG, AUTH_GRANTED:
                                      a proof was; if the throttle lets it pass, the second goes to
                                      auth_exchange_proved() */
};
void auth_logins_begin(const struct auth_attempt *attempt);

/* Lets in whom auth_exchange_proved() was called for. */
void auth_logins_grant(const struct auth_attempt *attempt);

/* AUTH_VERDICT, of a refusal. */
void auth_answer_verdict(struct role_peer *peer, uint64_t request, enum auth_verdict_kind verdict);

/* --- auth_exchanges.c ------------------------------------------------------------------------- */

struct auth_exchange;

/* Whose question is to be answered. */
struct auth_asker {
    uint64_t session;
    enum role_kind peer_kind;
    uint32_t peer_number;
    uint64_t request;
};
void auth_exchange_proved(struct auth *auth, const struct auth_asker *asker);
void auth_exchanges_peer_down(struct auth *auth, const struct role_peer *peer);
bool auth_on_sasl(void *owner, struct ipc_packet *packet, struct error *error);

/* Tells a session or login that came whether SCRAM is offered. */
void auth_offer_to(struct role_peer *peer);

/* The directory has changed: tells all of them if that did. */
void auth_look_what_to_offer(struct auth *auth);

/* --- auth_tokens.c ---------------------------------------------------------------------------- */

/* A message of OAUTHBEARER, XOAUTH2 or EXTERNAL, answered in any case. */
void auth_tokens_ask(struct role_peer *peer, struct ipc_packet *packet, struct slice message,
                     struct slice certificates);

/* The client hears why its token was refused (RFC 7628 3.2.2), and answers with nothing that
 * counts. */
void auth_tokens_refused(struct role_peer *peer, uint64_t request);

/* --- auth_names.c ----------------------------------------------------------------------------- */

/* An account at its quota, as queue heard from a delivery. */
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

/* Who owns virtual mail: asked of NSS before the walls stand, kept by name for a reload. */
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
    bool directory_changed; /* by the look that is being taken */
    uint64_t looked_ns;     /* when the files were last looked at; 0: not yet */
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
    unsigned replays; /* of the request that is being asked again; 0: it is new */
};

static inline struct auth *auth_of(const struct role_peer *peer)
{
    return peer->role->state;
}

/* Before a request: files are looked at once a turn, the arena is empty. */
void auth_begin_request(struct auth *auth);

/* Where a question ended in "not looked up yet": puts the request aside, to give it to its handler
 * again when the system user is known. False: that was not the reason, or too many wait, or it was
 * asked again too often; the caller answers with a temporary error. */
bool auth_park(struct role_peer *peer, const struct ipc_packet *packet, ipc_handler *handler);

/* The same for a question of the master, whose handler's owner is the role. */
bool auth_park_of_master(struct auth *auth, const struct ipc_packet *packet, ipc_handler *handler);

/* A record to a peer that may be gone or full: then its question stays open, as if it had not been
 * asked; one line in the log. */
void auth_answer(struct role_peer *peer, const struct ipc_message *message);

#endif
