/* Questions to fetch, and the cache of granted tokens; see introspection.h. */
#include "common/auth/introspection.h"

#include <stdlib.h>
#include <time.h>

#include <sodium.h>

#include "common/auth/auth_protocol.h"
#include "common/role/turn.h"

enum {
    TRIES_MAX = 2,   /* a question that made fetch die twice is not asked a third time */
    SLACK_MS = 1000, /* fetch keeps to the timeout itself, but may have to be started */
    SETS = 64,
    WAYS = 4,
    DIGEST_OCTETS = 32,
};

/* ---- the cache ---- */

struct grant {
    uint8_t digest[DIGEST_OCTETS]; /* of the token, keyed */
    uint64_t expires_ms;           /* by turn_now_ms(); 0: empty entry */
    uint64_t name_octets;
    uint8_t name[AUTH_NAME_MAX];
};

struct introspection_cache {
    uint8_t key[crypto_generichash_KEYBYTES];
    struct grant sets[SETS][WAYS]; /* a grant can be any entry of its set */
};

static void digest_token(const struct introspection_cache *cache, struct slice token,
                         uint8_t digest[DIGEST_OCTETS])
{
    crypto_generichash(digest, DIGEST_OCTETS, token.ptr, token.len, cache->key, sizeof(cache->key));
}

static size_t set_of(const uint8_t digest[DIGEST_OCTETS])
{
    return digest[0] % SETS;
}

struct slice introspections_find(const struct introspections *introspections, struct slice token)
{
    const struct introspection_cache *cache = introspections->cache;
    uint8_t digest[DIGEST_OCTETS];
    digest_token(cache, token, digest);
    const struct grant *set = cache->sets[set_of(digest)];
    for (size_t way = 0; way < WAYS; way++)
        if (set[way].expires_ms > turn_now_ms()
            && sodium_memcmp(set[way].digest, digest, DIGEST_OCTETS) == 0)
            return slice_of(set[way].name, set[way].name_octets);
    return SLICE("");
}

/* Until the token expires, if it does, but no longer than the configuration allows. */
static uint64_t lifetime_ms(const struct introspections *introspections, int64_t until)
{
    int64_t most_ms = (int64_t)introspections->role->config.oauth.introspection_cache_ms;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t left_ms = (until - now.tv_sec) * 1000 - now.tv_nsec / 1000000;
    if (until != 0 && left_ms < most_ms)
        return left_ms > 0 ? (uint64_t)left_ms : 0;
    return (uint64_t)most_ms;
}

void introspections_remember(struct introspections *introspections, struct slice token,
                             struct slice name, int64_t until)
{
    struct introspection_cache *cache = introspections->cache;
    uint64_t lifetime = lifetime_ms(introspections, until);
    uint8_t digest[DIGEST_OCTETS];
    if (lifetime == 0 || name.len == 0 || name.len > AUTH_NAME_MAX)
        return;
    digest_token(cache, token, digest);
    struct grant *set = cache->sets[set_of(digest)], *chosen = set;
    for (size_t way = 0; way < WAYS; way++) {
        if (sodium_memcmp(set[way].digest, digest, DIGEST_OCTETS) == 0) {
            chosen = &set[way];
            break;
        }
        if (set[way].expires_ms < chosen->expires_ms)
            chosen = &set[way];
    }
    memcpy(chosen->digest, digest, DIGEST_OCTETS);
    memcpy(chosen->name, name.ptr, name.len);
    chosen->name_octets = name.len;
    chosen->expires_ms = turn_now_ms() + lifetime;
}

/* ---- questions ---- */

struct introspection {
    struct open_question question;
    struct introspections *introspections;
    unsigned tries; /* times that it was sent */
    introspected_call *answered;
    void *owner;
    size_t octets;
    uint8_t token[];
};

/* Out of the table first: the callback may ask again. */
static void answer(struct introspection *introspection, bool said, struct slice text)
{
    questions_remove(&introspection->introspections->questions, &introspection->question);
    introspection->answered(introspection->owner, said, text);
    sodium_memzero(introspection->token, introspection->octets);
    free(introspection);
}

static void give_up(struct open_question *question)
{
    answer((struct introspection *)question, false, SLICE("no answer in time"));
}

bool introspections_init(struct introspections *introspections, struct role *role,
                         struct error *error)
{
    *introspections =
        (struct introspections){.role = role, .cache = calloc(1, sizeof(*introspections->cache))};
    if (!introspections->cache)
        return error_memory(error);
    randombytes_buf(introspections->cache->key, sizeof(introspections->cache->key));
    questions_init(&introspections->questions, role->loop, give_up);
    return true;
}

/* By another key nothing that is there is found. */
void introspections_reload(struct introspections *introspections)
{
    randombytes_buf(introspections->cache->key, sizeof(introspections->cache->key));
    introspections->called = false;
}

static void call_fetch(struct introspections *introspections)
{
    struct ipc_header wanted = {.type = MASTER_WANTED};
    if (!introspections->called)
        introspections->called =
            role_tell_master(introspections->role, &wanted, sizeof(wanted), SLICE(""));
}

/* To that fetch; where there is none, or it does not take it, the next one is waited for. */
static void send_question(struct introspection *introspection, struct role_peer *fetch)
{
    struct introspect record = {
        .header = {.type = INTROSPECT, .request = introspection->question.request}};
    struct slice token = slice_of(introspection->token, introspection->octets);
    if (fetch && ipc_send_record(&fetch->channel, &record.header, sizeof(record), token, NULL)) {
        introspection->question.peer = fetch->number;
        introspection->tries++;
    } else {
        call_fetch(introspection->introspections);
    }
}

static struct introspection *new_introspection(struct introspections *introspections,
                                               struct slice token)
{
    struct introspection *introspection = calloc(1, sizeof(*introspection) + token.len);
    if (!introspection)
        return NULL;
    introspection->introspections = introspections;
    introspection->octets = token.len;
    memcpy(introspection->token, token.ptr, token.len);
    return introspection;
}

bool introspections_ask(struct introspections *introspections, struct slice token,
                        introspected_call *answered, void *owner)
{
    struct questions *questions = &introspections->questions;
    bool is_room = HASH_COUNT(questions->first) < INTROSPECTIONS_MAX;
    struct introspection *introspection =
        is_room && token.len > 0 && token.len <= INTROSPECTION_TOKEN_MAX
            ? new_introspection(introspections, token)
            : NULL;
    if (!introspection)
        return false;
    introspection->answered = answered;
    introspection->owner = owner;
    if (!questions_add(questions, &introspection->question)) {
        free(introspection);
        return false;
    }
    introspection->question.by_ms =
        turn_now_ms() + introspections->role->config.oauth.introspection_timeout_ms + SLACK_MS;
    send_question(introspection, role_find_peer(introspections->role, ROLE_FETCH));
    questions_look(questions);
    return true;
}

static bool on_answer(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct introspections *introspections = peer->data;
    const struct introspected *record = packet->record;
    if (!introspections || record->said > 1)
        return error_set(error, ERROR_PEER, "malformed answer");
    struct open_question *question =
        questions_find(&introspections->questions, record->header.request);
    if (question) /* else given up */
        answer((struct introspection *)question, record->said == 1,
               ipc_packet_tail(packet, sizeof(*record)));
    return true;
}

const struct ipc_rule introspection_rules[INTROSPECTION_RULES] = {
    {INTROSPECTED, sizeof(struct introspected),
     sizeof(struct introspected) + INTROSPECTION_TEXT_MAX, 0, on_answer},
};

static void send_again(struct open_question *question, struct role_peer *fetch)
{
    struct introspection *introspection = (struct introspection *)question;
    if (introspection->tries < TRIES_MAX)
        send_question(introspection, fetch);
    else
        question->by_ms = 0;
}

void introspections_up(struct introspections *introspections, struct role_peer *peer)
{
    peer->data = introspections;
    introspections->called = false;
    for (struct open_question *at = introspections->questions.first; at; at = at->hh.next)
        if (at->peer == 0)
            send_again(at, peer);
    questions_look(&introspections->questions);
}

/* The next one may be here before this one's end is seen. */
void introspections_down(struct introspections *introspections, struct role_peer *peer)
{
    struct role_peer *other = role_find_peer(introspections->role, ROLE_FETCH);
    peer->data = NULL;
    for (struct open_question *at = introspections->questions.first; at; at = at->hh.next)
        if (at->peer == peer->number) {
            at->peer = 0;
            send_again(at, other);
        }
    questions_look(&introspections->questions);
}
