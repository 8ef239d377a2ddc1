/*
 * Which hosts and addresses a destination's mail goes to, in the order in which they are to be
 * tried, and what the DNS says of their certificates. relay.
 *
 *   route's host ──────────────┐
 *   domain ── MX, RFC 5321 5.1 ┴─> hosts ── A, AAAA ──> addresses ── TLSA, RFC 7672 ─┬─> target
 *                                                   a domain's MTA-STS, RFC 8461 ──┘
 *
 * Never among them: this host itself and what is behind it in preference; addresses that belong to
 * no public host, unless the configuration says so; hosts of whose TLSA records nothing can be
 * known; hosts without such records of use that the domain's policy does not name.
 */
#ifndef SMTPD_RELAY_TARGET_H
#define SMTPD_RELAY_TARGET_H

#include "common/config/config.h"
#include "common/dns/dns_client.h"
#include "common/role/turn.h"
#include "smtpd/fetch/fetch_client.h"
#include "smtpd/relay/relay_protocol.h"

enum {
    TARGET_HOSTS_MAX = 20,  /* the most preferred */
    TARGET_PLACES_MAX = 64, /* addresses of all hosts */
    TARGET_OF_A_HOST =
        8, /* addresses of each family; of more the resolver gives others each time */
};

/* TLSA records that DNSSEC vouches for. */
enum target_tlsa {
    TARGET_TLSA_NONE,
    TARGET_TLSA_UNUSABLE, /* but none that we could check: TLS all the same (RFC 7672 2.2) */
    TARGET_TLSA_USABLE,
};

/* What the domain's MTA-STS policy says about a host. DANE goes before it (RFC 8461 2): of a host
 * with TLSA records that can be checked nothing is asked. */
enum target_policy {
    TARGET_POLICY_NONE,
    TARGET_POLICY_TESTING,
    TARGET_POLICY_TESTING_UNLISTED, /* enforced, it would get no mail */
    TARGET_POLICY_ENFORCE,          /* TLS, with a certificate for its name */
};
const char *target_policy_name(enum target_policy policy); /* for the log; static */

struct target_host {
    char name[DNS_NAME_MAX + 1]; /* of an address alone: that as text */
    bool has_name;               /* false: an address alone */
    bool is_proved; /* by DNSSEC, the policy or the configuration: it is to have the mail */
    enum target_tlsa tlsa_use;
    struct buffer tlsa;               /* their RDATA, as in dns_result */
    char tlsa_base[DNS_NAME_MAX + 1]; /* whose they are: `name`, or what it is an alias of */
    enum target_policy policy;
};

struct target_place {
    struct ip_address address;
    unsigned host; /* in hosts */
};

/* Constant once found; shared by the destination and its connections. */
struct target {
    unsigned shares;
    uint64_t good_until_ms;        /* turn_now_ms() */
    char domain[DNS_NAME_MAX + 1]; /* whose MX was asked for; empty: none's */
    struct target_host *hosts;
    size_t host_count;
    struct buffer policy; /* the domain's MTA-STS policy, as it came; empty: none counts */
    /* The domain's record names a policy that could not be had: of the three for that in RFC 8460
     * 4.3.2.2, and why. 0: it is not so. */
    enum tls_result policy_failure;
    char policy_reason[160];
    size_t place_count; /* at least one */
    struct target_place places[TARGET_PLACES_MAX];
};
struct target *target_share(struct target *target);
void target_release(struct target *target); /* NULL is fine */

/* Addresses that are this host's own, and the ports it takes mail on: gathered outside the walls.
 */
struct target_own {
    struct ip_address *addresses;
    size_t count;
};
bool target_own_gather(struct target_own *own, struct error *error);

/* RFC 1918, 4193, 6598 and their like, loopback, link-local, multicast, unspecified: no public host
 * has it. Pure. */
bool target_address_is_private(const struct ip_address *address);

struct target_failure {
    enum relay_status status; /* TEMPORARY or PERMANENT */
    const char *code;
    char words[240];
    enum tls_result tls; /* it was DNSSEC, or the domain's policy; 0: neither */
    struct slice policy; /* the MTA-STS policy, if it was that; good during the call */
};

/* Which family of a host's addresses answered first, where that was not the one that is tried
 * first; by the hash of its name, so that there is a bound. For ten minutes; then IPv6 has another
 * chance.
 */
enum { TARGET_FASTER_MAX = 1024 };
struct target_faster {
    uint64_t name_hash;
    uint64_t until_ms; /* turn_now_ms() */
    uint8_t family;    /* enum ip_family */
};

/* What all searches of the process use. */
struct target_context {
    const struct config *config;
    struct dns_client *dns;
    struct fetch_client *fetch;
    struct turn *turn;
    struct target_own own;
    struct target_faster faster[TARGET_FASTER_MAX];
};

void target_note_faster(struct target_context *context, const char *host, uint8_t family);

/* The found target is the owner's share; NULL: why. */
typedef void target_found(void *owner, struct target *target, const struct target_failure *why);

struct target_search;

struct target_wish {
    const struct config_route *route; /* NULL: none */
    struct slice domain;              /* behind the '@'; whatever where the route has a host */
    bool ignores_policies;            /* DANE and MTA-STS are not asked for (RFC 8689 5) */
};

/* `found` is called once, never before this returns, unless the search is dropped before. NULL: no
 * memory. */
struct target_search *target_search(const struct target_context *context,
                                    const struct target_wish *wish, target_found *found,
                                    void *owner);
void target_search_drop(struct target_search *search); /* NULL is fine; not after found */

#endif
