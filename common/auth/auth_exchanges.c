/*
 * SCRAM (common/login/scram_server.h). The login role only passes messages on, and learns nothing
 * that it could log in with. The exchanges are here, one for each session of a peer:
 *
 *     AUTH_SASL begin ──> CHALLENGED ──go on, right──> JUDGED ──throttle agrees──> PROVED
 *                             │ wrong: as a password             │ paused: refused   │ go on
 *                             v                                  v                   v
 *                          dropped                            dropped             let in
 *
 * A nonce is valid for one proof: an exchange never accepts a second one. It ends after
 * EXCHANGE_MS; if there are too many, the oldest is dropped for a new one.
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
#include "common/login/scram_server.h"
#include "common/size.h"
#include "common/text/base64.h"

enum { EXCHANGES_MAX = 4096, EXCHANGE_MS = 2 * 60 * 1000 };

enum exchange_state { CHALLENGED, JUDGED, PROVED };

/* Fixed layout without gaps. */
struct exchange_key {
    uint64_t session;
    uint32_t peer_kind;
    uint32_t peer_number;
};

struct auth_exchange {
    UT_hash_handle hh; /* in the order of their age */
    struct exchange_key key;
    enum exchange_state state;
    uint64_t until_ms;
    uint32_t mechanism;
    struct scram_server scram;
    struct buffer name;  /* decoded */
    struct buffer final; /* server-final-message */
};

/* What was asked. */
struct question {
    struct auth *auth;
    struct role_peer *peer;
    const struct auth_sasl *record;
    struct scram_bindings bindings;
    struct slice message;
};

/* --- Exchanges -------------------------------------------------------------------------------- */

static void drop(struct auth *auth, struct auth_exchange *exchange)
{
    HASH_DEL(auth->exchanges, exchange);
    scram_server_clear(&exchange->scram);
    buffer_clear(&exchange->name);
    buffer_clear(&exchange->final);
    free(exchange);
}

static struct auth_exchange *find(struct auth *auth, const struct exchange_key *key)
{
    struct auth_exchange *exchange;
    HASH_FIND(hh, auth->exchanges, key, sizeof(*key), exchange);
    if (!exchange || exchange->until_ms > turn_now_ms())
        return exchange;
    drop(auth, exchange);
    return NULL;
}

static struct exchange_key key_of(const struct question *question)
{
    return (struct exchange_key){.session = question->record->client.session,
                                 .peer_kind = question->peer->kind,
                                 .peer_number = question->peer->number};
}

/* The oldest is the first. */
static void make_room(struct auth *auth)
{
    uint64_t now_ms = turn_now_ms();
    while (auth->exchanges
           && (auth->exchanges->until_ms <= now_ms || HASH_COUNT(auth->exchanges) >= EXCHANGES_MAX))
        drop(auth, auth->exchanges);
}

/* NULL: no memory. */
static struct auth_exchange *new_exchange(const struct question *question)
{
    struct auth *auth = question->auth;
    make_room(auth);
    struct auth_exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange)
        return NULL;
    exchange->key = key_of(question);
    exchange->until_ms = turn_now_ms() + EXCHANGE_MS;
    exchange->mechanism = question->record->mechanism;
    buffer_init(&exchange->name, AUTH_NAME_MAX);
    buffer_init(&exchange->final, SCRAM_MESSAGE_MAX);
    HASH_ADD(hh, auth->exchanges, key, sizeof(exchange->key), exchange);
    if (hash_table_holds(&exchange->hh))
        return exchange;
    free(exchange);
    return NULL;
}

void auth_exchanges_peer_down(struct auth *auth, const struct role_peer *peer)
{
    struct auth_exchange *exchange, *next;
    HASH_ITER (hh, auth->exchanges, exchange, next)
        if (exchange->key.peer_kind == peer->kind && exchange->key.peer_number == peer->number)
            drop(auth, exchange);
}

/* --- Answers ---------------------------------------------------------------------------------- */

void auth_answer_verdict(struct role_peer *peer, uint64_t request, enum auth_verdict_kind verdict)
{
    struct auth_verdict answer = {.header = {.type = AUTH_VERDICT, .request = request},
                                  .verdict = verdict};
    struct ipc_message message = {.head = &answer.header, .head_octets = sizeof(answer)};
    auth_answer(peer, &message);
}

static void answer_challenge(struct role_peer *peer, uint64_t request, struct slice challenge)
{
    struct auth_challenge answer = {.header = {.type = AUTH_CHALLENGE, .request = request},
                                    .message_octets = (uint32_t)challenge.len};
    struct ipc_message message = {
        .head = &answer.header, .head_octets = sizeof(answer), .tail = &challenge, .tail_count = 1};
    auth_answer(peer, &message);
}

static void refuse(const struct question *question, enum auth_verdict_kind verdict)
{
    auth_answer_verdict(question->peer, question->record->header.request, verdict);
}

static void give_up(const struct question *question, struct auth_exchange *exchange,
                    enum auth_verdict_kind verdict)
{
    refuse(question, verdict);
    drop(question->auth, exchange);
}

static const char *mechanism_name(uint32_t mechanism)
{
    return mechanism == AUTH_SCRAM_SHA_256_PLUS ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256";
}

/* Somebody between the client and us, or a client with another idea of the connection. */
static void log_unbound(const struct question *question, struct slice name)
{
    char address[IP_ADDRESS_TEXT_SIZE];
    char session[17];
    snprintf(session, sizeof(session), "%" PRIx64, question->record->client.session);
    LOG(&question->peer->role->log, LOG_WARNING, "scram_unbound", log_id("session", session),
        log_bytes("name", name),
        log_id("client", ip_address_format(&question->record->client.address, address)));
}

/* --- Whose it is ------------------------------------------------------------------------------ */

/* An account, or none; False: nobody can tell now. */
static bool find_account(const struct question *question, const struct auth_exchange *exchange,
                         struct directory_account *account, struct auth_attempt *attempt)
{
    struct error reason = {0};
    *attempt = (struct auth_attempt){.peer = question->peer,
                                     .request = question->record->header.request,
                                     .client = &question->record->client,
                                     .service = question->record->service,
                                     .by = mechanism_name(exchange->mechanism),
                                     .name = buffer_slice(&exchange->name)};
    if (resolve_login(&question->auth->directory, attempt->name, turn_now_ms(),
                      &question->auth->arena, account, &attempt->counted_as, &reason))
        attempt->account = account;
    return attempt->account || reason.kind == ERROR_NOT_FOUND;
}

/* Of an account without a verifier the same as of a name without an account. */
static void find_verifier(const struct auth *auth, const struct auth_attempt *attempt,
                          struct scram_verifier *verifier)
{
    const struct account *file = attempt->account ? attempt->account->file : NULL;
    scram_verifier_pretend(auth->role->srs_key, attempt->counted_as, verifier);
    if (file && file->scram.len > 0)
        scram_verifier_parse(file->scram, verifier);
}

static bool may_log_in(const struct auth_attempt *attempt)
{
    const struct account *file = attempt->account ? attempt->account->file : NULL;
    return file && file->scram.len > 0 && password_kind(file->verifier) == PASSWORD_ARGON2ID;
}

/* --- The three messages ----------------------------------------------------------------------- */

/* RFC 5801 4: an authorization identity; acting as somebody else is for nobody here. */
static bool acts_for_himself(const struct scram_client_first *first, struct slice name)
{
    struct buffer other = BUFFER_WITH_LIMIT(AUTH_NAME_MAX);
    bool same =
        first->act_as.len == 0
        || (scram_name_decode(first->act_as, &other) && slice_equal(buffer_slice(&other), name));
    buffer_clear(&other);
    return same;
}

static enum scram_judgement challenge(const struct question *question,
                                      struct auth_exchange *exchange,
                                      const struct scram_client_first *first, struct buffer *out)
{
    uint8_t octets[SCRAM_NONCE_OCTETS];
    struct buffer nonce = BUFFER_WITH_LIMIT(BASE64_LENGTH(SCRAM_NONCE_OCTETS));
    randombytes_buf(octets, sizeof(octets));
    base64_encode(slice_of(octets, sizeof(octets)), &nonce);
    enum scram_judgement judgement = SCRAM_MALFORMED;
    if (!nonce.failed)
        judgement = scram_server_first(&exchange->scram, first,
                                       exchange->mechanism == AUTH_SCRAM_SHA_256_PLUS,
                                       &question->bindings, buffer_slice(&nonce), out);
    buffer_clear(&nonce);
    return judgement;
}

static void begin(const struct question *question)
{
    struct scram_client_first first;
    struct directory_account account;
    struct auth_attempt attempt;
    struct buffer out = BUFFER_WITH_LIMIT(2 * SCRAM_MESSAGE_MAX);
    if (!scram_client_first_parse(question->message, &first)) {
        refuse(question, AUTH_MALFORMED);
        return;
    }
    struct auth_exchange *exchange = new_exchange(question);
    if (!exchange) {
        refuse(question, AUTH_TEMPORARY);
        return;
    }
    if (!scram_name_decode(first.name, &exchange->name)) {
        give_up(question, exchange, AUTH_MALFORMED);
        return;
    }
    if (!find_account(question, exchange, &account, &attempt)) {
        give_up(question, exchange, AUTH_TEMPORARY);
        return;
    }
    find_verifier(question->auth, &attempt, &exchange->scram.verifier);
    enum scram_judgement judgement = SCRAM_WRONG;
    if (acts_for_himself(&first, attempt.name))
        judgement = challenge(question, exchange, &first, &out);
    if (judgement == SCRAM_RIGHT) {
        answer_challenge(question->peer, attempt.request, buffer_slice(&out));
    } else if (judgement == SCRAM_MALFORMED) {
        refuse(question, AUTH_MALFORMED);
    } else {
        if (judgement == SCRAM_UNBOUND)
            log_unbound(question, attempt.name);
        attempt.judged = AUTH_WRONG;
        auth_logins_begin(&attempt);
    }
    if (judgement != SCRAM_RIGHT)
        drop(question->auth, exchange);
    buffer_clear(&out);
}

static void take_final(const struct question *question, struct auth_exchange *exchange)
{
    struct directory_account account;
    struct auth_attempt attempt;
    enum scram_judgement judgement =
        scram_server_final(&exchange->scram, question->message, &exchange->final);
    if (judgement == SCRAM_MALFORMED) {
        give_up(question, exchange, AUTH_MALFORMED);
        return;
    }
    if (!find_account(question, exchange, &account, &attempt)) {
        give_up(question, exchange, AUTH_TEMPORARY);
        return;
    }
    if (judgement == SCRAM_UNBOUND)
        log_unbound(question, attempt.name);
    bool right = judgement == SCRAM_RIGHT && may_log_in(&attempt);
    attempt.judged = right ? AUTH_GRANTED : AUTH_WRONG;
    /* Which wrong password it was cannot be seen: each counts. */
    attempt.password = question->message;
    exchange->state = JUDGED;
    auth_logins_begin(&attempt);
    /* With a right one it may be PROVED now; the exchange of a wrong one is over. */
    if (!right)
        drop(question->auth, exchange);
}

/* The client has seen that we know its password too. */
static void take_end(const struct question *question, struct auth_exchange *exchange)
{
    struct directory_account account;
    struct auth_attempt attempt;
    if (question->message.len > 0)
        refuse(question, AUTH_MALFORMED);
    else if (!find_account(question, exchange, &account, &attempt))
        refuse(question, AUTH_TEMPORARY);
    else if (!may_log_in(&attempt))
        refuse(question, AUTH_WRONG); /* locked or removed just now */
    else
        auth_logins_grant(&attempt);
    drop(question->auth, exchange);
}

void auth_exchange_proved(struct auth *auth, const struct auth_asker *asker)
{
    const struct exchange_key key = {asker->session, asker->peer_kind, asker->peer_number};
    struct auth_exchange *exchange = find(auth, &key);
    struct role_peer *peer =
        role_find_peer_number(auth->role, asker->peer_kind, asker->peer_number);
    if (!peer)
        return;
    if (!exchange || exchange->state != JUDGED || exchange->final.failed) {
        auth_answer_verdict(peer, asker->request, AUTH_TEMPORARY);
        return;
    }
    exchange->state = PROVED;
    answer_challenge(peer, asker->request, buffer_slice(&exchange->final));
}

static void go_on(const struct question *question, struct auth_exchange *exchange)
{
    if (!exchange)
        refuse(question, AUTH_TEMPORARY);
    else if (exchange->state == CHALLENGED)
        take_final(question, exchange);
    else if (exchange->state == PROVED)
        take_end(question, exchange);
    else
        refuse(question, AUTH_TEMPORARY);
}

bool auth_on_sasl(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    const struct auth_sasl *record = packet->record;
    const uint32_t lengths[] = {record->exporter_octets, record->end_point_octets,
                                record->message_octets, record->certificates_octets};
    struct slice texts[ARRAY_LENGTH(lengths)] = {{0}};
    if (!record_texts(packet, sizeof(*record), lengths, texts, ARRAY_LENGTH(texts), error))
        return false;
    if (record->service >= CONFIG_SERVICES || record->mechanism < AUTH_SCRAM_SHA_256
        || record->mechanism > AUTH_EXTERNAL || texts[0].len > SCRAM_BINDING_MAX
        || texts[1].len > SCRAM_BINDING_MAX)
        return error_set(error, ERROR_PEER, "service, mechanism or bindings of AUTH_SASL");
    const struct question question = {.auth = auth_of(peer),
                                      .peer = peer,
                                      .record = record,
                                      .bindings = {texts[0], texts[1]},
                                      .message = texts[2]};
    auth_begin_request(question.auth);
    if (record->mechanism >= AUTH_OAUTHBEARER) {
        auth_tokens_ask(peer, packet, question.message, texts[3]);
        return true;
    }
    const struct exchange_key key = key_of(&question);
    struct auth_exchange *exchange = find(question.auth, &key);
    if (record->begins && exchange)
        drop(question.auth, exchange);
    if (record->begins)
        begin(&question);
    else
        go_on(&question, exchange);
    return true;
}

/* --- What is offered -------------------------------------------------------------------------- */

/* A client takes the strongest that is offered. So each account with a password has to have what
 * SCRAM needs, or its owner would be refused with the right one; of PAM nobody has it. */
static bool every_account_has_it(const struct directory *directory)
{
    bool any = false;
    for (size_t i = 0; i < directory->source_count; i++) {
        const struct directory_source *source = &directory->sources[i];
        const struct account *account;
        if (source->source != CONFIG_SOURCE_FILE)
            return false;
        for (account = source->accounts.by_address; account; account = account->hh.next) {
            if (password_kind(account->verifier) != PASSWORD_ARGON2ID)
                continue;
            if (account->scram.len == 0)
                return false;
            any = true;
        }
    }
    return any;
}

void auth_offer_to(struct role_peer *peer)
{
    struct auth_offer record = {.header = {.type = AUTH_OFFER},
                                .scram = auth_of(peer)->offers_scram};
    struct ipc_message message = {.head = &record.header, .head_octets = sizeof(record)};
    if (peer->kind == ROLE_SUBMISSION || peer->kind == ROLE_IMAP_LOGIN
        || peer->kind == ROLE_POP3_LOGIN)
        auth_answer(peer, &message);
}

void auth_look_what_to_offer(struct auth *auth)
{
    bool before = auth->offers_scram;
    auth->offers_scram = every_account_has_it(&auth->directory);
    struct role_peer *peer;
    if (before != auth->offers_scram)
        DL_FOREACH (auth->role->peers, peer)
            auth_offer_to(peer);
}
