/*
 * From a domain to addresses; see target.h. relay.
 *
 *   begin ─> MX ─> hosts, sorted ─> A and AAAA of all at once ─> TLSA of the validated
 *                                        ─> policy of the domain ─> conclude
 *
 * `pending` counts the questions under way; the last answer of a step begins the next one.
 */
#include "smtpd/relay/target.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "common/text/address.h"
#include "common/tls/tls_client.h"

enum {
    TARGET_GOOD_MOST_S = 600, /* longer than this no answer is believed */
    TARGET_GOOD_LEAST_S = 30,
    TLSA_OCTETS_MAX = 16384,
    LITERAL_PREFERENCE = 0,
};

enum question { QUESTION_A, QUESTION_AAAA, QUESTION_CNAME, QUESTION_TLSA, QUESTIONS };

struct candidate {
    struct target_search *search;
    char name[DNS_NAME_MAX + 1];
    bool has_name;
    bool is_trusted;                  /* the configuration names it: a private address is meant */
    bool is_secure;                   /* the addresses are validated */
    char real_name[DNS_NAME_MAX + 1]; /* of whom they are, where `name` is an alias; else empty */
    char tlsa_base[DNS_NAME_MAX + 1]; /* whose TLSA records are asked for, or were found */
    bool is_doubtful;                 /* something about it could not be found out */
    bool is_ourselves;
    bool has_private; /* an address was left out */
    enum target_tlsa tlsa_use;
    bool is_listed;   /* by the domain's policy, enforced or not */
    bool is_unlisted; /* the domain's policy forbids it */
    enum target_policy policy;
    uint16_t preference;
    uint32_t order; /* among equals */
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
    bool ignores_policies; /* says the route or the message */
    bool wants_policy;     /* they count, and the hosts are those of the DNS */
    bool may_be_secure; /* the names of the hosts are as good as DNSSEC's, or the configuration's */
    bool asked_mx;
    bool left_hosts_out;   /* there are more than we look at */
    bool has_address_host; /* an MX record names an address, in the place of a host */
    unsigned pending;
    uint32_t ttl;
    size_t count;
    struct candidate candidates[TARGET_HOSTS_MAX];
    struct target_failure failure; /* status 0: none yet */
    struct error doubt;            /* why a host is doubtful */
    bool is_bogus;                 /* and one because of DNSSEC */
    enum tls_result policy_failure;
    char policy_reason[160];
    struct deferred conclude;
};

/* ---- shares ---- */

struct target *target_share(struct target *target)
{
    target->shares++;
    return target;
}

void target_release(struct target *target)
{
    if (!target || --target->shares > 0)
        return;
    for (size_t i = 0; i < target->host_count; i++)
        buffer_clear(&target->hosts[i].tlsa);
    buffer_clear(&target->policy);
    free(target->hosts);
    free(target);
}

/* ---- the end ---- */

static void set_failure(struct target_search *search, enum relay_status status, const char *code,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

static void set_failure(struct target_search *search, enum relay_status status, const char *code,
                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    search->failure.status = status;
    search->failure.code = code;
    vsnprintf(search->failure.words, sizeof(search->failure.words), format, arguments);
    va_end(arguments);
}

void target_search_drop(struct target_search *search)
{
    if (!search)
        return;
    turn_cancel(&search->conclude);
    if (search->mx)
        dns_cancel(search->context->dns, search->mx);
    if (search->policy)
        fetch_client_cancel(search->context->fetch, search->policy);
    for (size_t i = 0; i < search->count; i++) {
        for (size_t j = 0; j < QUESTIONS; j++)
            if (search->candidates[i].inquiries[j])
                dns_cancel(search->context->dns, search->candidates[i].inquiries[j]);
        buffer_clear(&search->candidates[i].tlsa);
    }
    buffer_clear(&search->policy_text);
    free(search);
}

static size_t count_usable(const struct target_search *search)
{
    size_t count = 0;
    for (size_t i = 0; i < search->count; i++)
        count += search->candidates[i].v4_count + search->candidates[i].v6_count > 0;
    return count;
}

/* FNV-1a: who made two names meet would gain that one is tried by its other family first. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325U;
    for (; *name; name++)
        hash = (hash ^ ascii_lower((uint8_t)*name)) * 0x100000001b3U;
    return hash;
}

void target_note_faster(struct target_context *context, const char *host, uint8_t family)
{
    uint64_t hash = hash_name(host);
    context->faster[hash % TARGET_FASTER_MAX] = (struct target_faster){
        .name_hash = hash,
        .until_ms = turn_now_ms() + (uint64_t)TARGET_GOOD_MOST_S * 1000,
        .family = family,
    };
}

static bool is_v4_faster(const struct target_context *context, const char *host)
{
    uint64_t hash = hash_name(host);
    const struct target_faster *faster = &context->faster[hash % TARGET_FASTER_MAX];
    return faster->name_hash == hash && faster->until_ms > turn_now_ms() && faster->family == IP_V4;
}

static void add_place(struct target *target, const struct ip_address *address, unsigned host)
{
    if (target->place_count < TARGET_PLACES_MAX)
        target->places[target->place_count++] = (struct target_place){*address, host};
}

/* IPv6 and IPv4 by turns, the one that is known to be faster first: where one of them leads
 * nowhere, the other is the next try. */
static void add_places(struct target *target, const struct candidate *from, unsigned host)
{
    bool v4_first = is_v4_faster(from->search->context, from->name);
    for (size_t i = 0; i < TARGET_OF_A_HOST; i++) {
        if (v4_first && i < from->v4_count)
            add_place(target, &from->v4[i], host);
        if (i < from->v6_count)
            add_place(target, &from->v6[i], host);
        if (!v4_first && i < from->v4_count)
            add_place(target, &from->v4[i], host);
    }
}

static struct target *make_target(struct target_search *search)
{
    struct target *target = calloc(1, sizeof(*target));
    struct target_host *hosts = calloc(count_usable(search) + 1, sizeof(*hosts));
    if (!target || !hosts) {
        free(target);
        free(hosts);
        set_failure(search, RELAY_TEMPORARY, "4.3.0", "no memory for the addresses");
        return NULL;
    }
    target->shares = 1;
    if (search->asked_mx)
        memcpy(target->domain, search->domain, sizeof(target->domain));
    target->hosts = hosts;
    target->policy = search->policy_text;
    search->policy_text = (struct buffer)BUFFER_WITH_LIMIT(0);
    target->policy_failure = search->policy_failure;
    memcpy(target->policy_reason, search->policy_reason, sizeof(target->policy_reason));
    target->good_until_ms = turn_now_ms() + (uint64_t)search->ttl * 1000;
    for (size_t i = 0; i < search->count; i++) {
        struct candidate *from = &search->candidates[i];
        if (from->v4_count + from->v6_count == 0)
            continue;
        struct target_host *host = &hosts[target->host_count];
        memcpy(host->name, from->name, sizeof(host->name));
        host->has_name = from->has_name;
        host->is_proved = search->may_be_secure || from->is_listed;
        host->tlsa_use = from->tlsa_use;
        host->policy = from->policy;
        host->tlsa = from->tlsa;
        memcpy(host->tlsa_base, from->tlsa_base, sizeof(host->tlsa_base));
        from->tlsa = (struct buffer)BUFFER_WITH_LIMIT(0);
        add_places(target, from, (unsigned)target->host_count++);
    }
    return target;
}

/* No host is left: which of the reasons says most? */
static void explain(struct target_search *search)
{
    bool doubtful = false, ourselves = false, private = false, unlisted = false;
    for (size_t i = 0; i < search->count; i++) {
        doubtful = doubtful || search->candidates[i].is_doubtful;
        ourselves = ourselves || search->candidates[i].is_ourselves;
        private = private || search->candidates[i].has_private;
        unlisted = unlisted || search->candidates[i].is_unlisted;
    }
    if (doubtful)
        set_failure(search, RELAY_TEMPORARY, "4.4.3",
                    "the DNS does not say where %s takes its mail: %s", search->domain,
                    search->doubt.text);
    else if (unlisted)
        set_failure(search, RELAY_TEMPORARY, "4.7.5",
                    "the MTA-STS policy of %s names none of the hosts that the DNS says take its "
                    "mail",
                    search->domain);
    else if (ourselves)
        set_failure(search, RELAY_PERMANENT, "5.4.6",
                    "mail for %s would come back to this host, which does not serve that domain",
                    search->domain);
    else if (private)
        set_failure(search, RELAY_PERMANENT, "5.4.4",
                    "the DNS sends mail for %s to an address that no public host has",
                    search->domain);
    else if (search->left_hosts_out)
        set_failure(search, RELAY_TEMPORARY, "4.4.4",
                    "none of the %d most preferred hosts that take mail for %s has an address",
                    TARGET_HOSTS_MAX, search->domain);
    else
        set_failure(search, RELAY_PERMANENT, "5.4.4",
                    "no host that takes mail for %s has an address", search->domain);
}

/* What of it a TLS report tells. */
static void note_tls_failure(struct target_search *search)
{
    struct target_failure *failure = &search->failure;
    bool unlisted = false;
    for (size_t i = 0; i < search->count; i++)
        unlisted = unlisted || search->candidates[i].is_unlisted;
    if (failure->status == RELAY_TEMPORARY && search->is_bogus) {
        failure->tls = TLS_RESULT_DNSSEC_INVALID;
    } else if (failure->status == RELAY_TEMPORARY && unlisted) {
        failure->tls = TLS_RESULT_VALIDATION_FAILURE;
        failure->policy = buffer_slice(&search->policy_text);
    }
}

static void on_conclude(struct deferred *deferred)
{
    struct target_search *search =
        (struct target_search *)(void *)((uint8_t *)deferred
                                         - offsetof(struct target_search, conclude));
    struct target *target = NULL;
    if (search->failure.status == 0 && count_usable(search) == 0)
        explain(search);
    if (search->failure.status == 0)
        target = make_target(search);
    if (!target)
        note_tls_failure(search);
    search->found(search->owner, target, target ? NULL : &search->failure);
    target_search_drop(search);
}

static void conclude(struct target_search *search)
{
    turn_defer(search->context->turn, &search->conclude);
}

static void note_doubt(struct candidate *candidate, const char *type,
                       const struct dns_result *answer)
{
    candidate->is_doubtful = true;
    candidate->search->is_bogus = candidate->search->is_bogus || answer->status == DNS_BOGUS;
    error_set(&candidate->search->doubt, ERROR_TEMPORARY, "%s %s: %.*s", type, candidate->name,
              SLICE_PRINTF(answer->text));
}

static void note_ttl(struct target_search *search, const struct dns_result *answer)
{
    if (answer->ttl < search->ttl)
        search->ttl = answer->ttl > TARGET_GOOD_LEAST_S ? answer->ttl : TARGET_GOOD_LEAST_S;
}

static bool ask(struct candidate *candidate, enum question question, enum dns_type type,
                const char *name, dns_answered *answered)
{
    struct target_search *search = candidate->search;
    candidate->inquiries[question] =
        dns_ask(search->context->dns, type, slice_of_string(name), answered, candidate);
    if (!candidate->inquiries[question]) {
        candidate->is_doubtful = true;
        error_memory(&search->doubt);
        return false;
    }
    search->pending++;
    return true;
}

static void drop_addresses(struct candidate *candidate)
{
    candidate->v4_count = candidate->v6_count = 0;
}

static bool has_addresses(const struct candidate *candidate)
{
    return candidate->v4_count + candidate->v6_count > 0;
}

/* ---- MTA-STS ---- */

const char *target_policy_name(enum target_policy policy)
{
    static const char *const names[] = {
        [TARGET_POLICY_NONE] = "none",
        [TARGET_POLICY_TESTING] = "testing",
        [TARGET_POLICY_TESTING_UNLISTED] = "testing, and does not name this host",
        [TARGET_POLICY_ENFORCE] = "enforce",
    };
    return names[policy];
}

static bool may_need_policy(const struct candidate *candidate)
{
    return has_addresses(candidate) && candidate->tlsa_use != TARGET_TLSA_USABLE;
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
        drop_addresses(candidate);
    }
}

/* Mail goes as if there were none (RFC 8461 3.3); the domain is told. */
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
    /* RFC 8461 5: sent without what the policy may demand, the mail could be anybody's. */
    if (status == FETCH_UNKNOWN)
        set_failure(search, RELAY_TEMPORARY, "4.7.5",
                    "whether %s has an MTA-STS policy could not be found out: %.*s", search->domain,
                    SLICE_PRINTF(text));
    if (policy.mode != STS_MODE_NONE)
        buffer_append(&search->policy_text, text);
    for (size_t i = 0; i < search->count && policy.mode != STS_MODE_NONE; i++)
        if (may_need_policy(&search->candidates[i]))
            apply_policy(&search->candidates[i], &policy);
    conclude(search);
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
        conclude(search);
        return;
    }
    search->policy =
        fetch_client_ask_policy(search->context->fetch, search->domain, on_policy, search);
    if (search->policy)
        return;
    set_failure(search, RELAY_TEMPORARY, "4.3.0", "no memory for a question about TLS");
    conclude(search);
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
    drop_addresses(candidate);
}

/* RFC 7672 2.1.1: whoever suppresses an answer must not get the mail. */
static void distrust(struct candidate *candidate, const char *type, const struct dns_result *answer)
{
    note_doubt(candidate, type, answer);
    drop_addresses(candidate);
}

static void tlsa_answered(struct target_search *search)
{
    if (--search->pending == 0)
        ask_policy(search);
}

static void on_tlsa(void *owner, const struct dns_result *answer);

/* A host whose name is too long to have something before it has no TLSA records. */
static void ask_tlsa_of(struct candidate *candidate, const char *base)
{
    char name[DNS_NAME_MAX + 16];
    snprintf(candidate->tlsa_base, sizeof(candidate->tlsa_base), "%s", base);
    int octets = snprintf(name, sizeof(name), "_%u._tcp.%s", candidate->search->port, base);
    if (octets <= DNS_NAME_MAX && !ask(candidate, QUESTION_TLSA, DNS_TLSA, name, on_tlsa))
        drop_addresses(candidate);
    else if (octets > DNS_NAME_MAX && strcmp(base, candidate->name) != 0)
        ask_tlsa_of(candidate, candidate->name);
}

/* Of an alias what it stands for comes first, then the alias itself (RFC 7672 2.2.2). */
static void on_tlsa(void *owner, const struct dns_result *answer)
{
    struct candidate *candidate = owner;
    candidate->inquiries[QUESTION_TLSA] = NULL;
    bool is_found = answer->status == DNS_FOUND && answer->secure;
    bool is_last = strcmp(candidate->tlsa_base, candidate->name) == 0;
    if (answer->status == DNS_FOUND)
        note_ttl(candidate->search, answer);
    if (answer->status == DNS_BOGUS || answer->status == DNS_TEMPORARY)
        distrust(candidate, "TLSA of", answer);
    else if (is_found)
        take_tlsa(candidate, answer);
    else if (!is_last)
        ask_tlsa_of(candidate, candidate->name);
    tlsa_answered(candidate->search);
}

/* An alias in a signed zone of a host in one that is not: the alias may have records of its own. */
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

static void ask_tlsa(struct target_search *search)
{
    for (size_t i = 0; i < search->count; i++) {
        struct candidate *candidate = &search->candidates[i];
        bool is_alias = candidate->real_name[0] != '\0';
        if (search->ignores_policies || !candidate->has_name || !search->may_be_secure
            || !has_addresses(candidate))
            continue;
        if (candidate->is_secure)
            ask_tlsa_of(candidate, is_alias ? candidate->real_name : candidate->name);
        else if (is_alias && !ask(candidate, QUESTION_CNAME, DNS_CNAME, candidate->name, on_cname))
            drop_addresses(candidate);
    }
    if (search->pending == 0)
        ask_policy(search);
}

/* ---- addresses ---- */

static bool takes_mail_here(const struct config *config, uint16_t port)
{
    for (size_t i = 0; i < config->listen_count; i++)
        if (config->listens[i].service == CONFIG_SMTP && config->listens[i].port == port)
            return true;
    return false;
}

static bool is_our_address(const struct target_search *search, const struct ip_address *address)
{
    const struct target_own *own = &search->context->own;
    if (!takes_mail_here(search->context->config, search->port))
        return false;
    for (size_t i = 0; i < own->count; i++)
        if (ip_address_equal(&own->addresses[i], address))
            return true;
    return false;
}

static void add_address(struct candidate *candidate, const struct ip_address *address)
{
    const struct target_search *search = candidate->search;
    bool is_v4 = address->family == IP_V4;
    size_t *count = is_v4 ? &candidate->v4_count : &candidate->v6_count;
    if (!candidate->is_trusted && is_our_address(search, address))
        candidate->is_ourselves = true;
    else if (!candidate->is_trusted && !search->context->config->relay.private_targets
             && target_address_is_private(address))
        candidate->has_private = true;
    else if (*count < TARGET_OF_A_HOST)
        (is_v4 ? candidate->v4 : candidate->v6)[(*count)++] = *address;
}

static void read_addresses(struct candidate *candidate, const struct dns_result *answer,
                           enum ip_family family)
{
    struct slice rest = answer->rdata, rdata;
    size_t octets = family == IP_V4 ? 4 : 16;
    while (dns_result_next(&rest, &rdata)) {
        struct ip_address address = {.family = (uint8_t)family};
        if (rdata.len != octets)
            continue;
        memcpy(address.octets, rdata.ptr, octets);
        add_address(candidate, &address);
    }
}

/* RFC 5321 5.1: if we are among the hosts, what is not preferred to us is of no use: it would send
 * the mail to us. */
static void drop_behind_ourselves(struct target_search *search)
{
    uint32_t ours = UINT32_MAX;
    for (size_t i = 0; i < search->count; i++)
        if (search->candidates[i].is_ourselves && search->candidates[i].preference < ours)
            ours = search->candidates[i].preference;
    for (size_t i = 0; i < search->count; i++)
        if (search->candidates[i].preference >= ours)
            drop_addresses(&search->candidates[i]);
}

static void note_alias(struct candidate *candidate, struct slice real_name)
{
    if (!slice_equal_nocase(real_name, slice_of_string(candidate->name)))
        snprintf(candidate->real_name, sizeof(candidate->real_name), "%.*s",
                 SLICE_PRINTF(slice_range(real_name, 0, DNS_NAME_MAX)));
}

static void on_addresses(struct candidate *candidate, enum ip_family family,
                         const struct dns_result *answer)
{
    struct target_search *search = candidate->search;
    /* Addresses of both families must be validated: the other ones could be forged. A family that
     * has none says nothing: whoever holds back its answer must not be rid of DANE by that. */
    if (answer->status == DNS_BOGUS || answer->status == DNS_TEMPORARY)
        note_doubt(candidate, "address of", answer);
    if (answer->status == DNS_FOUND) {
        candidate->is_secure = candidate->is_secure && answer->secure;
        note_ttl(search, answer);
        note_alias(candidate, answer->name);
        read_addresses(candidate, answer, family);
    }
    if (--search->pending > 0)
        return;
    drop_behind_ourselves(search);
    ask_tlsa(search);
}

static void on_a(void *owner, const struct dns_result *answer)
{
    struct candidate *candidate = owner;
    candidate->inquiries[QUESTION_A] = NULL;
    on_addresses(candidate, IP_V4, answer);
}

static void on_aaaa(void *owner, const struct dns_result *answer)
{
    struct candidate *candidate = owner;
    candidate->inquiries[QUESTION_AAAA] = NULL;
    on_addresses(candidate, IP_V6, answer);
}

static void ask_addresses(struct target_search *search)
{
    for (size_t i = 0; i < search->count; i++) {
        struct candidate *candidate = &search->candidates[i];
        if (has_addresses(candidate) || candidate->is_ourselves)
            continue;
        candidate->is_secure = search->may_be_secure;
        ask(candidate, QUESTION_A, DNS_A, candidate->name, on_a);
        ask(candidate, QUESTION_AAAA, DNS_AAAA, candidate->name, on_aaaa);
    }
    if (search->pending == 0)
        conclude(search);
}

/* ---- hosts ---- */

static struct candidate *add_candidate(struct target_search *search, const char *name,
                                       uint16_t preference)
{
    assert(search->count < TARGET_HOSTS_MAX);
    struct candidate *candidate = &search->candidates[search->count++];
    *candidate = (struct candidate){.search = search,
                                    .has_name = true,
                                    .preference = preference,
                                    .order = randombytes_random(),
                                    .tlsa = BUFFER_WITH_LIMIT(TLSA_OCTETS_MAX)};
    snprintf(candidate->name, sizeof(candidate->name), "%s", name);
    candidate->is_ourselves = slice_equal_nocase(slice_of_string(name),
                                                 slice_of_string(search->context->config->hostname))
                              && takes_mail_here(search->context->config, search->port);
    return candidate;
}

static void add_literal(struct target_search *search, const struct ip_address *address)
{
    char text[IP_ADDRESS_TEXT_SIZE];
    struct candidate *candidate =
        add_candidate(search, ip_address_format(address, text), LITERAL_PREFERENCE);
    candidate->has_name = candidate->is_ourselves = false;
    candidate->is_trusted = true;
    add_address(candidate, address);
}

/* By preference; among equals in an order that is another one each time (RFC 5321 5.1). */
static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->preference != b->preference)
        return a->preference < b->preference ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* The least preferred candidate makes room for a better one. */
static void add_mx(struct target_search *search, const struct mx_record *record)
{
    struct candidate *last = NULL;
    if (search->count == TARGET_HOSTS_MAX) {
        qsort(search->candidates, search->count, sizeof(search->candidates[0]), compare_candidates);
        last = &search->candidates[search->count - 1];
        search->left_hosts_out = true;
        if (record->preference >= last->preference)
            return;
        search->count--;
    }
    add_candidate(search, record->exchange, record->preference);
}

/* RFC 7505: a lone "." says that the domain takes no mail. False: it is so. */
static bool read_mx(struct target_search *search, const struct dns_result *answer)
{
    struct slice rest = answer->rdata, rdata;
    struct mx_record record;
    struct ip_address address;
    bool null = false;
    while (dns_result_next(&rest, &rdata)) {
        if (!mx_record_parse(rdata, &record))
            continue;
        if (record.exchange[0] == '\0')
            null = true;
        else if (ip_address_parse(slice_of_string(record.exchange), &address))
            search->has_address_host = true;
        else
            add_mx(search, &record);
    }
    qsort(search->candidates, search->count, sizeof(search->candidates[0]), compare_candidates);
    return !null || search->count > 0;
}

static void fail_mx(struct target_search *search, const struct dns_result *answer)
{
    search->is_bogus = answer->status == DNS_BOGUS;
    if (answer->status == DNS_NO_NAME)
        set_failure(search, RELAY_PERMANENT, "5.1.2", "the domain %s does not exist",
                    search->domain);
    else if (answer->status == DNS_FOUND)
        set_failure(search, RELAY_PERMANENT, "5.1.10", "the domain %s takes no mail (null MX)",
                    search->domain);
    else
        set_failure(search, RELAY_TEMPORARY, answer->status == DNS_BOGUS ? "4.7.5" : "4.4.3",
                    "the DNS does not say where %s takes its mail: %.*s", search->domain,
                    SLICE_PRINTF(answer->text));
    conclude(search);
}

static void on_mx(void *owner, const struct dns_result *answer)
{
    struct target_search *search = owner;
    search->mx = NULL;
    search->may_be_secure = answer->secure;
    note_ttl(search, answer);
    bool found = answer->status == DNS_FOUND && read_mx(search, answer);
    if (found && search->count == 0) {
        set_failure(search, RELAY_PERMANENT, "5.4.4",
                    search->has_address_host
                        ? "the MX record of %s names an address, where a host's name has to stand"
                        : "the MX records of %s are malformed",
                    search->domain);
        conclude(search);
    } else if (answer->status == DNS_NO_DATA) {
        add_candidate(search, search->domain, 0); /* the implicit MX */
        ask_addresses(search);
    } else if (found) {
        ask_addresses(search);
    } else {
        fail_mx(search, answer);
    }
}

/* ---- the beginning ---- */

static void begin_host(struct target_search *search, const char *host)
{
    struct ip_address address;
    snprintf(search->domain, sizeof(search->domain), "%s", host);
    if (ip_address_parse(slice_of_string(host), &address)) {
        add_literal(search, &address);
        conclude(search);
        return;
    }
    search->may_be_secure = true;
    add_candidate(search, host, 0)->is_trusted = true;
    search->candidates[0].is_ourselves = false;
    ask_addresses(search);
}

static void begin_literal(struct target_search *search, const struct ip_address *address)
{
    if (search->context->config->relay.address_literals) {
        add_literal(search, address);
        search->candidates[0].is_trusted = false;
        drop_addresses(&search->candidates[0]);
        add_address(&search->candidates[0], address);
    } else {
        set_failure(search, RELAY_PERMANENT, "5.1.2",
                    "mail to an address in brackets is not sent from here");
    }
    conclude(search);
}

static void begin_domain(struct target_search *search, struct slice domain)
{
    struct address parsed;
    struct error error;
    struct buffer name = BUFFER_WITH_LIMIT(DNS_NAME_MAX);
    snprintf(search->domain, sizeof(search->domain), "%.*s",
             SLICE_PRINTF(slice_range(domain, 0, DNS_NAME_MAX)));
    bool valid = address_parse_host(domain, &parsed, &error);
    if (valid && parsed.host == ADDRESS_HOST_LITERAL) {
        begin_literal(search, &parsed.ip);
        return;
    }
    if (!valid || !address_canonicalise_domain(&parsed, &name, &error)) {
        set_failure(search, RELAY_PERMANENT, "5.1.2", "this is no domain name");
        conclude(search);
        buffer_clear(&name);
        return;
    }
    snprintf(search->domain, sizeof(search->domain), "%.*s", SLICE_PRINTF(buffer_slice(&name)));
    search->wants_policy = search->context->config->relay.mta_sts && !search->ignores_policies;
    search->asked_mx = true;
    search->mx = dns_ask(search->context->dns, DNS_MX, buffer_slice(&name), on_mx, search);
    buffer_clear(&name);
    if (search->mx)
        return;
    set_failure(search, RELAY_TEMPORARY, "4.3.0", "no memory for a question to the DNS");
    conclude(search);
}

struct target_search *target_search(const struct target_context *context,
                                    const struct target_wish *wish, target_found *found,
                                    void *owner)
{
    const struct config_route *route = wish->route;
    struct target_search *search = calloc(1, sizeof(*search));
    if (!search)
        return NULL;
    search->context = context;
    search->found = found;
    search->owner = owner;
    search->port = route ? route->port : 25;
    search->ignores_policies = wish->ignores_policies || (route && route->tls == CONFIG_TLS_NEVER);
    search->ttl = TARGET_GOOD_MOST_S;
    buffer_init(&search->policy_text, STS_POLICY_MAX);
    search->conclude = (struct deferred){.run = on_conclude};
    if (route && route->host.text)
        begin_host(search, route->host.text);
    else
        begin_domain(search, wish->domain);
    return search;
}
