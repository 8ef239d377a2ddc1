/* The role `fetch`; see fetch.h. Its input: questions of relay and auth, the DNS, answers of policy
 * hosts. */
#include "smtpd/fetch/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/dns/answer.h"
#include "common/hash_table.h"
#include "common/role/turn.h"
#include "smtpd/fetch/fetch_protocol.h"
#include "smtpd/fetch/host_search.h"
#include "smtpd/fetch/introspect.h"
#include "smtpd/fetch/report_post.h"
#include "smtpd/tls_report/tls_session.h"

enum {
    INQUIRIES_MAX = 4096,
    FAILED_MS = 300 * 1000, /* RFC 8461 3.3: not tried again sooner */
    REFRESH_S = 86400,      /* RFC 8461 3.3, 10.2: looked at again once a day */
    PRUNE_S = 3600,
    AUTHORITIES_MAX = 8 << 20,
};

static const double upkeep_seconds = 60.0;

struct asker {
    struct asker *next;
    struct fetch_asker who;
};

/* A domain whose policy is sought. Freed when all are answered and nothing is under way. */
struct inquiry {
    UT_hash_handle hh;
    struct fetch *fetch;
    char domain[DNS_NAME_MAX + 1];
    char host[DNS_NAME_MAX + 16];
    char id[STS_ID_MAX + 1]; /* of the record that is there now */
    struct asker *askers;
    bool asked_again; /* for the record */
    bool is_cached;   /* and counts */
    bool is_renewal;  /* all have the cached policy already */
    bool is_transfer; /* counted in fetch->transfers */
    struct cached_policy cached;
};

static uint64_t now_s(void)
{
    time_t now = time(NULL);
    return now > 0 ? (uint64_t)now : 0;
}

/* ---- answers ---- */

void fetch_send_answer(struct fetch *fetch, const struct fetch_asker *asker,
                       enum fetch_status status, struct slice text)
{
    struct error error;
    struct role_peer *relay = role_find_peer_number(fetch->role, ROLE_RELAY, asker->number);
    struct fetch_answer answer = {
        .header = {.type = FETCH_ANSWER, .request = asker->request},
        .status = (uint16_t)status,
        .octets = (uint32_t)text.len,
    };
    if (relay && !ipc_send_record(&relay->channel, &answer.header, sizeof(answer), text, &error))
        LOG(&fetch->role->log, LOG_WARNING, "not_answered",
            log_text("peer", role_kind_name(ROLE_RELAY)), log_failure(&error));
}

static void answer(struct inquiry *inquiry, enum fetch_status status, struct slice text)
{
    while (inquiry->askers) {
        struct asker *asker = inquiry->askers;
        inquiry->askers = asker->next;
        fetch_send_answer(inquiry->fetch, &asker->who, status, text);
        free(asker);
    }
}

static void answer_cached(struct inquiry *inquiry)
{
    answer(inquiry, FETCH_FOUND, buffer_slice(&inquiry->cached.text));
}

static void end_inquiry(struct inquiry *inquiry)
{
    struct fetch *fetch = inquiry->fetch;
    HASH_DEL(fetch->inquiries, inquiry);
    fetch->inquiry_count--;
    fetch->transfer_count -= inquiry->is_transfer;
    buffer_clear(&inquiry->cached.text);
    free(inquiry);
}

/* Without a new policy: the cached one counts on (RFC 8461 3.3, 5.1), else there is none. */
static void conclude(struct inquiry *inquiry, enum fetch_status status, const char *why)
{
    if (inquiry->is_cached)
        answer_cached(inquiry);
    else
        answer(inquiry, status, slice_of_string(why));
    end_inquiry(inquiry);
}

static void give_up(struct inquiry *inquiry, const struct error *error)
{
    answer(inquiry, FETCH_UNKNOWN, slice_of_string(error->text));
    end_inquiry(inquiry);
}

/* ---- the cache ---- */

static void on_cache_message(void *context, const char *message)
{
    const struct fetch *fetch = context;
    LOG(&fetch->role->log, LOG_WARNING, "policy_store", log_text("message", message));
}

static void open_cache(struct fetch *fetch)
{
    struct error error;
    if (!policy_cache_open(on_cache_message, fetch, &fetch->cache, &error))
        LOG(&fetch->role->log, LOG_ERROR, "policy_store_not_opened", log_failure(&error));
}

/* What cannot be kept is fetched again; mail goes on. */
static void lose_cache(struct fetch *fetch, const struct error *error)
{
    LOG(&fetch->role->log, LOG_ERROR, "policy_not_kept", log_failure(error));
    if (policy_cache_usable(fetch->cache))
        return;
    policy_cache_close(fetch->cache);
    fetch->cache = NULL;
}

static void look_into_cache(struct inquiry *inquiry)
{
    struct error error;
    struct fetch *fetch = inquiry->fetch;
    struct cached_policy *cached = &inquiry->cached;
    struct sts_policy policy;
    if (!fetch->cache)
        return;
    if (policy_cache_get(fetch->cache, slice_of_string(inquiry->domain), cached, &error))
        inquiry->is_cached =
            cached->expires_s > now_s() && sts_policy_parse(buffer_slice(&cached->text), &policy);
    else if (error.kind != ERROR_NOT_FOUND)
        lose_cache(fetch, &error);
}

/* In the middle of its life, after a day at the latest; and if the clock was set back. */
static bool is_to_be_renewed(const struct cached_policy *cached)
{
    uint64_t now = now_s();
    uint64_t half = (cached->expires_s - cached->fetched_s) / 2;
    return now < cached->fetched_s
           || now - cached->fetched_s > (half < REFRESH_S ? half : REFRESH_S);
}

static void keep(struct inquiry *inquiry, const struct sts_policy *policy)
{
    struct error error;
    struct fetch *fetch = inquiry->fetch;
    struct cached_policy *cached = &inquiry->cached;
    snprintf(cached->id, sizeof(cached->id), "%s", inquiry->id);
    cached->fetched_s = now_s();
    cached->expires_s = cached->fetched_s + policy->max_age_s;
    if (fetch->cache
        && !policy_cache_put(fetch->cache, slice_of_string(inquiry->domain), cached, &error))
        lose_cache(fetch, &error);
}

/* ---- failures ---- */

static struct failed_fetch *find_failed(struct fetch *fetch, const char *domain)
{
    for (size_t i = 0; i < FETCH_FAILED_MAX; i++)
        if (slice_equal(slice_of_string(fetch->failed[i].domain), slice_of_string(domain)))
            return &fetch->failed[i];
    return NULL;
}

static struct failed_fetch *oldest_failed(struct fetch *fetch)
{
    struct failed_fetch *oldest = &fetch->failed[0];
    for (size_t i = 1; i < FETCH_FAILED_MAX; i++)
        if (fetch->failed[i].until_ms < oldest->until_ms)
            oldest = &fetch->failed[i];
    return oldest;
}

static void remember_failed(struct inquiry *inquiry, enum fetch_status status, const char *why)
{
    struct failed_fetch *failed = find_failed(inquiry->fetch, inquiry->domain);
    if (!failed)
        failed = oldest_failed(inquiry->fetch);
    memcpy(failed->domain, inquiry->domain, sizeof(failed->domain));
    memcpy(failed->id, inquiry->id, sizeof(failed->id));
    failed->until_ms = turn_now_ms() + FAILED_MS;
    failed->status = status;
    snprintf(failed->why, sizeof(failed->why), "%.*s", (int)sizeof(failed->why) - 1, why);
}

/* NULL: it did not. */
static const struct failed_fetch *failed_just_now(const struct inquiry *inquiry)
{
    const struct failed_fetch *failed = find_failed(inquiry->fetch, inquiry->domain);
    bool counts = failed && failed->until_ms > turn_now_ms()
                  && slice_equal(slice_of_string(failed->id), slice_of_string(inquiry->id));
    return counts ? failed : NULL;
}

static void fail_fetch(struct inquiry *inquiry, enum fetch_status status, const struct error *error)
{
    LOG(&inquiry->fetch->role->log, LOG_WARNING, "policy_not_fetched",
        log_text("domain", inquiry->domain), log_text("id", inquiry->id),
        log_text("instead", inquiry->is_cached ? "cached" : "none"),
        log_text("tls_result", tls_result_name(fetch_status_result(status))), log_failure(error));
    remember_failed(inquiry, status, error->text);
    conclude(inquiry, status, error->text);
}

/* ---- the policy ---- */

/* media-type = type "/" subtype *( OWS ";" OWS parameter )    RFC 9110 8.3.1 */
static bool is_plain_text(struct slice type)
{
    struct slice essence = slice_trim(slice_range(type, 0, slice_find_octet(type, ';')));
    return slice_equal_nocase(essence, SLICE("text/plain"));
}

/* RFC 8461 3.3: nothing but 200 counts; the media type keeps out what a host's users put there. */
static bool check_answer(const struct https_answer *answer, struct error *error)
{
    if (answer->status != 200)
        return error_set(error, ERROR_PEER, "the policy host answers with status %ld",
                         answer->status);
    if (!is_plain_text(answer->type))
        return error_set(error, ERROR_PEER, "the policy is not text/plain");
    return true;
}

/* False: which failure it is, as TLS reports name them (RFC 8460 4.3.2.2). */
static bool read_answer(const struct https_answer *answer, struct sts_policy *policy,
                        enum fetch_status *status, struct error *error)
{
    *status = answer->is_untrusted ? FETCH_UNTRUSTED : FETCH_FAILED;
    if (answer->failure)
        *error = *answer->failure;
    if (answer->failure || !check_answer(answer, error))
        return false;
    *status = FETCH_INVALID;
    return sts_policy_parse(answer->text, policy)
           || error_set(error, ERROR_PEER, "the policy is malformed");
}

static void on_policy_answer(void *owner, const struct https_answer *got)
{
    struct inquiry *inquiry = owner;
    struct fetch *fetch = inquiry->fetch;
    struct error error;
    struct sts_policy policy;
    enum fetch_status status;
    if (!read_answer(got, &policy, &status, &error)) {
        fail_fetch(inquiry, status, &error);
        return;
    }
    LOG(&fetch->role->log, LOG_INFO, "policy_fetched", log_text("domain", inquiry->domain),
        log_text("id", inquiry->id), log_text("mode", sts_mode_name(policy.mode)),
        log_number("max_age_s", policy.max_age_s));
    buffer_reset(&inquiry->cached.text);
    buffer_append(&inquiry->cached.text, got->text);
    keep(inquiry, &policy);
    answer(inquiry, FETCH_FOUND, got->text);
    end_inquiry(inquiry);
}

static void request_policy(void *owner, const struct host_found *found)
{
    struct inquiry *inquiry = owner;
    struct error error;
    const struct https_wish wish = {.host = inquiry->host,
                                    .port = HTTPS_PORT,
                                    .path = SLICE("/.well-known/mta-sts.txt"),
                                    .addresses = found->addresses,
                                    .address_count = found->count};
    if (found->count == 0) {
        host_search_explain(inquiry->host, found, &error);
        fail_fetch(inquiry, FETCH_FAILED, &error);
    } else if (!https_request_begin(inquiry->fetch->requests, &wish, on_policy_answer, inquiry,
                                    &error)) {
        give_up(inquiry, &error);
    }
}

static void find_host(struct inquiry *inquiry)
{
    struct error error;
    struct fetch *fetch = inquiry->fetch;
    inquiry->is_transfer = true;
    if (++fetch->transfer_count > FETCH_TRANSFERS_MAX) {
        error_set(&error, ERROR_TEMPORARY, "too many policies are being looked for");
        give_up(inquiry, &error);
    } else if (!host_search_begin(&fetch->dns, inquiry->host,
                                  fetch->role->config.relay.private_targets, request_policy,
                                  inquiry)) {
        error_memory(&error);
        give_up(inquiry, &error);
    }
}

/* ---- the record ---- */

static void on_txt(void *owner, const struct dns_result *result);

static bool ask_txt(struct inquiry *inquiry)
{
    char name[DNS_NAME_MAX + 16];
    snprintf(name, sizeof(name), "_mta-sts.%s", inquiry->domain);
    return dns_ask(&inquiry->fetch->dns, DNS_TXT, slice_of_string(name), on_txt, inquiry) != NULL;
}

/* The resolver that was asked may have been replaced meanwhile. Without any nothing is known: that
 * is not the same as a domain without a policy. */
static void ask_txt_again(struct inquiry *inquiry)
{
    struct error error;
    inquiry->asked_again = true;
    error_set(&error, ERROR_TEMPORARY, "no resolver is there");
    if (!role_find_peer(inquiry->fetch->role, ROLE_RESOLVER) || !ask_txt(inquiry))
        give_up(inquiry, &error);
}

static void on_txt(void *owner, const struct dns_result *result)
{
    struct inquiry *inquiry = owner;
    if (result->status == DNS_TEMPORARY && !inquiry->asked_again) {
        ask_txt_again(inquiry);
        return;
    }
    if (result->status != DNS_FOUND || !sts_find_id(result->rdata, inquiry->id)) {
        conclude(inquiry, FETCH_NONE, "no MTA-STS record");
        return;
    }
    const struct failed_fetch *failed = failed_just_now(inquiry);
    bool is_same =
        inquiry->is_cached
        && slice_equal(slice_of_string(inquiry->id), slice_of_string(inquiry->cached.id));
    if (failed || (is_same && !is_to_be_renewed(&inquiry->cached))) {
        conclude(inquiry, failed ? failed->status : FETCH_FOUND, failed ? failed->why : "");
        return;
    }
    if (is_same) {
        inquiry->is_renewal = true; /* nobody waits for it */
        answer_cached(inquiry);
    }
    find_host(inquiry);
}

/* ---- questions ---- */

static bool add_asker(struct inquiry *inquiry, const struct fetch_asker *who)
{
    struct asker *asker = calloc(1, sizeof(*asker));
    if (!asker)
        return false;
    *asker = (struct asker){.next = inquiry->askers, .who = *who};
    inquiry->askers = asker;
    return true;
}

static struct inquiry *new_inquiry(struct fetch *fetch, const char *domain)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));
    if (!inquiry)
        return NULL;
    inquiry->fetch = fetch;
    inquiry->cached = (struct cached_policy)CACHED_POLICY_INIT;
    snprintf(inquiry->domain, sizeof(inquiry->domain), "%s", domain);
    snprintf(inquiry->host, sizeof(inquiry->host), "mta-sts.%s", domain);
    HASH_ADD_STR(fetch->inquiries, domain, inquiry);
    if (!hash_table_holds(&inquiry->hh)) {
        free(inquiry);
        return NULL;
    }
    fetch->inquiry_count++;
    return inquiry;
}

static struct inquiry *begin_inquiry(struct fetch *fetch, const char *domain)
{
    struct inquiry *inquiry =
        fetch->inquiry_count < INQUIRIES_MAX ? new_inquiry(fetch, domain) : NULL;
    if (!inquiry)
        return NULL;
    look_into_cache(inquiry);
    if (ask_txt(inquiry))
        return inquiry;
    end_inquiry(inquiry);
    return NULL;
}

static void look_for(struct role_peer *peer, const char *domain, uint64_t request)
{
    struct fetch *fetch = peer->role->state;
    const struct fetch_asker asker = {.number = peer->number, .request = request};
    struct inquiry *inquiry;
    ev_timer_again(fetch->role->loop, &fetch->idle);
    HASH_FIND_STR(fetch->inquiries, domain, inquiry);
    if (!inquiry)
        inquiry = begin_inquiry(fetch, domain);
    if (inquiry && inquiry->is_renewal)
        fetch_send_answer(fetch, &asker, FETCH_FOUND, buffer_slice(&inquiry->cached.text));
    else if (!inquiry || !add_asker(inquiry, &asker))
        fetch_send_answer(fetch, &asker, FETCH_UNKNOWN,
                          SLICE("too many policies are being looked for"));
}

static bool on_question(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    const struct fetch_policy *record = packet->record;
    struct slice domain = ipc_packet_tail(packet, sizeof(*record));
    char text[DNS_NAME_MAX + 1] = "";
    if (domain.len != record->domain_octets || !dns_name_is_valid(domain))
        return error_set(error, ERROR_PEER, "malformed question");
    for (size_t i = 0; i < domain.len; i++)
        text[i] = (char)ascii_lower(domain.ptr[i]);
    look_for(peer, text, record->header.request);
    return true;
}

static bool on_post(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct fetch *fetch = peer->role->state;
    const struct fetch_post *record = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*record));
    const struct fetch_asker asker = {.number = peer->number, .request = record->header.request};
    if (record->uri_octets >= tail.len || tail.len - record->uri_octets != record->body_octets)
        return error_set(error, ERROR_PEER, "malformed report");
    ev_timer_again(fetch->role->loop, &fetch->idle);
    return report_post_begin(fetch, &asker, slice_range(tail, 0, record->uri_octets),
                             slice_from(tail, record->uri_octets), error);
}

/* ---- upkeep ---- */

static void on_upkeep(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct error error;
    struct fetch *fetch = timer->data;
    if (!fetch->cache)
        open_cache(fetch);
    if (!fetch->cache || (fetch->prune_at_s > now_s() && fetch->prune_at_s < now_s() + 2 * PRUNE_S))
        return;
    fetch->prune_at_s = now_s() + PRUNE_S;
    if (!policy_cache_prune(fetch->cache, now_s(), &error))
        lose_cache(fetch, &error);
}

static bool remembers_failed(const struct fetch *fetch)
{
    uint64_t now_ms = turn_now_ms();
    for (size_t i = 0; i < FETCH_FAILED_MAX; i++)
        if (fetch->failed[i].until_ms > now_ms)
            return true;
    return false;
}

/* What failed a moment ago the next process would not know: RFC 8461 3.3 wants it to wait. */
static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct fetch *fetch = timer->data;
    struct ipc_header idle = {.type = MASTER_IDLE};
    if (fetch->inquiry_count == 0 && fetch->transfer_count == 0 && fetch->introspect_count == 0
        && !remembers_failed(fetch) && !fetch->idle_told)
        fetch->idle_told = role_tell_master(fetch->role, &idle, sizeof(idle), SLICE(""));
}

/* ---- what role.h wants ---- */

/* Without authorities no policy can be fetched; what is cached counts all the same. */
static void take_authorities(struct fetch *fetch)
{
    struct error error = {.text = "it has no certificate"};
    struct buffer pem = BUFFER_WITH_LIMIT(AUTHORITIES_MAX);
    int fd = role_take_file(fetch->role, DESCRIPTOR_AUTHORITIES, 0);
    if (fd < 0 || !fd_read_all(fd, &pem, &error)
        || https_requests_trust(fetch->requests, buffer_slice(&pem)) == 0)
        LOG(&fetch->role->log, LOG_ERROR, "no_authorities",
            log_text("error", fd < 0 ? "the file could not be opened" : error.text));
    fd_discard(&fd);
    buffer_clear(&pem);
}

static bool prepare(struct role *role, struct error *error)
{
    struct fetch *fetch = role->state;
    fetch->role = role;
    role->root_fd = role_take_file(role, DESCRIPTOR_DIRECTORY, 0);
    if (role->root_fd < 0 || fchdir(role->root_fd) != 0)
        return error_set(error, ERROR_PERMANENT, "no directory was given");
    fetch->requests = https_requests_new(role->loop, error);
    if (!fetch->requests)
        return false;
    take_authorities(fetch);
    introspect_take_credentials(fetch);
    return true;
}

static bool start(struct role *role, struct error *error)
{
    (void)error;
    struct fetch *fetch = role->state;
    double linger_s = (double)role->config.timeouts.linger_ms / 1000.0;
    dns_client_init(&fetch->dns, role);
    ev_timer_init(&fetch->upkeep, on_upkeep, upkeep_seconds, upkeep_seconds);
    ev_timer_init(&fetch->idle, on_idle, linger_s, linger_s);
    fetch->upkeep.data = fetch->idle.data = fetch;
    ev_timer_start(role->loop, &fetch->upkeep);
    ev_timer_start(role->loop, &fetch->idle);
    open_cache(fetch);
    return true;
}

static void finish(struct fetch *fetch)
{
    policy_cache_close(fetch->cache);
    fetch->cache = NULL;
    role_exit(fetch->role);
}

/* A relay that ends may still have messages to send. One whose question crossed our MASTER_IDLE
 * asks the next fetch. */
static void stop(struct role *role)
{
    struct fetch *fetch = role->state;
    if (fetch->idle_told || !role_find_peer(role, ROLE_RELAY))
        finish(fetch);
}

static void peer_up(struct role_peer *peer)
{
    struct fetch *fetch = peer->role->state;
    if (peer->kind == ROLE_RESOLVER)
        dns_client_up(&fetch->dns, peer);
}

static void peer_down(struct role_peer *peer)
{
    struct fetch *fetch = peer->role->state;
    if (peer->kind == ROLE_RESOLVER)
        dns_client_down(&fetch->dns, peer);
    else if (peer->role->stopping)
        stop(peer->role);
}

static void reload(struct role *role)
{
    struct fetch *fetch = role->state;
    take_authorities(fetch);
    introspect_take_credentials(fetch);
    fetch->idle.repeat = (double)role->config.timeouts.linger_ms / 1000.0;
    if (ev_is_active(&fetch->idle))
        ev_timer_again(role->loop, &fetch->idle);
}

static const struct ipc_rule questions[] = {
    {FETCH_POLICY, sizeof(struct fetch_policy) + 1, sizeof(struct fetch_policy) + DNS_NAME_MAX, 0,
     on_question},
    {FETCH_POST, sizeof(struct fetch_post) + 2, FETCH_POST_MAX, 0, on_post},
};

static const struct role_link links[] = {
    {ROLE_RELAY, questions, sizeof(questions) / sizeof(questions[0])},
    {ROLE_AUTH, introspect_rules, INTROSPECT_RULES},
    {ROLE_RESOLVER, dns_client_rules, DNS_CLIENT_RULES},
};

const struct role_spec fetch_role = {
    .sandbox = {.calls = SANDBOX_CONNECT | SANDBOX_FILES, .files = SANDBOX_WRITE_FILES},
    .links = links,
    .link_count = sizeof(links) / sizeof(links[0]),
    .prepare = prepare,
    .start = start,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .reload = reload,
    .stop = stop,
};
