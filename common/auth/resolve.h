/*
 * What an address means: resolves recipients to accounts and remote addresses, and login names to
 * accounts; decides which account may send as which address. All from memory (directory.h), in
 * microseconds; NSS is asked only for system users that were not looked up in the last minute.
 *
 * For an address in one of our domains the first that exists decides:
 *
 *   1. an alias of that name, then one of the name before its '+detail'
 *   2. an account of that name, then of the name before its '+detail'
 *   3. the domain's catch-all: `*` or `@domain` of its aliases, or the configuration's
 *   4. for `postmaster`: the domain's first account, else the first of all (RFC 5321 4.5.1: that
 *      address always accepts mail)
 *
 * Targets of aliases are resolved in the same way, so aliases chain. If an alias has its own name
 * among its targets, that means the account of that name ("alice: alice, bob" keeps a copy). Any
 * other path back to an alias being resolved is a loop, and so is a chain of more than
 * RESOLVE_DEPTH_MAX. Targets of aliases and catch-alls may be addresses of other domains.
 */
#ifndef COMMON_AUTH_RESOLVE_H
#define COMMON_AUTH_RESOLVE_H

#include "common/arena.h"
#include "common/auth/directory.h"

enum { RESOLVE_DEPTH_MAX = 50 };

enum resolve_verdict {
    RESOLVE_TARGETS = 1, /* at least one target */
    RESOLVE_UNKNOWN,     /* one of our domains, no such local part */
    RESOLVE_FOREIGN,     /* not one of our domains */
    RESOLVE_LOOP,        /* an alias loop, or too many targets */
    RESOLVE_TEMPORARY,   /* no memory, or NSS cannot tell */
    RESOLVE_MALFORMED,   /* not an address */
};

struct resolve_target {
    bool is_foreign;   /* `name` is an address of another domain */
    struct slice name; /* a canonical account, unless is_foreign */
};

struct resolution {
    enum resolve_verdict verdict;
    struct resolve_target *targets; /* without duplicates; in the arena */
    size_t count;
    bool dangling;     /* an alias leads to an address in our domains that does not exist */
    struct error text; /* for people: what is wrong, also with a dangling alias; else empty */
};

/* Resolves a recipient. `address`: as address_format() writes it; "postmaster" alone is that of the
 * first domain. The arena holds the result. More than `most` targets are RESOLVE_LOOP. */
void resolve_recipient(const struct directory *directory, struct slice address, size_t most,
                       uint64_t now_ms, struct arena *arena, struct resolution *resolution);

/* The account of a login name: `alice` (alice of the first domain, or the system user) or
 * `alice@demo.test`; aliases and details do not count. Names are in the arena. ERROR_NOT_FOUND:
 * there is none. ERROR_TEMPORARY: not known now.
 *
 * *counted_as is set in any case: the name for the throttle, the same for all spellings of an
 * account, whether it exists or not. */
bool resolve_login(const struct directory *directory, struct slice name, uint64_t now_ms,
                   struct arena *arena, struct directory_account *account, struct slice *counted_as,
                   struct error *error);

/* Whether the account (canonical) may send as that address. It may use addresses that resolve to it
 * alone; the sender map allows more:
 *
 *     alice@demo.test:  info@demo.test, @lists.demo.test
 *     bob:              *
 *
 * False with ERROR_TEMPORARY: not known now; with ERROR_PERMANENT: it may not. */
bool resolve_may_send(const struct directory *directory, struct slice account, struct slice address,
                      uint64_t now_ms, struct error *error);

/* Checks every alias of the domain: left sides are in a domain that uses this file, targets are
 * addresses, there is no loop. ERROR_PERMANENT names the first bad one. */
bool resolve_check_aliases(const struct directory *directory, const struct directory_domain *domain,
                           struct error *error);

#endif
