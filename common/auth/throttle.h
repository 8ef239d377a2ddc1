/*
 * Slows down password guessing. Failures are counted for each pair of account and network, and for
 * each network as a whole; never for an account alone, so that users are not locked out on their
 * own network by guesses from another one. Unknown accounts are treated like known ones.
 *
 *     failures of the pair    what happens
 *     up to `free`            refusals leave after refusal_ms
 *     then                    each further one doubles that, up to slowest_ms
 *     `pause_after`           no password is checked for pause_ms, not even the right one
 *     the network's `network_pause_after`, all accounts together: the same for the network
 *
 * Attempts under way count as failures until they end, so that parallel attempts gain nothing:
 * those over the limit wait (THROTTLE_WAIT). The same wrong password, sent again and again by a
 * forgotten device, counts once. When no failure was counted for forget_ms, all are forgotten; a
 * right password clears the pair at once. Loopback is not counted as a network, since other
 * programs (web mail) connect from there for many users; it is counted as part of a pair.
 *
 * Bounded: a fixed table with sets of eight, where a new entry replaces the one with the fewest
 * failures. The hash is keyed, so that nobody can choose which. Time is an argument; no I/O, never
 * blocks. Process `auth`.
 */
#ifndef COMMON_AUTH_THROTTLE_H
#define COMMON_AUTH_THROTTLE_H

#include "common/error.h"
#include "common/net/ip_address.h"
#include "common/slice.h"

struct throttle_limits {
    uint32_t free;                /* failures without consequence */
    uint32_t pause_after;         /* failures of a pair; 0: never */
    uint32_t network_pause_after; /* failures of a network; 0: never */
    uint64_t pause_ms;
    uint64_t forget_ms;
    uint64_t refusal_ms; /* shortest delay of a refusal */
    uint64_t slowest_ms; /* longest delay of a refusal */
    unsigned ipv4_bits;  /* prefix length of a network */
    unsigned ipv6_bits;  /* prefix length of a network */
};

struct throttle;

/* Keys of the table for an attempt; made when it begins, kept until it ends. */
struct throttle_who {
    uint64_t pair;
    uint64_t network; /* 0: not counted */
};

enum throttle_verdict {
    THROTTLE_TRY,    /* check the password, then call throttle_succeeded, _failed or _abandoned */
    THROTTLE_WAIT,   /* call throttle_begin() again when an attempt has ended */
    THROTTLE_PAUSED, /* refuse without checking the password */
};

/* After sodium_init(). NULL with *error: no memory. */
struct throttle *throttle_new(const struct throttle_limits *limits, struct error *error);
void throttle_free(struct throttle *throttle); /* NULL is fine */

/* Sets new limits; failures counted so far stay. */
void throttle_change_limits(struct throttle *throttle, const struct throttle_limits *limits);

/* account: canonical, or the name that the client gave. address: the client's. */
struct throttle_who throttle_who(const struct throttle *throttle, struct slice account,
                                 const struct ip_address *address);

enum throttle_verdict throttle_begin(struct throttle *throttle, const struct throttle_who *who,
                                     uint64_t now_ms);

/* Whether throttle_begin() would return THROTTLE_PAUSED, to be asked before expensive work. */
bool throttle_is_paused(const struct throttle *throttle, const struct throttle_who *who,
                        uint64_t now_ms);

/* An attempt for which throttle_begin() returned THROTTLE_TRY has ended. */
void throttle_succeeded(struct throttle *throttle, const struct throttle_who *who, uint64_t now_ms);
void throttle_abandoned(struct throttle *throttle, const struct throttle_who *who);

/* The effect of a failure, for the log. */
struct throttle_news {
    uint32_t failures;   /* of the pair, including this one */
    bool pair_paused;    /* this failure began a pause of the pair */
    bool network_paused; /* this failure began a pause of the network */
};
struct throttle_news throttle_failed(struct throttle *throttle, const struct throttle_who *who,
                                     struct slice password, uint64_t now_ms);

/* The delay of a refusal to this pair, counted from the request. Call it after
 * throttle_failed(). */
uint64_t throttle_refusal_ms(const struct throttle *throttle, const struct throttle_who *who,
                             uint64_t now_ms);

#endif
