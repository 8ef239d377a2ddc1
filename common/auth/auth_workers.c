/*
 * The pool of `check` processes: each has one job at a time, the others wait in two queues. If a
 * worker dies, or needs longer than WORK_MS, its job ends with a temporary error, and the master
 * starts another worker. More workers are requested while jobs wait and none is free.
 */
#include <stdlib.h>

#include <utlist.h>

#include "common/auth/auth_internal.h"
#include "common/auth/record_texts.h"
#include "common/size.h"

enum {
    WAITING_MAX = 4096,
    USERS = 0, /* lines of struct auth_workers */
    PASSWORDS = 1,
};

/* Both together leave room for a held refusal within the 60 s that an asker waits at least. */
enum { WAIT_MS = 20 * 1000, WORK_MS = 15 * 1000 };

/* In the peer's `data`. */
struct worker {
    struct auth_job *job; /* NULL: free */
    uint64_t request;     /* of that job */
    bool given_up;        /* it hangs; the master is ending it */
};

static void finish(struct auth_job *job, enum auth_verdict_kind verdict,
                   const struct system_user *user)
{
    const struct auth_job_answer answer = {.verdict = verdict, .user = user};
    job->done(job, &answer);
}

/* --- Deadlines -------------------------------------------------------------------------------- */

static void expire_waiting(struct auth_workers *workers, size_t line, uint64_t now_ms)
{
    struct auth_job *job;
    while ((job = workers->waiting[line]) && job->until_ms <= now_ms) {
        DL_DELETE(workers->waiting[line], job);
        workers->waiting_count--;
        finish(job, AUTH_TEMPORARY, NULL);
    }
}

/* Nobody but the master can end it; until then it is neither free nor at work. */
static void give_up(struct role_peer *peer)
{
    struct worker *worker = peer->data;
    struct auth_job *job = worker->job;
    struct master_hostile record = {
        .header = {.type = MASTER_HOSTILE}, .kind = peer->kind, .number = peer->number};
    worker->job = NULL;
    worker->given_up = true;
    LOG(&peer->role->log, LOG_ERROR, "check_hangs", log_number("number", peer->number));
    role_tell_master(peer->role, &record.header, sizeof(record), slice_of(NULL, 0));
    finish(job, AUTH_TEMPORARY, NULL);
}

static bool has_work(const struct auth *auth)
{
    const struct role_peer *peer;
    DL_FOREACH (auth->role->peers, peer) {
        const struct worker *worker = peer->kind == ROLE_CHECK ? peer->data : NULL;
        if (worker && worker->job)
            return true;
    }
    return auth->workers.waiting_count > 0;
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct auth_workers *workers = timer->data;
    uint64_t now_ms = turn_now_ms();
    struct role_peer *peer;
    DL_FOREACH (workers->auth->role->peers, peer) {
        struct worker *worker = peer->kind == ROLE_CHECK ? peer->data : NULL;
        if (worker && worker->job && worker->job->until_ms <= now_ms)
            give_up(peer);
    }
    expire_waiting(workers, USERS, now_ms);
    expire_waiting(workers, PASSWORDS, now_ms);
    if (!has_work(workers->auth))
        ev_timer_stop(loop, timer);
}

/* --- Handing out ------------------------------------------------------------------------------ */

static bool send_job(struct auth_workers *workers, struct role_peer *peer,
                     const struct auth_job *job)
{
    struct check_password password = {
        .header = {.type = CHECK_PASSWORD, .request = ++workers->last_request},
        .method = job->method,
        .name_octets = (uint32_t)job->name.len,
        .verifier_octets = (uint32_t)job->verifier.len,
        .password_octets = (uint32_t)job->password.len,
        .address = job->address,
    };
    struct check_user user = {
        .header = {.type = CHECK_USER, .request = workers->last_request},
        .name_octets = (uint32_t)job->name.len,
    };
    struct check_token token = {
        .header = {.type = CHECK_TOKEN, .request = workers->last_request},
        .kind = job->method,
        .name_octets = (uint32_t)job->name.len,
        .token_octets = (uint32_t)job->password.len,
    };
    struct slice token_texts[] = {job->name, job->password};
    struct slice texts[] = {job->name, job->verifier, job->password};
    struct ipc_message message = {.head = &password.header,
                                  .head_octets = sizeof(password),
                                  .tail = texts,
                                  .tail_count = ARRAY_LENGTH(texts)};
    if (job->kind == AUTH_JOB_USER)
        message = (struct ipc_message){
            .head = &user.header, .head_octets = sizeof(user), .tail = texts, .tail_count = 1};
    if (job->kind == AUTH_JOB_TOKEN)
        message = (struct ipc_message){.head = &token.header,
                                       .head_octets = sizeof(token),
                                       .tail = token_texts,
                                       .tail_count = ARRAY_LENGTH(token_texts)};
    return ipc_send(&peer->channel, &message, NULL);
}

static struct role_peer *find_free(const struct auth *auth)
{
    struct role_peer *peer;
    DL_FOREACH (auth->role->peers, peer) {
        const struct worker *worker = peer->kind == ROLE_CHECK ? peer->data : NULL;
        if (worker && !worker->job && !worker->given_up && ipc_is_open(&peer->channel))
            return peer;
    }
    return NULL;
}

static struct auth_job *take_waiting(struct auth_workers *workers)
{
    size_t line = workers->waiting[USERS] ? USERS : PASSWORDS;
    struct auth_job *job = workers->waiting[line];
    if (!job)
        return NULL;
    DL_DELETE(workers->waiting[line], job);
    workers->waiting_count--;
    return job;
}

static void hand_out(struct auth_workers *workers, struct role_peer *peer, struct auth_job *job)
{
    struct worker *worker = peer->data;
    job->until_ms = turn_now_ms() + WORK_MS;
    if (job->kind == AUTH_JOB_NOTHING) {
        finish(job, AUTH_WRONG, NULL);
    } else if (send_job(workers, peer, job)) {
        worker->job = job;
        worker->request = workers->last_request;
    } else { /* it leaves, as at a reload */
        worker->given_up = true;
        DL_PREPEND(workers->waiting[job->kind == AUTH_JOB_USER ? USERS : PASSWORDS], job);
        workers->waiting_count++;
    }
}

static void ask_for_more(struct auth_workers *workers)
{
    struct role *role = workers->auth->role;
    if (workers->asked_for >= role->config.processes.check)
        return;
    struct master_checks record = {.header = {.type = MASTER_CHECKS},
                                   .count = ++workers->asked_for};
    role_tell_master(role, &record.header, sizeof(record), slice_of(NULL, 0));
}

static void feed(struct deferred *deferred)
{
    struct auth_workers *workers =
        (struct auth_workers *)(void *)((char *)deferred - offsetof(struct auth_workers, feed));
    struct role_peer *peer;
    while (workers->waiting_count > 0 && (peer = find_free(workers->auth)))
        hand_out(workers, peer, take_waiting(workers));
    if (workers->waiting_count > 0)
        ask_for_more(workers);
}

bool auth_workers_submit(struct auth_workers *workers, struct auth_job *job)
{
    struct ev_loop *loop = workers->auth->role->loop;
    size_t line = job->kind == AUTH_JOB_USER ? USERS : PASSWORDS;
    if (workers->waiting_count >= WAITING_MAX)
        return false;
    job->until_ms = turn_now_ms() + WAIT_MS;
    DL_APPEND(workers->waiting[line], job);
    workers->waiting_count++;
    turn_defer(&workers->auth->turn, &workers->feed);
    if (!ev_is_active(&workers->deadlines))
        ev_timer_again(loop, &workers->deadlines);
    return true;
}

void auth_workers_init(struct auth_workers *workers, struct auth *auth)
{
    *workers = (struct auth_workers){.auth = auth, .asked_for = 1, .feed.run = feed};
    ev_timer_init(&workers->deadlines, on_second, 1.0, 1.0);
    workers->deadlines.data = workers;
}

void auth_workers_reload(struct auth_workers *workers)
{
    workers->asked_for = 1; /* what the master starts a configuration with */
    turn_defer(&workers->auth->turn, &workers->feed);
}

/* --- Answers ---------------------------------------------------------------------------------- */

/* The job that this answer is for: the one the worker has, whose number it bears. */
static bool take_answered(struct role_peer *peer, const struct ipc_packet *packet,
                          enum auth_job_kind kind, struct auth_job **job, struct error *error)
{
    struct worker *worker = peer->data;
    *job = worker->job;
    if (worker->given_up)
        return true; /* late, but an answer: the master is ending it all the same */
    if (!*job || worker->request != ipc_packet_header(packet)->request || (*job)->kind != kind)
        return error_set(error, ERROR_PEER, "an answer to no question");
    worker->job = NULL;
    turn_defer(&auth_of(peer)->turn, &auth_of(peer)->workers.feed);
    return true;
}

static bool on_verdict(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct check_verdict *record = packet->record;
    struct auth_job *job;
    if (record->verdict != AUTH_GRANTED && record->verdict != AUTH_WRONG
        && record->verdict != AUTH_EXPIRED && record->verdict != AUTH_TEMPORARY)
        return error_set(error, ERROR_PEER, "verdict %u", record->verdict);
    if (!take_answered(owner, packet, AUTH_JOB_PASSWORD, &job, error))
        return false;
    if (job)
        finish(job, record->verdict, NULL);
    return true;
}

static bool take_user(const struct ipc_packet *packet, struct system_user *user,
                      struct error *error)
{
    const struct check_user_answer *record = packet->record;
    const uint32_t lengths[] = {record->name_octets, record->home_octets};
    struct slice texts[ARRAY_LENGTH(lengths)] = {{0}};
    if (!record_texts(packet, sizeof(*record), lengths, texts, ARRAY_LENGTH(texts), error))
        return false;
    if (texts[0].len >= sizeof(user->name) || texts[1].len >= sizeof(user->home)
        || (record->found == CHECK_USER_FOUND && (texts[1].len == 0 || texts[1].ptr[0] != '/')))
        return error_set(error, ERROR_PEER, "name or home of a system user");
    *user = (struct system_user){.uid = record->uid, .gid = record->gid};
    memcpy(user->name, texts[0].ptr, texts[0].len);
    memcpy(user->home, texts[1].ptr, texts[1].len);
    return true;
}

static bool on_user(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct check_user_answer *record = packet->record;
    struct auth_job *job;
    struct system_user user;
    if (!take_user(packet, &user, error)
        || !take_answered(owner, packet, AUTH_JOB_USER, &job, error))
        return false;
    if (job)
        finish(job, record->found == CHECK_USER_TEMPORARY ? AUTH_TEMPORARY : AUTH_GRANTED,
               record->found == CHECK_USER_FOUND ? &user : NULL);
    return true;
}

static bool on_token(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct check_token_answer *record = packet->record;
    struct auth_job *job;
    struct slice name = {0};
    if (!record_texts(packet, sizeof(*record), &record->name_octets, &name, 1, error))
        return false;
    if (record->verdict != AUTH_WRONG && record->verdict != AUTH_TEMPORARY
        && (record->verdict != AUTH_GRANTED || name.len == 0))
        return error_set(error, ERROR_PEER, "verdict %u of a token", record->verdict);
    if (!take_answered(owner, packet, AUTH_JOB_TOKEN, &job, error))
        return false;
    const struct auth_job_answer answer = {
        .verdict = record->verdict, .name = name, .until = record->until};
    if (job)
        job->done(job, &answer);
    return true;
}

const struct ipc_rule auth_rules_check[AUTH_RULES_CHECK] = {
    {CHECK_TOKEN_ANSWER, sizeof(struct check_token_answer),
     sizeof(struct check_token_answer) + AUTH_NAME_MAX, 0, on_token},
    {CHECK_VERDICT, sizeof(struct check_verdict), sizeof(struct check_verdict), 0, on_verdict},
    {CHECK_USER_ANSWER, sizeof(struct check_user_answer),
     sizeof(struct check_user_answer) + SYSTEM_USER_NAME_MAX + SYSTEM_USER_HOME_MAX, 0, on_user},
};

/* --- Coming and going ------------------------------------------------------------------------- */

void auth_worker_up(struct role_peer *peer)
{
    struct auth *auth = auth_of(peer);
    peer->data = calloc(1, sizeof(struct worker));
    if (!peer->data) {
        struct error error;
        error_memory(&error);
        LOG(&peer->role->log, LOG_ERROR, "check_not_used", log_failure(&error));
    }
    turn_defer(&auth->turn, &auth->workers.feed);
}

void auth_worker_down(struct role_peer *peer)
{
    struct worker *worker = peer->data;
    struct auth_job *job = worker ? worker->job : NULL;
    peer->data = NULL;
    free(worker);
    if (job) {
        LOG(&peer->role->log, LOG_ERROR, "check_died", log_number("number", peer->number));
        finish(job, AUTH_TEMPORARY, NULL);
    }
}
