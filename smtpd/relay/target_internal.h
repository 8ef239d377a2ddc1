/*
 * A search for a target while it is under way, between the files of target.h:
 *
 *   target_search.c   from the domain to hosts and their addresses
 *   target_tls.c      what DANE and MTA-STS say about these hosts
 *   target.c          the target that is made of them, or why there is none
 */
#ifndef SMTPD_RELAY_TARGET_INTERNAL_H
#define SMTPD_RELAY_TARGET_INTERNAL_H

#include "common/error.h"
#include "smtpd/relay/target.h"

enum { TARGET_GOOD_MOST_S = 600 }; /* no answer is believed for longer */

enum question { QUESTION_A, QUESTION_AAAA, QUESTION_CNAME, QUESTION_TLSA, QUESTIONS };

struct candidate {
    struct target_search *search;
    char name[DNS_NAME_MAX + 1];
    bool has_name;
    bool is_trusted;                  /* the configuration names it, so a private address is fine */
    bool is_secure;                   /* DNSSEC vouches for the addresses */
    char real_name[DNS_NAME_MAX + 1]; /* if `name` is an alias, what it stands for; else empty */
    char tlsa_base[DNS_NAME_MAX + 1]; /* where TLSA records are looked up, or were found */
    bool is_doubtful;                 /* something about it could not be looked up */
    bool is_ourselves;
    bool has_private; /* a private address was left out */
    enum target_tlsa tlsa_use;
    bool is_listed;   /* in the domain's policy, enforced or not */
    bool is_unlisted; /* the domain's policy forbids it */
    enum target_policy policy;
    uint16_t preference;
    uint32_t order; /* among hosts of equal preference: random */
    struct dns_inquiry *inquiries[QUESTIONS];
    size_t v6_count, v4_count;
    struct ip_address v6[TARGET_OF_A_HOST], v4[TARGET_OF_A_HOST];
    struct buffer tlsa;
};

struct target_search {
    const struct target_context *context;
    target_found *found;
    void *owner;
    uint16_t port;
    char domain[DNS_NAME_MAX + 1];
    struct dns_inquiry *mx;
    struct fetch_inquiry *policy;
    struct buffer policy_text;
    bool ignores_policies; /* the route or the message says so */
    bool wants_policy;     /* policies apply, and the hosts come from the DNS */
    bool may_be_secure;    /* DNSSEC or the configuration vouches for the names of the hosts */
    bool asked_mx;
    bool left_hosts_out;   /* there are more hosts than we look at */
    bool has_address_host; /* an MX record has an address where a host name belongs */
    unsigned pending;
    uint32_t ttl;
    size_t count;
    struct candidate candidates[TARGET_HOSTS_MAX];
    struct target_failure failure; /* status 0: none yet */
    struct error doubt;            /* why a host is doubtful */
    bool is_bogus;                 /* for one of them: DNSSEC validation failed */
    enum tls_result policy_failure;
    char policy_reason[160];
    struct deferred conclude;
};

static inline bool candidate_has_addresses(const struct candidate *candidate)
{
    return candidate->v4_count + candidate->v6_count > 0;
}

static inline void candidate_drop_addresses(struct candidate *candidate)
{
    candidate->v4_count = candidate->v6_count = 0;
}

/* ---- target_search.c ---- */

/* Asks the DNS about the candidate; `answered` gets the candidate, and counts search->pending down.
 * False: no memory, and the candidate is doubtful. */
bool target_ask(struct candidate *candidate, enum question question, enum dns_type type,
                const char *name, dns_answered *answered);
/* The answer could not be had or is bogus: remembers why, and that the candidate is doubtful. */
void target_note_doubt(struct candidate *candidate, const char *type,
                       const struct dns_result *answer);
void target_note_ttl(struct target_search *search, const struct dns_result *answer);
/* All is known that can be: the owner is told at the end of the turn. */
void target_conclude(struct target_search *search);

/* ---- target_tls.c ---- */

/* The addresses are known: asks for TLSA records, then for the domain's policy, then concludes. */
void target_ask_tls(struct target_search *search);

/* ---- target.c ---- */

/* The search ends without a target, for that reason. */
void target_set_failure(struct target_search *search, enum relay_status status, const char *code,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The target that the candidates make. NULL: search->failure says why there is none. */
struct target *target_make(struct target_search *search);

#endif
