/*
 * The hosts and addresses that take a destination's mail, in the order in which to try them, and
 * what DNSSEC (DANE) and MTA-STS say about their certificates. relay.
 *
 *   route's host ──────────────┐
 *   domain ── MX, RFC 5321 5.1 ┴─> hosts ── A, AAAA ──> addresses ── TLSA, RFC 7672 ─┬─> target
 *                                                   a domain's MTA-STS, RFC 8461 ──┘
 *
 * Left out are: this host itself and every host that is not preferred to it; private addresses,
 * unless the configuration allows them; hosts whose TLSA lookup fails; and hosts without usable
 * TLSA records that the domain's MTA-STS policy does not list.
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
    TARGET_OF_A_HOST = 8, /* addresses of each family of a host; the resolver varies their order */
};

/* A host's TLSA records, if authenticated by DNSSEC. */
enum target_tlsa {
    TARGET_TLSA_NONE,
    TARGET_TLSA_UNUSABLE, /* none of them can be checked: TLS is mandatory (RFC 7672 2.2) */
    TARGET_TLSA_USABLE,
};

/* What the domain's MTA-STS policy says about a host. DANE takes precedence (RFC 8461 2): for a
 * host with usable TLSA records the policy is not consulted. */
enum target_policy {
    TARGET_POLICY_NONE,
    TARGET_POLICY_TESTING,
    TARGET_POLICY_TESTING_UNLISTED, /* if the policy were enforced, the host would get no mail */
    TARGET_POLICY_ENFORCE,          /* TLS with a certificate for the host's name is mandatory */
};
const char *target_policy_name(enum target_policy policy); /* for the log; static */

struct target_host {
    char name[DNS_NAME_MAX + 1]; /* or the address as text if has_name is false */
    bool has_name;               /* false: the configuration or the recipient gave an address */
    bool is_proved; /* DNSSEC, the policy or the configuration says that it takes the mail */
    enum target_tlsa tlsa_use;
    struct buffer tlsa;               /* RDATA of the TLSA records, as in dns_result */
    char tlsa_base[DNS_NAME_MAX + 1]; /* where they were found: `name`, or what it is an alias of */
    enum target_policy policy;
};

/* One address to connect to. */
struct target_place {
    struct ip_address address;
    unsigned host; /* index in hosts */
};

/* Constant once found; shared by the destination and its connections. */
struct target {
    unsigned shares;
    uint64_t good_until_ms;        /* turn_now_ms(), from the TTLs of the answers */
    char domain[DNS_NAME_MAX + 1]; /* the domain whose MX was looked up; empty: none was */
    struct target_host *hosts;
    size_t host_count;
    struct buffer policy; /* the domain's MTA-STS policy as it came; empty: none applies */
    /* Not 0: the domain's record announces a policy that could not be fetched; one of the three
     * results of RFC 8460 4.3.2.2, with the reason in policy_reason. */
    enum tls_result policy_failure;
    char policy_reason[160];
    size_t place_count; /* at least one */
    struct target_place places[TARGET_PLACES_MAX];
};
struct target *target_share(struct target *target);
void target_release(struct target *target); /* NULL is fine */

/* The addresses of this host's own interfaces, gathered before the sandbox is entered. */
struct target_own {
    struct ip_address *addresses;
    size_t count;
};
bool target_own_gather(struct target_own *own, struct error *error);

/* Whether no public host can have the address: private (RFC 1918, 4193, 6598 and their like),
 * loopback, link-local, multicast or unspecified. Pure. */
bool target_address_is_private(const struct ip_address *address);

struct target_failure {
    enum relay_status status; /* TEMPORARY or PERMANENT */
    const char *code;
    char words[240];
    enum tls_result tls; /* set if DNSSEC or the domain's policy was the cause; 0: neither */
    struct slice policy; /* the MTA-STS policy, if it was the cause; borrowed during the call */
};

/* The address family of a host that answered first, remembered if that was not the family tried
 * first. The table is indexed by the hash of the host's name, hence bounded. An entry is valid for
 * ten minutes; then IPv6 has another chance. */
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

/* The owner gets its own share of the target. NULL: none was found; `why` is the reason. */
typedef void target_found(void *owner, struct target *target, const struct target_failure *why);

struct target_search;

struct target_wish {
    const struct config_route *route; /* NULL: none */
    struct slice domain;   /* domain of the recipients; ignored if the route has a host */
    bool ignores_policies; /* ignores DANE and MTA-STS (RFC 8689 5) */
};

/* Calls `found` once, and not before this returns, unless the search is dropped first. NULL: no
 * memory. */
struct target_search *target_search(const struct target_context *context,
                                    const struct target_wish *wish, target_found *found,
                                    void *owner);
void target_search_drop(
    struct target_search *search); /* NULL is fine; not after `found` was called */

#endif
