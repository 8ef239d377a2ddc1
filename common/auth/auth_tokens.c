/*
 * Access tokens: OAUTHBEARER (RFC 7628) and XOAUTH2; and certificates, EXTERNAL (RFC 4422 A). One
 * message has the token; `check` says which account it names, which must be the one logging in.
 *
 *     AUTH_SASL ─┬──────────────┬─> a job for check ─> judged, as SCRAM is ─> let in
 *                └─ INTROSPECT ─┘         │ wrong, when it has taken its time
 *                                         v
 *                                     AUTH_CHALLENGE (not of EXTERNAL): why, in JSON; what the
 *                                     client answers does not count, and it hears AUTH_WRONG
 *
 * If introspection (introspection.h) gets no answer: AUTH_TEMPORARY. auth_logins.c does the rest.
 */
#include <stdlib.h>

#include <sodium.h>

#include "common/auth/auth_internal.h"
#include "common/auth/password.h"
#include "common/auth/resolve.h"
#include "common/size.h"
#include "common/text/cursor.h"

struct token_message {
    struct slice name; /* whom the client wants to be; empty: whom the token names */
    struct slice token;
};

/* Waits for check. */
struct token_question {
    struct auth_job job;
    struct auth *auth;
    struct auth_asker asker;
    struct master_client client;
    uint32_t service;
    uint32_t mechanism; /* enum auth_mechanism */
    struct slice name;
    struct slice token;
    struct buffer said; /* of the token, by its server: what check looks at then */
    size_t octets;
    uint8_t texts[]; /* both */
};

/* --- The message ------------------------------------------------------------------------------ */

/* kvpair = key "=" value %x01    RFC 7628 3.1 */
static bool take_pair(struct slice *rest, struct slice *key, struct slice *value)
{
    size_t end = slice_find_octet(*rest, 1);
    struct slice pair = slice_range(*rest, 0, end);
    size_t equals = slice_find_octet(pair, '=');
    if (end == rest->len || equals == 0 || equals == pair.len)
        return false;
    *key = slice_range(pair, 0, equals);
    *value = slice_from(pair, equals + 1);
    *rest = slice_from(*rest, end + 1);
    return true;
}

/* auth = "Bearer" 1*SP token */
static bool take_bearer(struct slice value, struct slice *token)
{
    struct cursor in = cursor_of(value);
    if (!cursor_skip_nocase(&in, SLICE("Bearer")) || !cursor_skip(&in, ' '))
        return false;
    while (cursor_skip(&in, ' '))
        continue;
    *token = cursor_rest(&in);
    return token->len > 0;
}

/* *kvpair %x01, where `name_key` (NULL: none) has the name. Keys that nobody knows are ignored. */
static bool parse_pairs(struct slice rest, const char *name_key, struct token_message *message)
{
    struct slice key, value;
    while (take_pair(&rest, &key, &value)) {
        if (slice_equal(key, SLICE("auth")) && !take_bearer(value, &message->token))
            return false;
        if (name_key && slice_equal(key, slice_of_string(name_key)))
            message->name = value;
    }
    return message->token.len > 0 && slice_equal(rest, SLICE("\1"));
}

/* gs2-header kvsep *kvpair kvsep; gs2-header = "n," ["a=" saslname] ",": nothing binds. In a
 * saslname "=2C" is a comma and "=3D" "=" (RFC 5801 4); no name of ours has either. */
static bool parse_oauthbearer(struct slice text, struct token_message *message)
{
    struct cursor in = cursor_of(text);
    if ((!cursor_skip(&in, 'n') && !cursor_skip(&in, 'y')) || !cursor_skip(&in, ','))
        return false;
    struct slice rest = cursor_rest(&in);
    size_t comma = slice_find_octet(rest, ',');
    struct slice identity = slice_range(rest, 0, comma);
    if (comma == rest.len)
        return false;
    if (identity.len > 0) {
        struct cursor name = cursor_of(identity);
        if (!cursor_skip(&name, 'a') || !cursor_skip(&name, '=') || cursor_at_end(&name))
            return false;
        message->name = cursor_rest(&name);
    }
    rest = slice_from(rest, comma + 1);
    return rest.len > 0 && rest.ptr[0] == 1 && parse_pairs(slice_from(rest, 1), NULL, message);
}

static bool parse(uint32_t mechanism, struct slice text, struct slice certificates,
                  struct token_message *message)
{
    *message = (struct token_message){.name = SLICE("")};
    if (mechanism == AUTH_EXTERNAL) {
        *message = (struct token_message){.name = text, .token = certificates};
        return text.len <= AUTH_NAME_MAX && certificates.len > 0;
    }
    if (mechanism == AUTH_XOAUTH2)
        return parse_pairs(text, "user", message) && message->name.len > 0
               && message->name.len <= AUTH_NAME_MAX;
    return parse_oauthbearer(text, message) && message->name.len <= AUTH_NAME_MAX;
}

static const char *mechanism_name(uint32_t mechanism)
{
    switch (mechanism) {
    case AUTH_XOAUTH2:
        return "XOAUTH2";
    case AUTH_EXTERNAL:
        return "EXTERNAL";
    default:
        return "OAUTHBEARER";
    }
}

/* --- The verdict ------------------------------------------------------------------------------ */

/* RFC 7628 3.2.2 */
void auth_tokens_refused(struct role_peer *peer, uint64_t request)
{
    struct slice text = SLICE("{\"status\":\"invalid_token\"}");
    struct auth_challenge answer = {.header = {.type = AUTH_CHALLENGE, .request = request},
                                    .message_octets = (uint32_t)text.len};
    struct ipc_message message = {
        .head = &answer.header, .head_octets = sizeof(answer), .tail = &text, .tail_count = 1};
    auth_answer(peer, &message);
}

static bool is_open(const struct directory_account *account)
{
    return !account->file || password_kind(account->file->verifier) != PASSWORD_LOCKED;
}

/* Whom the client names and whom the token names are one account, which may log in. False: nobody
 * can tell now. */
static bool judge(const struct token_question *question, struct slice named,
                  struct directory_account *account, struct auth_attempt *attempt)
{
    struct auth *auth = question->auth;
    struct directory_account owner;
    struct slice ignored;
    struct error reason = {0};
    attempt->judged = AUTH_WRONG;
    bool exists = resolve_login(&auth->directory, attempt->name, turn_now_ms(), &auth->arena,
                                account, &attempt->counted_as, &reason);
    if (!exists)
        return reason.kind == ERROR_NOT_FOUND;
    attempt->account = account;
    if (named.len == 0)
        return true;
    if (!resolve_login(&auth->directory, named, turn_now_ms(), &auth->arena, &owner, &ignored,
                       &reason))
        return reason.kind == ERROR_NOT_FOUND;
    if (slice_equal(owner.name, account->name) && is_open(account))
        attempt->judged = AUTH_GRANTED;
    return true;
}

static void free_question(struct token_question *question)
{
    sodium_memzero(question->texts, question->octets);
    buffer_clear(&question->said);
    free(question);
}

static void on_checked(struct auth_job *job, const struct auth_job_answer *answer)
{
    struct token_question *question = (struct token_question *)(void *)job;
    struct directory_account account;
    struct role_peer *peer = role_find_peer_number(question->auth->role, question->asker.peer_kind,
                                                   question->asker.peer_number);
    if (!peer) {
        free_question(question);
        return;
    }
    auth_begin_request(question->auth);
    struct auth_attempt attempt = {.peer = peer,
                                   .request = question->asker.request,
                                   .client = &question->client,
                                   .service = question->service,
                                   .by = mechanism_name(question->mechanism),
                                   .by_token = true,
                                   .hears_why = question->mechanism != AUTH_EXTERNAL,
                                   .name = question->name.len > 0 ? question->name : answer->name,
                                   .password = question->token};
    struct slice named = answer->verdict == AUTH_GRANTED ? answer->name : SLICE("");
    if (answer->verdict == AUTH_TEMPORARY || !judge(question, named, &account, &attempt))
        auth_answer_verdict(peer, attempt.request, AUTH_TEMPORARY);
    else
        auth_logins_begin(&attempt);
    free_question(question);
}

/* --- Asking its server ------------------------------------------------------------------------ */

static void end_temporary(struct token_question *question)
{
    const struct auth_job_answer answer = {.verdict = AUTH_TEMPORARY};
    on_checked(&question->job, &answer);
}

static void on_introspection_checked(struct auth_job *job, const struct auth_job_answer *answer)
{
    struct token_question *question = (struct token_question *)(void *)job;
    if (answer->verdict == AUTH_GRANTED)
        introspections_remember(&question->auth->introspections, question->token, answer->name,
                                answer->until);
    on_checked(job, answer);
}

/* Without an answer nobody is let in, and nobody is told that his token is wrong. */
static void on_introspected(void *owner, bool said, struct slice text)
{
    struct token_question *question = owner;
    buffer_append(&question->said, text);
    question->job.password = buffer_slice(&question->said);
    if (said && !question->said.failed
        && auth_workers_submit(&question->auth->workers, &question->job))
        return;
    LOG(&question->auth->role->log, LOG_ERROR, "token_not_introspected",
        log_bytes("error", said ? SLICE("too much is under way") : text));
    end_temporary(question);
}

static bool wants_introspection(const struct token_question *question)
{
    return question->mechanism != AUTH_EXTERNAL
           && question->auth->role->config.oauth.introspection.text;
}

/* A guessing client is refused without a question: it costs another server's time, and a place that
 * somebody else needs. */
static bool is_paused(const struct token_question *question)
{
    struct auth *auth = question->auth;
    struct directory_account account;
    struct slice counted_as;
    struct error reason = {0};
    resolve_login(&auth->directory, question->name, turn_now_ms(), &auth->arena, &account,
                  &counted_as, &reason);
    struct throttle_who who = throttle_who(auth->throttle, counted_as, &question->client.address);
    return throttle_is_paused(auth->throttle, &who, turn_now_ms());
}

/* False: nobody can be asked. */
static bool introspect(struct token_question *question)
{
    struct introspections *introspections = &question->auth->introspections;
    struct slice known = introspections_find(introspections, question->token);
    struct auth_job_answer answer = {.verdict = AUTH_GRANTED, .name = known};
    question->job.method = CHECK_INTROSPECTION;
    question->job.done = on_introspection_checked;
    if (known.len == 0 && is_paused(question))
        answer.verdict = AUTH_WRONG;
    else if (known.len == 0)
        return introspections_ask(introspections, question->token, on_introspected, question);
    on_checked(&question->job, &answer);
    return true;
}

/* --- The question ----------------------------------------------------------------------------- */

static struct slice keep(struct token_question *question, struct slice text)
{
    uint8_t *kept = question->texts + question->octets;
    if (text.len > 0)
        memcpy(kept, text.ptr, text.len);
    question->octets += text.len;
    return slice_of(kept, text.len);
}

static struct token_question *new_question(struct role_peer *peer, const struct auth_sasl *record,
                                           const struct token_message *message)
{
    struct token_question *question =
        calloc(1, sizeof(*question) + message->name.len + message->token.len);
    if (!question)
        return NULL;
    question->auth = auth_of(peer);
    question->asker = (struct auth_asker){record->client.session, peer->kind, peer->number,
                                          record->header.request};
    question->client = record->client;
    question->service = record->service;
    question->mechanism = record->mechanism;
    buffer_init(&question->said, INTROSPECTION_TEXT_MAX);
    question->name = keep(question, message->name);
    question->token = keep(question, message->token);
    question->job = (struct auth_job){
        .kind = AUTH_JOB_TOKEN,
        .method = record->mechanism == AUTH_EXTERNAL ? CHECK_CERTIFICATES : CHECK_JWT,
        .name = question->name,
        .password = question->token,
        .done = on_checked};
    return question;
}

/* A system user is looked up before; then what follows finds him. */
static bool must_wait(struct role_peer *peer, const struct ipc_packet *packet, struct slice name)
{
    struct auth *auth = auth_of(peer);
    struct directory_account account;
    struct slice ignored;
    struct error reason = {0};
    return name.len > 0
           && !resolve_login(&auth->directory, name, turn_now_ms(), &auth->arena, &account,
                             &ignored, &reason)
           && reason.kind != ERROR_NOT_FOUND && auth_park(peer, packet, auth_on_sasl);
}

void auth_tokens_ask(struct role_peer *peer, struct ipc_packet *packet, struct slice text,
                     struct slice certificates)
{
    const struct auth_sasl *record = packet->record;
    struct token_message message;
    uint64_t request = record->header.request;
    if (!record->begins) { /* it has heard why not */
        auth_answer_verdict(peer, request, AUTH_WRONG);
        return;
    }
    if (!parse(record->mechanism, text, certificates, &message)) {
        auth_answer_verdict(peer, request, AUTH_MALFORMED);
        return;
    }
    if (must_wait(peer, packet, message.name))
        return;
    struct token_question *question = new_question(peer, record, &message);
    if (question
        && (wants_introspection(question)
                ? introspect(question)
                : auth_workers_submit(&question->auth->workers, &question->job)))
        return;
    if (question)
        free_question(question);
    auth_answer_verdict(peer, request, AUTH_TEMPORARY);
}
