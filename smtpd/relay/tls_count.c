/* TLS results, and lookups of who wants reports of them; see tls_count.h. relay. */
#include "smtpd/relay/tls_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/dns/answer.h"
#include "smtpd/relay/relay.h"

static const char record_name[] = "_smtp._tls."; /* RFC 8460 3 */

enum { POLICY_TEXT_MAX = 1024, REASON_MAX = 200 };

/* ---- the policy ---- */

/* RFC 8460 4.2: "3 1 1 0123...": a record in presentation format. */
static void put_tlsa(struct slice rdata, struct buffer *out)
{
    if (rdata.len < 3)
        return;
    if (out->len > 0)
        buffer_append_octet(out, '\n');
    buffer_append_format(out, "%u %u %u ", rdata.ptr[0], rdata.ptr[1], rdata.ptr[2]);
    for (size_t i = 3; i < rdata.len; i++)
        buffer_append_format(out, "%02x", rdata.ptr[i]);
}

static void put_tlsa_records(const struct target_host *host, struct buffer *out)
{
    struct slice rest = buffer_slice(&host->tlsa), rdata;
    while (dns_result_next(&rest, &rdata))
        put_tlsa(rdata, out);
}

/* Writes the policy's lines as published, and its mx lines again as mx-host. */
static void put_sts_lines(struct slice text, struct buffer *lines, struct buffer *patterns)
{
    while (text.len > 0) {
        size_t end = slice_find_octet(text, '\n');
        struct slice line = slice_range(text, 0, end);
        text = slice_from(text, end + 1);
        if (slice_ends_with(line, SLICE("\r")))
            line.len--;
        if (line.len == 0)
            continue;
        if (lines->len > 0)
            buffer_append_octet(lines, '\n');
        buffer_append(lines, line);
        if (!slice_starts_with(line, SLICE("mx:")))
            continue;
        line = slice_from(line, 3);
        while (slice_starts_with(line, SLICE(" ")))
            line = slice_from(line, 1);
        if (patterns->len > 0)
            buffer_append_octet(patterns, '\n');
        buffer_append(patterns, line);
    }
}

static enum tls_policy_type type_of(const struct target *target, const struct target_host *host)
{
    if (host->tlsa_use != TARGET_TLSA_NONE)
        return TLS_POLICY_TLSA;
    return host->policy != TARGET_POLICY_NONE || target->policy_failure != 0 ? TLS_POLICY_STS
                                                                             : TLS_POLICY_NONE;
}

/* ---- the result ---- */

enum tls_result tls_count_result_of(const struct peer_failure *why)
{
    return slice_equal(slice_of_string(why->code), SLICE("4.7.4"))
               ? TLS_RESULT_STARTTLS_NOT_SUPPORTED
               : tls_result_of_words(slice_of_string(why->words));
}

/* The failure that stopped mail, or would have if the policy were not in testing mode (RFC 8461
 * 5.1). */
static enum tls_result result_of(const struct tls_counted *counted, const struct target_host *host,
                                 char reason[REASON_MAX])
{
    const struct target *target = counted->target;
    const struct peer *peer = counted->peer;
    reason[0] = '\0';
    if (target->policy_failure != 0 && host->tlsa_use == TARGET_TLSA_NONE) {
        snprintf(reason, REASON_MAX, "%s", target->policy_reason);
        return target->policy_failure;
    }
    if (counted->why) {
        snprintf(reason, REASON_MAX, "%s", counted->why->words);
        return tls_count_result_of(counted->why);
    }
    if (!peer->tls_version)
        return TLS_RESULT_STARTTLS_NOT_SUPPORTED;
    if (host->tlsa_use == TARGET_TLSA_UNUSABLE) { /* sent to an unauthenticated server */
        snprintf(reason, REASON_MAX, "none of the TLSA records can be used");
        return TLS_RESULT_TLSA_INVALID;
    }
    if (host->policy == TARGET_POLICY_TESTING_UNLISTED) {
        snprintf(reason, REASON_MAX, "the policy does not name this host");
        return TLS_RESULT_VALIDATION_FAILURE;
    }
    if (host->policy == TARGET_POLICY_TESTING
        && !slice_equal(slice_of_string(peer->tls_verified), SLICE("name"))) {
        snprintf(reason, REASON_MAX, "the certificate is not to be trusted: %s", peer->tls_doubt);
        return tls_result_of_words(slice_of_string(peer->tls_doubt));
    }
    return TLS_RESULT_SUCCESS;
}

static void tell_queues(struct relay *relay, struct slice run)
{
    struct role_peer *peer;
    struct relay_tls_session record = {.header = {.type = RELAY_TLS_SESSION},
                                       .at = (int64_t)time(NULL)};
    for (peer = relay->role->peers; peer; peer = peer->next)
        if (peer->kind == ROLE_QUEUE)
            ipc_send_record(&peer->channel, &record.header, sizeof(record), run, NULL);
}

static void tell_session(struct relay *relay, const struct tls_session *session)
{
    struct buffer run = BUFFER_WITH_LIMIT(TLS_SESSION_MAX);
    tls_session_append(session, &run);
    if (!run.failed)
        tell_queues(relay, buffer_slice(&run));
    buffer_clear(&run);
}

void tls_count_connection(struct relay *relay, const struct tls_counted *counted)
{
    const struct target_place *place = &counted->target->places[counted->place];
    const struct target_host *host = &counted->target->hosts[place->host];
    char ip[IP_ADDRESS_TEXT_SIZE], sender[IP_ADDRESS_TEXT_SIZE] = "", reason[REASON_MAX];
    struct buffer lines = BUFFER_WITH_LIMIT(POLICY_TEXT_MAX),
                  patterns = BUFFER_WITH_LIMIT(POLICY_TEXT_MAX);
    enum tls_policy_type type = type_of(counted->target, host);
    if (!relay->role->config.relay.tls_reports)
        return;
    if (type == TLS_POLICY_TLSA)
        put_tlsa_records(host, &lines);
    else if (type == TLS_POLICY_STS)
        put_sts_lines(buffer_slice(&counted->target->policy), &lines, &patterns);
    if (counted->peer->local.family != IP_NONE)
        ip_address_format(&counted->peer->local, sender);
    const struct tls_session session = {
        .type = type,
        .result = result_of(counted, host, reason),
        .domain = counted->domain,
        .policy = buffer_slice(&lines),
        .patterns = buffer_slice(&patterns),
        .mx = slice_of_string(host->name),
        .ip = slice_of_string(ip_address_format(&place->address, ip)),
        .sender = slice_of_string(sender),
        .reason = slice_of_string(reason),
    };
    tell_session(relay, &session);
    buffer_clear(&lines);
    buffer_clear(&patterns);
}

void tls_count_failed_target(struct relay *relay, struct slice domain,
                             const struct target_failure *why)
{
    struct buffer lines = BUFFER_WITH_LIMIT(POLICY_TEXT_MAX),
                  patterns = BUFFER_WITH_LIMIT(POLICY_TEXT_MAX);
    if (!relay->role->config.relay.tls_reports || why->tls == 0)
        return;
    put_sts_lines(why->policy, &lines, &patterns);
    const struct tls_session session = {
        .type = why->tls == TLS_RESULT_DNSSEC_INVALID ? TLS_POLICY_TLSA : TLS_POLICY_STS,
        .result = why->tls,
        .domain = domain,
        .policy = buffer_slice(&lines),
        .patterns = buffer_slice(&patterns),
        .reason = slice_range(slice_of_string(why->words), 0, REASON_MAX),
    };
    tell_session(relay, &session);
    buffer_clear(&lines);
    buffer_clear(&patterns);
}

/* ---- who wants a report ---- */

struct tls_lookup {
    struct relay *relay;
    uint32_t queue; /* number of the queue process, which may be gone when the answer comes */
    uint64_t request;
};

static void answer(struct tls_lookup *lookup, enum relay_tls_status status, struct slice uris)
{
    struct role_peer *queue = role_find_peer_number(lookup->relay->role, ROLE_QUEUE, lookup->queue);
    struct relay_tls_record record = {
        .header = {.type = RELAY_TLS_RECORD, .request = lookup->request},
        .status = (uint16_t)status};
    if (queue) /* a queue process without an answer asks again */
        ipc_send_record(&queue->channel, &record.header, sizeof(record), uris, NULL);
    free(lookup);
}

static void on_txt(void *owner, const struct dns_result *result)
{
    struct buffer uris = BUFFER_WITH_LIMIT(TLS_RECORD_URIS_MAX);
    if (result->status == DNS_TEMPORARY || result->status == DNS_BOGUS)
        answer(owner, RELAY_TLS_UNKNOWN, SLICE(""));
    else if (result->status == DNS_FOUND && tls_record_find_uris(result->rdata, &uris))
        answer(owner, RELAY_TLS_FOUND, buffer_slice(&uris));
    else
        answer(owner, RELAY_TLS_NONE, SLICE(""));
    buffer_clear(&uris);
}

bool tls_lookup_is_possible(struct slice domain)
{
    return domain.len + strlen(record_name) <= DNS_NAME_MAX && dns_name_is_valid(domain);
}

void tls_lookup_begin(struct relay *relay, uint32_t queue, uint64_t request, struct slice domain)
{
    char name[DNS_NAME_MAX + 16];
    struct tls_lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return; /* queue asks again */
    *lookup = (struct tls_lookup){.relay = relay, .queue = queue, .request = request};
    snprintf(name, sizeof(name), "%s%.*s", record_name, SLICE_PRINTF(domain));
    if (!dns_ask(&relay->dns, DNS_TXT, slice_of_string(name), on_txt, lookup))
        answer(lookup, RELAY_TLS_UNKNOWN, SLICE(""));
}
