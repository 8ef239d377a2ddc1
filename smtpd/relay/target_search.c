/*
 * From a domain to hosts and their addresses; see target_internal.h. relay.
 *
 *   begin ─> MX ─> hosts, sorted ─> A and AAAA of all at once ─> target_tls.c ─> conclude
 *
 * `pending` counts the questions under way; the last answer of a step begins the next one.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "common/text/address.h"
#include "smtpd/relay/target_internal.h"

enum {
    TARGET_GOOD_LEAST_S = 30,
    TLSA_OCTETS_MAX = 16384,
    LITERAL_PREFERENCE = 0,
};

/* ---- questions ---- */

void target_note_doubt(struct candidate *candidate, const char *type,
                       const struct dns_result *answer)
{
    candidate->is_doubtful = true;
    candidate->search->is_bogus = candidate->search->is_bogus || answer->status == DNS_BOGUS;
    error_set(&candidate->search->doubt, ERROR_TEMPORARY, "%s %s: %.*s", type, candidate->name,
              SLICE_PRINTF(answer->text));
}

void target_note_ttl(struct target_search *search, const struct dns_result *answer)
{
    if (answer->ttl < search->ttl)
        search->ttl = answer->ttl > TARGET_GOOD_LEAST_S ? answer->ttl : TARGET_GOOD_LEAST_S;
}

bool target_ask(struct candidate *candidate, enum question question, enum dns_type type,
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

/* RFC 5321 5.1: if we are among the hosts, those not preferred to us are removed: they would send
 * the mail to us. */
static void drop_behind_ourselves(struct target_search *search)
{
    uint32_t ours = UINT32_MAX;
    for (size_t i = 0; i < search->count; i++)
        if (search->candidates[i].is_ourselves && search->candidates[i].preference < ours)
            ours = search->candidates[i].preference;
    for (size_t i = 0; i < search->count; i++)
        if (search->candidates[i].preference >= ours)
            candidate_drop_addresses(&search->candidates[i]);
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
    /* The addresses of both families must be validated, or the others could be forged. A family
     * without an answer proves nothing: withholding an answer must not bypass DANE. */
    if (answer->status == DNS_BOGUS || answer->status == DNS_TEMPORARY)
        target_note_doubt(candidate, "address of", answer);
    if (answer->status == DNS_FOUND) {
        candidate->is_secure = candidate->is_secure && answer->secure;
        target_note_ttl(search, answer);
        note_alias(candidate, answer->name);
        read_addresses(candidate, answer, family);
    }
    if (--search->pending > 0)
        return;
    drop_behind_ourselves(search);
    target_ask_tls(search);
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
        if (candidate_has_addresses(candidate) || candidate->is_ourselves)
            continue;
        candidate->is_secure = search->may_be_secure;
        target_ask(candidate, QUESTION_A, DNS_A, candidate->name, on_a);
        target_ask(candidate, QUESTION_AAAA, DNS_AAAA, candidate->name, on_aaaa);
    }
    if (search->pending == 0)
        target_conclude(search);
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

static void add_literal(struct target_search *search, const struct ip_address *address,
                        bool is_trusted)
{
    char text[IP_ADDRESS_TEXT_SIZE];
    struct candidate *candidate =
        add_candidate(search, ip_address_format(address, text), LITERAL_PREFERENCE);
    candidate->has_name = candidate->is_ourselves = false;
    candidate->is_trusted = is_trusted;
    add_address(candidate, address);
}

/* By preference; equals in random order (RFC 5321 5.1). */
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

/* False: a lone ".", the null MX of RFC 7505: the domain takes no mail. */
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
        target_set_failure(search, RELAY_PERMANENT, "5.1.2", "the domain %s does not exist",
                           search->domain);
    else if (answer->status == DNS_FOUND)
        target_set_failure(search, RELAY_PERMANENT, "5.1.10",
                           "the domain %s takes no mail (null MX)", search->domain);
    else
        target_set_failure(search, RELAY_TEMPORARY, answer->status == DNS_BOGUS ? "4.7.5" : "4.4.3",
                           "the DNS does not say where %s takes its mail: %.*s", search->domain,
                           SLICE_PRINTF(answer->text));
    target_conclude(search);
}

static void on_mx(void *owner, const struct dns_result *answer)
{
    struct target_search *search = owner;
    search->mx = NULL;
    search->may_be_secure = answer->secure;
    target_note_ttl(search, answer);
    bool found = answer->status == DNS_FOUND && read_mx(search, answer);
    if (found && search->count == 0) {
        target_set_failure(
            search, RELAY_PERMANENT, "5.4.4",
            search->has_address_host
                ? "the MX record of %s names an address, where a host's name has to stand"
                : "the MX records of %s are malformed",
            search->domain);
        target_conclude(search);
    } else if (answer->status == DNS_NO_DATA) {
        add_candidate(search, search->domain, 0); /* the implicit MX */
        ask_addresses(search);
    } else if (found) {
        ask_addresses(search);
    } else {
        fail_mx(search, answer);
    }
}

/* ---- the end ---- */

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

static void on_conclude(struct deferred *deferred)
{
    struct target_search *search =
        (struct target_search *)(void *)((uint8_t *)deferred
                                         - offsetof(struct target_search, conclude));
    struct target *target = target_make(search);
    search->found(search->owner, target, target ? NULL : &search->failure);
    target_search_drop(search);
}

void target_conclude(struct target_search *search)
{
    turn_defer(search->context->turn, &search->conclude);
}

/* ---- the beginning ---- */

static void begin_host(struct target_search *search, const char *host)
{
    struct ip_address address;
    snprintf(search->domain, sizeof(search->domain), "%s", host);
    if (ip_address_parse(slice_of_string(host), &address)) {
        add_literal(search, &address, true);
        target_conclude(search);
        return;
    }
    search->may_be_secure = true;
    add_candidate(search, host, 0)->is_trusted = true;
    search->candidates[0].is_ourselves = false;
    ask_addresses(search);
}

static void begin_literal(struct target_search *search, const struct ip_address *address)
{
    if (search->context->config->relay.address_literals)
        add_literal(search, address, false);
    else
        target_set_failure(search, RELAY_PERMANENT, "5.1.2",
                           "mail to an address in brackets is not sent from here");
    target_conclude(search);
}

static void keep_domain(struct target_search *search, struct slice domain)
{
    snprintf(search->domain, sizeof(search->domain), "%.*s",
             SLICE_PRINTF(slice_range(domain, 0, DNS_NAME_MAX)));
}

static void ask_mx(struct target_search *search, struct slice name)
{
    keep_domain(search, name);
    search->wants_policy = search->context->config->relay.mta_sts && !search->ignores_policies;
    search->asked_mx = true;
    search->mx = dns_ask(search->context->dns, DNS_MX, name, on_mx, search);
    if (search->mx)
        return;
    target_set_failure(search, RELAY_TEMPORARY, "4.3.0", "no memory for a question to the DNS");
    target_conclude(search);
}

static void begin_domain(struct target_search *search, struct slice domain)
{
    struct address parsed;
    struct error error = {0};
    struct buffer name = BUFFER_WITH_LIMIT(ADDRESS_DOMAIN_LIMIT);
    keep_domain(search, domain);
    bool valid = address_parse_host(domain, &parsed, &error);
    if (valid && parsed.host == ADDRESS_HOST_LITERAL) {
        begin_literal(search, &parsed.ip);
    } else if (valid && address_canonicalise_domain(&parsed, &name, &error)
               && name.len <= DNS_NAME_MAX) {
        ask_mx(search, buffer_slice(&name));
    } else {
        if (error.kind == ERROR_TEMPORARY)
            target_set_failure(search, RELAY_TEMPORARY, "4.3.0", "no memory for a domain name");
        else
            target_set_failure(search, RELAY_PERMANENT, "5.1.2", "this is no domain name");
        target_conclude(search);
    }
    buffer_clear(&name);
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
