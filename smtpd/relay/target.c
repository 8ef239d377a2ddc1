/* Concludes a search: makes the target from its candidates, or explains why there is none; see
 * target_internal.h. relay. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "smtpd/relay/target_internal.h"

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

/* ---- which family is faster ---- */

/* FNV-1a, not keyed: a collision only makes a host's other family be tried first. */
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

/* ---- the target ---- */

static size_t count_usable(const struct target_search *search)
{
    size_t count = 0;
    for (size_t i = 0; i < search->count; i++)
        count += candidate_has_addresses(&search->candidates[i]);
    return count;
}

static void add_place(struct target *target, const struct ip_address *address, unsigned host)
{
    if (target->place_count < TARGET_PLACES_MAX)
        target->places[target->place_count++] = (struct target_place){*address, host};
}

/* IPv6 and IPv4 alternate, the one known to be faster first, so that if one family fails the next
 * try uses the other. */
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

static void take_host(struct target *target, struct candidate *from)
{
    struct target_host *host = &target->hosts[target->host_count];
    memcpy(host->name, from->name, sizeof(host->name));
    host->has_name = from->has_name;
    host->is_proved = from->search->may_be_secure || from->is_listed;
    host->tlsa_use = from->tlsa_use;
    host->policy = from->policy;
    host->tlsa = from->tlsa;
    memcpy(host->tlsa_base, from->tlsa_base, sizeof(host->tlsa_base));
    from->tlsa = (struct buffer)BUFFER_WITH_LIMIT(0);
    add_places(target, from, (unsigned)target->host_count++);
}

static struct target *make_target(struct target_search *search)
{
    struct target *target = calloc(1, sizeof(*target));
    struct target_host *hosts = calloc(count_usable(search) + 1, sizeof(*hosts));
    if (!target || !hosts) {
        free(target);
        free(hosts);
        target_set_failure(search, RELAY_TEMPORARY, "4.3.0", "no memory for the addresses");
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
    for (size_t i = 0; i < search->count; i++)
        if (candidate_has_addresses(&search->candidates[i]))
            take_host(target, &search->candidates[i]);
    return target;
}

/* ---- why there is none ---- */

void target_set_failure(struct target_search *search, enum relay_status status, const char *code,
                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    search->failure.status = status;
    search->failure.code = code;
    vsnprintf(search->failure.words, sizeof(search->failure.words), format, arguments);
    va_end(arguments);
}

/* No host is left: of several reasons, reports the most informative. */
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
        target_set_failure(search, RELAY_TEMPORARY, "4.4.3",
                           "the DNS does not say where %s takes its mail: %s", search->domain,
                           search->doubt.text);
    else if (unlisted)
        target_set_failure(
            search, RELAY_TEMPORARY, "4.7.5",
            "the MTA-STS policy of %s names none of the hosts that the DNS says take its "
            "mail",
            search->domain);
    else if (ourselves)
        target_set_failure(
            search, RELAY_PERMANENT, "5.4.6",
            "mail for %s would come back to this host, which does not serve that domain",
            search->domain);
    else if (private)
        target_set_failure(search, RELAY_PERMANENT, "5.4.4",
                           "the DNS sends mail for %s to an address that no public host has",
                           search->domain);
    else if (search->left_hosts_out)
        target_set_failure(
            search, RELAY_TEMPORARY, "4.4.4",
            "none of the %d most preferred hosts that take mail for %s has an address",
            TARGET_HOSTS_MAX, search->domain);
    else
        target_set_failure(search, RELAY_PERMANENT, "5.4.4",
                           "no host that takes mail for %s has an address", search->domain);
}

/* Notes the failure for the TLS report. */
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

struct target *target_make(struct target_search *search)
{
    struct target *target = NULL;
    if (search->failure.status == 0 && count_usable(search) == 0)
        explain(search);
    if (search->failure.status == 0)
        target = make_target(search);
    if (!target)
        note_tls_failure(search);
    return target;
}
