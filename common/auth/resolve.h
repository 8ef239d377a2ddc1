/*
 * What an address means here: recipients to accounts and addresses elsewhere, login names to
 * accounts, and who may send as what. All from memory (directory.h), in microseconds; NSS is asked
 * only for system users whose names were not asked in the last minute.
 *
 * Of an address of ours the first that exists decides:
 *
 *   1. an alias of that name, then one of the name before its '+detail'
 *   2. an account of that name, then of the name before its '+detail'
 *   3. the domain's catch-all: `*` or `@domain` of its aliases, or the configuration's
 *   4. for `postmaster`: the domain's first account, else the first of all (RFC 5321 4.5.1: that
 *      address always accepts mail)
 *
 * What an alias leads to is looked up the same way, so aliases chain. An alias that names itself
 * among its targets means the account of that name ("alice: alice, bob" keeps a copy). Any other
 * way back to an alias under way is a loop, and so is a chain of more than RESOLVE_DEPTH_MAX. An
 * alias or a catch-all may lead to addresses of other domains, where its mail is then sent.
 */
#ifndef COMMON_AUTH_RESOLVE_H
#define COMMON_AUTH_RESOLVE_H

#include "common/arena.h"
#include "common/auth/directory.h"

enum { RESOLVE_DEPTH_MAX = 50 };

enum resolve_verdict {
    RESOLVE_TARGETS = 1, /* at least one */
    RESOLVE_UNKNOWN,     /* our domain, nobody of that name */
    RESOLVE_FOREIGN,     /* not our domain */
    RESOLVE_LOOP,        /* in circles, or to too many */
    RESOLVE_TEMPORARY,   /* no memory, or NSS cannot tell */
    RESOLVE_MALFORMED,   /* no address at all */
};

struct resolve_target {
    bool is_foreign;   /* the name is an address of a domain that is not ours */
    struct slice name; /* else a canonical account */
};

struct resolution {
    enum resolve_verdict verdict;
    struct resolve_target *targets; /* none twice; in the arena */
    size_t count;
    bool dangling;     /* an alias leads to an address of ours that does not exist */
    struct error text; /* for people: what was found wrong (a dangling alias too), else empty */
};

/* address: as address_format() writes it; "postmaster" alone is that of the first domain. The arena
 * holds the result. `most` targets at most, else RESOLVE_LOOP. */
void resolve_recipient(const struct directory *directory, struct slice address, size_t most,
                       uint64_t now_ms, struct arena *arena, struct resolution *resolution);

/* The account that a client means by its login name: `alice`, which is alice of the first domain
 * or the system user, or `alice@demo.test`; no alias, no detail. The arena holds names.
 * ERROR_NOT_FOUND: there is none. ERROR_TEMPORARY: nobody can tell now.
 *
 * *counted_as is set in any case: the name under which its failures are counted, one for all
 * spellings of an account, existing or not. */
bool resolve_login(const struct directory *directory, struct slice name, uint64_t now_ms,
                   struct arena *arena, struct directory_account *account, struct slice *counted_as,
                   struct error *error);

/* May this account (canonical) send as that address? Its own are those that lead to it alone; the
 * sender map gives more:
 *
 *     alice@demo.test:  info@demo.test, @lists.demo.test
 *     bob:              *
 *
 * False with ERROR_TEMPORARY if nobody can tell, else ERROR_PERMANENT. */
bool resolve_may_send(const struct directory *directory, struct slice account, struct slice address,
                      uint64_t now_ms, struct error *error);

/* Whether every alias of the domain makes sense: left sides are of a domain that reads this file,
 * targets are addresses, nothing goes in circles. ERROR_PERMANENT names the first that does not. */
bool resolve_check_aliases(const struct directory *directory, const struct directory_domain *domain,
                           struct error *error);

#endif
