/*
 * Logins by a password, or by a proof or token that was checked already. One login, from its
 * question to its answer:
 *
 *     asked ──> (parked: auth.c, if a system user must be looked up) ──> TRYING
 *     TRYING ─throttle says wait─> THROTTLED ─an attempt of others ended─> TRYING
 *        │ paused: THROTTLE_PAUSED            │ too long: AUTH_TEMPORARY
 *        v                                    v
 *     CHECKING (a proof answers at once, else a job) ──> granted, or HELD
 *     HELD ─the time that every refusal takes is over─> answered
 *
 * A login goes on when the process that asked has died: its failure counts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>
#include <utlist.h>

#include "common/auth/auth_internal.h"
#include "common/auth/password.h"
#include "common/auth/record_texts.h"
#include "common/auth/resolve.h"
#include "common/size.h"

enum {
    LOGINS_MAX = 4096,
};
static const double throttled_s = 20.0;

struct auth_login {
    struct auth *auth;
    struct auth_login *prev; /* in `all`, or in `throttled` */
    struct auth_login *next;
    enum role_kind peer_kind;
    uint32_t peer_number;
    uint64_t request;
    struct master_client client;
    uint32_t service;
    uint64_t asked_ms; /* turn_now_ms */
    struct throttle_who who;
    struct auth_job job;
    ev_timer timer; /* THROTTLED: how long; HELD: until when */
    enum auth_verdict_kind verdict;
    enum auth_verdict_kind judged; /* 0: the password is to be checked */
    bool by_token;
    bool hears_why;
    const char *by;
    bool exists;
    bool is_throttled;     /* it is in that list */
    struct slice name;     /* as the client wrote it */
    struct slice account;  /* canonical; empty: there is none */
    struct slice verifier; /* empty: PAM */
    struct slice password;
    size_t octets;
    uint8_t texts[]; /* all four */
};

/* --- Birth and end ---------------------------------------------------------------------------- */

static struct slice keep(struct auth_login *login, struct slice text)
{
    uint8_t *kept = login->texts + login->octets;
    if (text.len > 0)
        memcpy(kept, text.ptr, text.len);
    login->octets += text.len;
    return slice_of(kept, text.len);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events);

static struct auth_login *new_login(struct auth_logins *logins, const struct auth_attempt *attempt)
{
    const struct directory_account *account = attempt->account;
    struct slice none = {0};
    struct slice verifier = account && account->file ? account->file->verifier : none;
    struct slice name = account ? account->name : none;
    struct auth_login *login = calloc(1, sizeof(*login) + attempt->name.len + name.len
                                             + verifier.len + attempt->password.len);
    if (!login)
        return NULL;
    login->auth = logins->auth;
    login->peer_kind = attempt->peer->kind;
    login->peer_number = attempt->peer->number;
    login->request = attempt->request;
    login->client = *attempt->client;
    login->service = attempt->service;
    login->judged = attempt->judged;
    login->by_token = attempt->by_token;
    login->hears_why = attempt->hears_why;
    login->by = attempt->by;
    login->asked_ms = turn_now_ms();
    login->exists = account != NULL;
    login->name = keep(login, attempt->name);
    login->account = keep(login, name);
    login->verifier = keep(login, verifier);
    login->password = keep(login, attempt->password);
    ev_timer_init(&login->timer, on_timer, 0., 0.);
    login->timer.data = login;
    DL_APPEND(logins->all, login);
    logins->count++;
    return login;
}

static void take_out(struct auth_login *login)
{
    struct auth_logins *logins = &login->auth->logins;
    if (login->is_throttled)
        DL_DELETE(logins->throttled, login);
    else
        DL_DELETE(logins->all, login);
}

static void put_in(struct auth_login *login, bool throttled)
{
    struct auth_logins *logins = &login->auth->logins;
    take_out(login);
    login->is_throttled = throttled;
    if (throttled)
        DL_APPEND(logins->throttled, login);
    else
        DL_APPEND(logins->all, login);
}

static void free_login(struct auth_login *login)
{
    ev_timer_stop(login->auth->role->loop, &login->timer);
    take_out(login);
    login->auth->logins.count--;
    sodium_memzero(login->texts, login->octets);
    free(login);
}

/* --- The answer ------------------------------------------------------------------------------- */

static const char *word_of(enum auth_verdict_kind verdict)
{
    switch (verdict) {
    case AUTH_GRANTED:
        return "granted";
    case AUTH_WRONG:
        return "wrong";
    case AUTH_THROTTLED:
        return "throttled";
    case AUTH_EXPIRED:
        return "expired";
    case AUTH_TEMPORARY:
    case AUTH_MALFORMED: /* nobody's login */
        break;
    }
    return "temporary";
}

static void log_login(struct auth_login *login, enum log_level level, const char *event)
{
    char address[IP_ADDRESS_TEXT_SIZE];
    char session[17]; /* as the sessions write it */
    snprintf(session, sizeof(session), "%" PRIx64, login->client.session);
    LOG(&login->auth->role->log, level, event, log_id("session", session),
        log_text("service", config_service_name(login->service)), log_bytes("name", login->name),
        log_bytes("account", login->account),
        log_id("client", ip_address_format(&login->client.address, address)),
        log_text("verdict", word_of(login->verdict)), log_text("by", login->by));
}

static struct role_peer *asker_of(const struct auth_login *login)
{
    return role_find_peer_number(login->auth->role, login->peer_kind, login->peer_number);
}

static void answer_verdict(const struct auth_login *login)
{
    struct role_peer *peer = asker_of(login);
    bool granted = login->verdict == AUTH_GRANTED;
    struct auth_verdict answer = {
        .header = {.type = AUTH_VERDICT, .request = login->request},
        .verdict = login->verdict,
        .account_octets = granted ? (uint32_t)login->account.len : 0,
    };
    if (granted)
        token_issue(&answer.token, &login->auth->token_key, login->client.session, login->account,
                    turn_now_ms() + AUTH_TOKEN_LIFETIME_MS);
    struct ipc_message message = {.head = &answer.header,
                                  .head_octets = sizeof(answer),
                                  .tail = &login->account,
                                  .tail_count = granted};
    if (peer)
        auth_answer(peer, &message);
}

/* Refused, now. */
static void refuse(struct auth_login *login)
{
    struct role_peer *peer = asker_of(login);
    log_login(login, LOG_INFO, "login_refused");
    if (login->hears_why && login->verdict == AUTH_WRONG && peer)
        auth_tokens_refused(peer, login->request);
    else
        answer_verdict(login);
    free_login(login);
}

/* Refused when the time is over that all refusals of this name and network take now. One that is
 * late by itself waits for the next multiple of it: its age says nothing either. */
static void hold(struct auth_login *login, enum auth_verdict_kind verdict)
{
    struct auth *auth = login->auth;
    uint64_t now_ms = turn_now_ms();
    uint64_t held_ms = throttle_refusal_ms(auth->throttle, &login->who, now_ms);
    uint64_t age_ms = now_ms - login->asked_ms;
    uint64_t left_ms = held_ms > 0 ? held_ms - age_ms % held_ms : 0;
    login->verdict = verdict;
    ev_timer_set(&login->timer, (double)left_ms / 1000, 0.);
    ev_timer_start(auth->role->loop, &login->timer);
}

/* --- Success ---------------------------------------------------------------------------------- */

static bool tell_master(const struct auth_login *login, const struct directory_account *account,
                        struct error *error)
{
    const struct auth *auth = login->auth;
    struct master_admit record = {
        .header = {.type = MASTER_ADMIT, .request = login->request},
        .login_kind = login->peer_kind,
        .login_number = login->peer_number,
        .client = login->client,
    };
    char path[MASTER_PATH_MAX + 1];
    if (!directory_find_home(&auth->directory, account, &record.home, path, error))
        return false;
    struct slice tail[] = {account->name, slice_of_string(path)};
    struct ipc_message message = {
        .head = &record.header, .head_octets = sizeof(record), .tail = tail, .tail_count = 2};
    return ipc_send(&auth->role->master, &message, error);
}

/* The account is asked for once more: it may have been removed while its password was checked. Of a
 * system user what was known then will do. */
static bool admit(struct auth_login *login, struct error *error)
{
    struct directory_account account;
    return directory_find_account(&login->auth->directory, login->account, login->asked_ms,
                                  &account, error)
           && (login->peer_kind == ROLE_SUBMISSION || tell_master(login, &account, error));
}

static void grant(struct auth_login *login)
{
    struct error error;
    login->verdict = AUTH_GRANTED;
    if (!admit(login, &error)) {
        LOG(&login->auth->role->log, LOG_ERROR, "not_admitted",
            log_bytes("account", login->account), log_failure(&error));
        login->verdict = AUTH_TEMPORARY;
        refuse(login);
        return;
    }
    log_login(login, LOG_INFO, "login");
    if (login->peer_kind == ROLE_SUBMISSION)
        answer_verdict(login);
    free_login(login);
}

/* --- Verdicts --------------------------------------------------------------------------------- */

static struct proof_claim claim_of(const struct auth_login *login)
{
    return (struct proof_claim){login->account, login->password, login->verifier};
}

static void log_pause(const struct auth_login *login, const struct throttle_news *news)
{
    char address[IP_ADDRESS_TEXT_SIZE];
    if (!news->pair_paused && !news->network_paused)
        return;
    LOG(&login->auth->role->log, LOG_WARNING, "guessing_paused",
        log_text("what", news->network_paused ? "network" : "account and network"),
        log_bytes("name", login->name),
        log_id("client", ip_address_format(&login->client.address, address)),
        log_number("failures", news->failures));
}

static void fail(struct auth_login *login)
{
    struct throttle_news news =
        throttle_failed(login->auth->throttle, &login->who, login->password, turn_now_ms());
    log_pause(login, &news);
    hold(login, AUTH_WRONG);
}

/* The client gets our proof; it is let in when it has said that it took it. */
static void show_proof(struct auth_login *login)
{
    const struct auth_asker asker = {login->client.session, login->peer_kind, login->peer_number,
                                     login->request};
    auth_exchange_proved(login->auth, &asker);
    free_login(login);
}

/* The attempt is over; others may have waited for that. */
static void settle(struct auth_login *login, enum auth_verdict_kind verdict)
{
    struct auth *auth = login->auth;
    turn_defer(&auth->turn, &auth->logins.retry);
    switch (verdict) {
    case AUTH_GRANTED:
        throttle_succeeded(auth->throttle, &login->who, turn_now_ms());
        if (login->judged && !login->by_token)
            show_proof(login);
        else
            grant(login);
        break;
    case AUTH_EXPIRED:
        throttle_succeeded(auth->throttle, &login->who, turn_now_ms());
        hold(login, AUTH_EXPIRED);
        break;
    case AUTH_WRONG:
        fail(login);
        break;
    default:
        throttle_abandoned(auth->throttle, &login->who);
        login->verdict = AUTH_TEMPORARY;
        refuse(login);
        break;
    }
}

static void on_checked(struct auth_job *job, const struct auth_job_answer *answer)
{
    struct auth_login *login =
        (struct auth_login *)(void *)((uint8_t *)job - offsetof(struct auth_login, job));
    /* PAM's verifier is not ours to see: nothing would end a proof. */
    if (answer->verdict == AUTH_GRANTED && login->verifier.len > 0) {
        struct proof_claim claim = claim_of(login);
        proofs_remember(login->auth->proofs, &claim, turn_now_ms());
    }
    settle(login, answer->verdict);
}

/* --- Trying ----------------------------------------------------------------------------------- */

/* Whether that password could be right for that account at all. */
static bool is_checkable(const struct auth_login *login)
{
    return login->exists && login->password.len > 0 && login->password.len <= PASSWORD_MAX
           && (login->verifier.len == 0 || password_kind(login->verifier) == PASSWORD_ARGON2ID);
}

static bool has_proof(const struct auth_login *login)
{
    struct proof_claim claim = claim_of(login);
    return login->exists && login->verifier.len > 0
           && proofs_hold(login->auth->proofs, &claim, turn_now_ms());
}

static void check(struct auth_login *login)
{
    if (login->judged) {
        settle(login, login->judged);
        return;
    }
    if (has_proof(login)) {
        settle(login, AUTH_GRANTED);
        return;
    }
    login->job = (struct auth_job){
        .kind = is_checkable(login) ? AUTH_JOB_PASSWORD : AUTH_JOB_NOTHING,
        .method = login->verifier.len > 0 ? CHECK_HASH : CHECK_PAM,
        .name = login->account,
        .verifier = login->verifier,
        .password = login->password,
        .address = login->client.address,
        .done = on_checked,
    };
    if (!auth_workers_submit(&login->auth->workers, &login->job))
        settle(login, AUTH_TEMPORARY);
}

static void throttle_login(struct auth_login *login)
{
    if (login->is_throttled)
        return; /* its timer runs already */
    put_in(login, true);
    ev_timer_set(&login->timer, throttled_s, 0.);
    ev_timer_start(login->auth->role->loop, &login->timer);
}

static void try_login(struct auth_login *login)
{
    enum throttle_verdict verdict =
        throttle_begin(login->auth->throttle, &login->who, turn_now_ms());
    if (verdict == THROTTLE_WAIT) {
        throttle_login(login);
        return;
    }
    if (login->is_throttled) {
        ev_timer_stop(login->auth->role->loop, &login->timer);
        put_in(login, false);
    }
    if (verdict == THROTTLE_PAUSED)
        hold(login, AUTH_THROTTLED);
    else
        check(login);
}

/* HELD and over: the answer. THROTTLED for too long: temporary. */
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct auth_login *login = timer->data;
    if (login->is_throttled)
        login->verdict = AUTH_TEMPORARY;
    refuse(login);
}

static void retry(struct deferred *deferred)
{
    struct auth_logins *logins =
        (struct auth_logins *)(void *)((uint8_t *)deferred - offsetof(struct auth_logins, retry));
    struct auth_login *login;
    struct auth_login *next;
    DL_FOREACH_SAFE (logins->throttled, login, next)
        try_login(login);
}

void auth_logins_init(struct auth_logins *logins, struct auth *auth)
{
    *logins = (struct auth_logins){.auth = auth, .retry.run = retry};
}

/* --- The question ----------------------------------------------------------------------------- */

static void answer_temporary(struct role_peer *peer, uint64_t request)
{
    struct auth_verdict answer = {.header = {.type = AUTH_VERDICT, .request = request},
                                  .verdict = AUTH_TEMPORARY};
    struct ipc_message message = {.head = &answer.header, .head_octets = sizeof(answer)};
    LOG(&peer->role->log, LOG_WARNING, "login_not_taken",
        log_text("peer", role_kind_name(peer->kind)));
    auth_answer(peer, &message);
}

void auth_logins_begin(const struct auth_attempt *attempt)
{
    struct auth *auth = auth_of(attempt->peer);
    struct auth_login *login =
        auth->logins.count < LOGINS_MAX ? new_login(&auth->logins, attempt) : NULL;
    if (!login) {
        answer_temporary(attempt->peer, attempt->request);
        return;
    }
    login->who = throttle_who(auth->throttle, attempt->counted_as, &attempt->client->address);
    try_login(login);
}

void auth_logins_grant(const struct auth_attempt *attempt)
{
    struct auth_login *login = new_login(&auth_of(attempt->peer)->logins, attempt);
    if (login)
        grant(login);
    else
        answer_temporary(attempt->peer, attempt->request);
}

bool auth_on_password(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct auth *auth = auth_of(peer);
    const struct auth_password *record = packet->record;
    const uint32_t lengths[] = {record->name_octets, record->password_octets};
    struct slice texts[ARRAY_LENGTH(lengths)] = {{0}};
    struct directory_account account;
    struct error reason = {0};
    if (!record_texts(packet, sizeof(*record), lengths, texts, ARRAY_LENGTH(texts), error))
        return false;
    if (record->service >= CONFIG_SERVICES)
        return error_set(error, ERROR_PEER, "service %u", record->service);
    struct auth_attempt attempt = {.peer = peer,
                                   .request = record->header.request,
                                   .client = &record->client,
                                   .service = record->service,
                                   .by = "password",
                                   .name = texts[0],
                                   .password = texts[1]};
    auth_begin_request(auth);
    if (resolve_login(&auth->directory, attempt.name, turn_now_ms(), &auth->arena, &account,
                      &attempt.counted_as, &reason))
        attempt.account = &account;
    else if (reason.kind != ERROR_NOT_FOUND) {
        if (!auth_park(peer, packet, auth_on_password))
            answer_temporary(peer, record->header.request);
        return true;
    }
    auth_logins_begin(&attempt);
    return true;
}
