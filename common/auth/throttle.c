/* The table of failures; see throttle.h. */
#include "common/auth/throttle.h"

#include <stdlib.h>

#include <sodium.h>

enum {
    SETS = 1024,
    WAYS = 8,
    PASSWORDS = 3, /* wrong ones that a record remembers */
};

/* A pair or a network; 448 KiB in all, of which pages that nobody touched take no memory. */
struct record {
    uint64_t key;        /* 0: free */
    uint64_t counted_ms; /* when the last failure was counted, or the last pause ends */
    uint64_t paused_until_ms;
    uint32_t failures;
    uint32_t under_way;
    uint64_t passwords[PASSWORDS]; /* keyed hashes, latest first */
};

struct throttle {
    struct throttle_limits limits;
    uint8_t key[crypto_shorthash_KEYBYTES];
    struct record sets[SETS][WAYS];
};

struct throttle *throttle_new(const struct throttle_limits *limits, struct error *error)
{
    struct throttle *throttle = calloc(1, sizeof(*throttle));
    if (!throttle) {
        error_memory(error);
        return NULL;
    }
    throttle->limits = *limits;
    randombytes_buf(throttle->key, sizeof(throttle->key));
    return throttle;
}

void throttle_free(struct throttle *throttle)
{
    free(throttle);
}

void throttle_change_limits(struct throttle *throttle, const struct throttle_limits *limits)
{
    throttle->limits = *limits;
}

/* Never 0, which means "none" in the table. */
static uint64_t hash(const struct throttle *throttle, struct slice octets)
{
    uint8_t digest[crypto_shorthash_BYTES];
    uint64_t key;
    crypto_shorthash(digest, octets.ptr, octets.len, throttle->key);
    memcpy(&key, digest, sizeof(key));
    return key ? key : 1;
}

struct throttle_who throttle_who(const struct throttle *throttle, struct slice account,
                                 const struct ip_address *address)
{
    struct ip_address network =
        ip_address_network(address, throttle->limits.ipv4_bits, throttle->limits.ipv6_bits);
    /* A mark keeps a network's key apart from a pair's. */
    uint64_t words[3] = {0, hash(throttle, slice_of(&network, sizeof(network))), 0};
    struct throttle_who who = {0};
    if (!ip_address_is_loopback(address))
        who.network = hash(throttle, slice_of(words, sizeof(words)));
    words[0] = 1;
    words[2] = hash(throttle, account);
    who.pair = hash(throttle, slice_of(words, sizeof(words)));
    return who;
}

/* Its place in its set, or WAYS. */
static size_t way_of(const struct throttle *throttle, uint64_t key)
{
    const struct record *set = throttle->sets[key % SETS];
    size_t way = 0;
    while (way < WAYS && (key == 0 || set[way].key != key))
        way++;
    return way;
}

static struct record *find(struct throttle *throttle, uint64_t key)
{
    size_t way = way_of(throttle, key);
    return way < WAYS ? &throttle->sets[key % SETS][way] : NULL;
}

static const struct record *look_at(const struct throttle *throttle, uint64_t key)
{
    size_t way = way_of(throttle, key);
    return way < WAYS ? &throttle->sets[key % SETS][way] : NULL;
}

static void forget(const struct throttle *throttle, struct record *record, uint64_t now_ms)
{
    if (now_ms < record->counted_ms || now_ms - record->counted_ms < throttle->limits.forget_ms)
        return;
    record->failures = 0;
    memset(record->passwords, 0, sizeof(record->passwords));
}

static bool is_less(const struct record *a, const struct record *b)
{
    if (a->failures != b->failures)
        return a->failures < b->failures;
    return a->counted_ms < b->counted_ms;
}

/* The record of this key, made if there is none. NULL if every record of its set has attempts under
 * way or a pause: those are never pushed out. */
static struct record *find_or_make(struct throttle *throttle, uint64_t key, uint64_t now_ms)
{
    struct record *found = find(throttle, key);
    if (found) {
        forget(throttle, found, now_ms);
        return found;
    }
    struct record *set = throttle->sets[key % SETS];
    struct record *least = NULL;
    for (size_t way = 0; way < WAYS; way++) {
        struct record *record = &set[way];
        if (record->under_way > 0 || record->paused_until_ms > now_ms)
            continue;
        forget(throttle, record, now_ms);
        if (!least || record->key == 0 || (least->key != 0 && is_less(record, least)))
            least = record;
    }
    if (least)
        *least = (struct record){.key = key, .counted_ms = now_ms};
    return least;
}

static enum throttle_verdict judge(const struct record *record, uint32_t pause_after,
                                   uint64_t now_ms)
{
    if (record->paused_until_ms > now_ms)
        return THROTTLE_PAUSED;
    if (pause_after > 0 && record->failures + record->under_way >= pause_after
        && record->under_way > 0)
        return THROTTLE_WAIT;
    return THROTTLE_TRY;
}

enum throttle_verdict throttle_begin(struct throttle *throttle, const struct throttle_who *who,
                                     uint64_t now_ms)
{
    const struct throttle_limits *limits = &throttle->limits;
    struct record *network = who->network ? find_or_make(throttle, who->network, now_ms) : NULL;
    if (who->network && !network)
        return THROTTLE_WAIT;
    enum throttle_verdict verdict =
        network ? judge(network, limits->network_pause_after, now_ms) : THROTTLE_TRY;
    if (verdict != THROTTLE_TRY)
        return verdict;
    /* Held, lest the pair pushes its own network out of the set that they may share. */
    if (network)
        network->under_way++;
    struct record *pair = find_or_make(throttle, who->pair, now_ms);
    verdict = pair ? judge(pair, limits->pause_after, now_ms) : THROTTLE_WAIT;
    if (verdict == THROTTLE_TRY)
        pair->under_way++;
    else if (network)
        network->under_way--;
    return verdict;
}

bool throttle_is_paused(const struct throttle *throttle, const struct throttle_who *who,
                        uint64_t now_ms)
{
    const struct record *network = look_at(throttle, who->network);
    const struct record *pair = look_at(throttle, who->pair);
    return (network && network->paused_until_ms > now_ms)
           || (pair && pair->paused_until_ms > now_ms);
}

static struct record *end_attempt(struct throttle *throttle, uint64_t key)
{
    struct record *record = find(throttle, key);
    if (record && record->under_way > 0)
        record->under_way--;
    return record;
}

void throttle_succeeded(struct throttle *throttle, const struct throttle_who *who, uint64_t now_ms)
{
    end_attempt(throttle, who->network);
    struct record *pair = end_attempt(throttle, who->pair);
    if (!pair)
        return;
    uint32_t under_way = pair->under_way;
    *pair = (struct record){.key = who->pair, .counted_ms = now_ms, .under_way = under_way};
}

void throttle_abandoned(struct throttle *throttle, const struct throttle_who *who)
{
    end_attempt(throttle, who->network);
    end_attempt(throttle, who->pair);
}

/* Whether the pair had not heard that wrong password yet; now it has. */
static bool is_new_password(const struct throttle *throttle, struct record *pair,
                            struct slice password)
{
    uint64_t tag = hash(throttle, password);
    size_t at = 0;
    while (at < PASSWORDS - 1 && pair->passwords[at] != tag)
        at++;
    bool known = pair->passwords[at] == tag;
    memmove(pair->passwords + 1, pair->passwords, at * sizeof(pair->passwords[0]));
    pair->passwords[0] = tag;
    return !known;
}

/* Whether that began a pause. At its end half of the failures count still: the next is nearer. */
static bool count(struct record *record, uint32_t pause_after, const struct throttle_limits *limits,
                  uint64_t now_ms)
{
    record->failures++;
    record->counted_ms = now_ms;
    if (pause_after == 0 || record->failures < pause_after)
        return false;
    record->failures = pause_after / 2;
    record->paused_until_ms = now_ms + limits->pause_ms;
    record->counted_ms = record->paused_until_ms;
    return true;
}

struct throttle_news throttle_failed(struct throttle *throttle, const struct throttle_who *who,
                                     struct slice password, uint64_t now_ms)
{
    const struct throttle_limits *limits = &throttle->limits;
    struct record *network = end_attempt(throttle, who->network);
    struct record *pair = end_attempt(throttle, who->pair);
    struct throttle_news news = {0};
    if (!pair || !is_new_password(throttle, pair, password))
        return news;
    news.pair_paused = count(pair, limits->pause_after, limits, now_ms);
    news.failures = news.pair_paused ? limits->pause_after : pair->failures;
    news.network_paused = network && count(network, limits->network_pause_after, limits, now_ms);
    return news;
}

uint64_t throttle_refusal_ms(const struct throttle *throttle, const struct throttle_who *who,
                             uint64_t now_ms)
{
    const struct throttle_limits *limits = &throttle->limits;
    const struct record *pair = look_at(throttle, who->pair);
    const struct record *network = look_at(throttle, who->network);
    if ((pair && pair->paused_until_ms > now_ms) || (network && network->paused_until_ms > now_ms))
        return limits->slowest_ms;
    uint64_t held = limits->refusal_ms;
    uint32_t failures = pair ? pair->failures : 0;
    for (uint32_t extra = limits->free; extra < failures && held < limits->slowest_ms; extra++)
        held = held * 2 < limits->slowest_ms ? held * 2 : limits->slowest_ms;
    return held;
}
