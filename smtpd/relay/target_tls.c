/* Applies DANE (RFC 7672) and MTA-STS (RFC 8461) to the hosts that a search has found; see
 * target_internal.h. relay. */
#include <stdio.h>

#include "common/tls/tls_client.h"
#include "smtpd/relay/target_internal.h"

/* ---- MTA-STS ---- */

static bool may_need_policy(const struct candidate *candidate)
{
    return candidate_has_addresses(candidate) && candidate->tlsa_use != TARGET_TLSA_USABLE;
}

static void apply_policy(struct candidate *candidate, const struct sts_policy *policy)
{
    candidate->is_listed = sts_policy_allows(policy, slice_of_string(candidate->name));
    if (policy->mode == STS_MODE_TESTING) {
        candidate->policy =
            candidate->is_listed ? TARGET_POLICY_TESTING : TARGET_POLICY_TESTING_UNLISTED;
    } else if (candidate->is_listed) {
        candidate->policy = TARGET_POLICY_ENFORCE;
    } else {
        candidate->is_unlisted = true;
        candidate_drop_addresses(candidate);
    }
}

/* Mail goes out as if there were no policy (RFC 8461 3.3); the TLS report says so. */
static void note_policy_failure(struct target_search *search, enum fetch_status status,
                                struct slice why)
{
    search->policy_failure = fetch_status_result(status);
    if (search->policy_failure != 0)
        snprintf(search->policy_reason, sizeof(search->policy_reason), "%.*s", SLICE_PRINTF(why));
}

static void on_policy(void *owner, enum fetch_status status, struct slice text)
{
    struct target_search *search = owner;
    struct sts_policy policy = {.mode = STS_MODE_NONE};
    search->policy = NULL;
    note_policy_failure(search, status, text);
    if (status == FETCH_FOUND && !sts_policy_parse(text, &policy)) {
        status = FETCH_UNKNOWN;
        text = SLICE("it is malformed");
    }
    /* RFC 8461 5: without the policy's possible demands, the mail could go to an impostor. */
    if (status == FETCH_UNKNOWN)
        target_set_failure(search, RELAY_TEMPORARY, "4.7.5",
                           "whether %s has an MTA-STS policy could not be found out: %.*s",
                           search->domain, SLICE_PRINTF(text));
    if (policy.mode != STS_MODE_NONE)
        buffer_append(&search->policy_text, text);
    for (size_t i = 0; i < search->count && policy.mode != STS_MODE_NONE; i++)
        if (may_need_policy(&search->candidates[i]))
            apply_policy(&search->candidates[i], &policy);
    target_conclude(search);
}

static bool wants_policy(const struct target_search *search)
{
    for (size_t i = 0; i < search->count; i++)
        if (may_need_policy(&search->candidates[i]))
            return search->wants_policy;
    return false;
}

static void ask_policy(struct target_search *search)
{
    if (!wants_policy(search)) {
        target_conclude(search);
        return;
    }
    search->policy =
        fetch_client_ask_policy(search->context->fetch, search->domain, on_policy, search);
    if (search->policy)
        return;
    target_set_failure(search, RELAY_TEMPORARY, "4.3.0", "no memory for a question about TLS");
    target_conclude(search);
}

/* ---- TLSA ---- */

static void take_tlsa(struct candidate *candidate, const struct dns_result *answer)
{
    struct slice rest = answer->rdata, rdata;
    struct tls_client_tlsa record;
    candidate->tlsa_use = TARGET_TLSA_UNUSABLE;
    while (dns_result_next(&rest, &rdata))
        if (tls_client_tlsa_parse(rdata, &record) && tls_client_tlsa_is_usable(&record))
            candidate->tlsa_use = TARGET_TLSA_USABLE;
    buffer_append(&candidate->tlsa, answer->rdata);
    if (!candidate->tlsa.failed)
        return;
    candidate->is_doubtful = true;
    candidate_drop_addresses(candidate);
}

/* RFC 7672 2.1.1: a host whose answer may have been suppressed must not get the mail. */
static void distrust(struct candidate *candidate, const char *type, const struct dns_result *answer)
{
    target_note_doubt(candidate, type, answer);
    candidate_drop_addresses(candidate);
}

static void tlsa_answered(struct target_search *search)
{
    if (--search->pending == 0)
        ask_policy(search);
}

static void on_tlsa(void *owner, const struct dns_result *answer);

/* A name too long for the "_25._tcp." before it has no TLSA records. */
static void ask_tlsa_of(struct candidate *candidate, const char *base)
{
    char name[DNS_NAME_MAX + 16];
    snprintf(candidate->tlsa_base, sizeof(candidate->tlsa_base), "%s", base);
    int octets = snprintf(name, sizeof(name), "_%u._tcp.%s", candidate->search->port, base);
    if (octets <= DNS_NAME_MAX && !target_ask(candidate, QUESTION_TLSA, DNS_TLSA, name, on_tlsa))
        candidate_drop_addresses(candidate);
    else if (octets > DNS_NAME_MAX && strcmp(base, candidate->name) != 0)
        ask_tlsa_of(candidate, candidate->name);
}

/* For an alias, its target is looked up first, then the alias itself (RFC 7672 2.2.2). */
static void on_tlsa(void *owner, const struct dns_result *answer)
{
    struct candidate *candidate = owner;
    candidate->inquiries[QUESTION_TLSA] = NULL;
    bool is_found = answer->status == DNS_FOUND && answer->secure;
    bool is_last = strcmp(candidate->tlsa_base, candidate->name) == 0;
    if (answer->status == DNS_FOUND)
        target_note_ttl(candidate->search, answer);
    if (answer->status == DNS_BOGUS || answer->status == DNS_TEMPORARY)
        distrust(candidate, "TLSA of", answer);
    else if (is_found)
        take_tlsa(candidate, answer);
    else if (!is_last)
        ask_tlsa_of(candidate, candidate->name);
    tlsa_answered(candidate->search);
}

/* An alias in a signed zone for a host in an unsigned one may have TLSA records of its own. */
static void on_cname(void *owner, const struct dns_result *answer)
{
    struct candidate *candidate = owner;
    candidate->inquiries[QUESTION_CNAME] = NULL;
    if (answer->status == DNS_BOGUS || answer->status == DNS_TEMPORARY)
        distrust(candidate, "alias", answer);
    else if (answer->status == DNS_FOUND && answer->secure)
        ask_tlsa_of(candidate, candidate->name);
    tlsa_answered(candidate->search);
}

void target_ask_tls(struct target_search *search)
{
    for (size_t i = 0; i < search->count; i++) {
        struct candidate *candidate = &search->candidates[i];
        bool is_alias = candidate->real_name[0] != '\0';
        if (search->ignores_policies || !candidate->has_name || !search->may_be_secure
            || !candidate_has_addresses(candidate))
            continue;
        if (candidate->is_secure)
            ask_tlsa_of(candidate, is_alias ? candidate->real_name : candidate->name);
        else if (is_alias
                 && !target_ask(candidate, QUESTION_CNAME, DNS_CNAME, candidate->name, on_cname))
            candidate_drop_addresses(candidate);
    }
    if (search->pending == 0)
        ask_policy(search);
}
