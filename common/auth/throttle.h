/*
 * Guessing made slow. Failures are counted for each pair of account and network, and for each
 * network as a whole; never for an account alone, so nobody is shut out from his own network by
 * guesses from another. Unknown accounts count as known ones do: nothing here depends on whether an
 * account exists.
 *
 *     failures of the pair    what happens
 *     up to `free`            refusals leave after refusal_ms
 *     then                    each further one doubles that, up to slowest_ms
 *     `pause_after`           no password is looked at for pause_ms, the right one neither
 *     the network's `network_pause_after`, all accounts together: the same for the network
 *
 * Attempts under way count as failures until they end, so a thousand at once get no thousand tries:
 * what is too many waits (THROTTLE_WAIT). The same wrong password again, as a forgotten telephone
 * sends it every minute, counts once. When none has been counted for forget_ms, all are forgotten;
 * a right password forgives the pair at once. Loopback is a place where other programs (a web
 * mailer) speak for many people: as a network it is not counted, as part of a pair it is.
 *
 * Bounded: a fixed table, sets of eight, where the newcomer replaces whoever has the least on
 * record. The hash is keyed, so nobody can choose whom. Time comes in as an argument; no I/O, never
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
    uint64_t refusal_ms; /* how long every refusal is held at least */
    uint64_t slowest_ms;
    unsigned ipv4_bits; /* prefix of the address that makes the network */
    unsigned ipv6_bits;
};

struct throttle;

/* Who tries, as keys of the table. Made once an attempt, kept while it is under way. */
struct throttle_who {
    uint64_t pair;
    uint64_t network; /* 0: not counted */
};

enum throttle_verdict {
    THROTTLE_TRY,    /* look at the password, then say throttle_succeeded, _failed or _abandoned */
    THROTTLE_WAIT,   /* ask again when an attempt has ended */
    THROTTLE_PAUSED, /* refuse, without a look at the password */
};

/* NULL with *error where there is no memory. sodium_init() was called. */
struct throttle *throttle_new(const struct throttle_limits *limits, struct error *error);
void throttle_free(struct throttle *throttle); /* NULL is fine */

/* For what comes; what was counted stays. */
void throttle_change_limits(struct throttle *throttle, const struct throttle_limits *limits);

/* account: canonical, or what the client called itself. address: where it connected from. */
struct throttle_who throttle_who(const struct throttle *throttle, struct slice account,
                                 const struct ip_address *address);

enum throttle_verdict throttle_begin(struct throttle *throttle, const struct throttle_who *who,
                                     uint64_t now_ms);

/* throttle_begin() would say THROTTLE_PAUSED: for who has much to do before that. */
bool throttle_is_paused(const struct throttle *throttle, const struct throttle_who *who,
                        uint64_t now_ms);

/* An attempt that throttle_begin let through has ended. */
void throttle_succeeded(struct throttle *throttle, const struct throttle_who *who, uint64_t now_ms);
void throttle_abandoned(struct throttle *throttle, const struct throttle_who *who);

/* Sets what is worth a line in the log. */
struct throttle_news {
    uint32_t failures;   /* of the pair, with this one */
    bool pair_paused;    /* from now on */
    bool network_paused; /* from now on */
};
struct throttle_news throttle_failed(struct throttle *throttle, const struct throttle_who *who,
                                     struct slice password, uint64_t now_ms);

/* How long, counted from the request, a refusal to this pair is held now. The failure that is being
 * refused has been counted. */
uint64_t throttle_refusal_ms(const struct throttle *throttle, const struct throttle_who *who,
                             uint64_t now_ms);

#endif
