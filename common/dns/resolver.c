/* Questions of the other roles to libunbound, and its answers back; see resolver.h. */
#include "common/dns/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <unbound-event.h>
#include <unbound.h>

#include "common/disk/fd.h"
#include "common/dns/answer.h"
#include "common/dns/dns_protocol.h"
#include "common/dns/unbound_loop.h"
#include "common/size.h"

enum {
    ANCHORS_MAX = 65536,
    UNDER_WAY_MAX = 4096, /* questions; more are answered at once, with a temporary failure */
    CLOCK_TOLERANCE_S = 2,
    CLASS_IN = 1,
    HEADER_OCTETS = 12, /* RFC 1035 4.1.1 */
    RCODE_NO_ERROR = 0,
    RCODE_NO_NAME = 3,
    UNBOUND_BOGUS = 1, /* the callback's third word on security */
    UNBOUND_SECURE = 2,
};

/* A question under way. Its asker may be gone when the answer comes. */
struct inquiry {
    struct upstream *upstream;
    struct role *role;
    enum role_kind kind;
    uint32_t number;
    uint64_t request;
    enum dns_type type;
};

/* ---- the library ---- */

/* No root hints, no resolv.conf, no hosts file: all is compiled in or comes from the configuration.
 * The caches are far below what a small domain's mail fills. */
static const struct {
    const char *option, *value;
} options[] = {
    {"do-not-query-localhost:", "no"}, /* a server of the configuration may be here */
    {"msg-cache-size:", "2m"},
    {"rrset-cache-size:", "4m"},
    {"key-cache-size:", "1m"},
    {"neg-cache-size:", "512k"},
    {"cache-max-ttl:", "86400"},
    {"cache-max-negative-ttl:", "900"},
    {"outgoing-range:", "256"},
    {"num-queries-per-thread:", "1024"},
    {"qname-minimisation:", "yes"},
    {"harden-dnssec-stripped:", "yes"},
    {"harden-below-nxdomain:", "yes"},
    {"harden-glue:", "yes"},
    {"prefetch:", "no"},
};

static bool did(int code, const char *what, struct error *error)
{
    return code == 0
           || error_set(error, ERROR_PERMANENT, "libunbound, %s: %s", what, ub_strerror(code));
}

static bool set_options(struct ub_ctx *context, struct error *error)
{
    for (size_t i = 0; i < ARRAY_LENGTH(options); i++)
        if (!did(ub_ctx_set_option(context, options[i].option, options[i].value), options[i].option,
                 error))
            return false;
    return true;
}

/* Configured servers are asked about every name: libunbound's built-in answers for test.,
 * 10.in-addr.arpa and the like would override theirs. */
static bool set_servers(struct ub_ctx *context, const struct config_resolver *config,
                        struct error *error)
{
    for (size_t i = 0; i < config->servers.count; i++) {
        char address[IP_ADDRESS_TEXT_SIZE], server[IP_ADDRESS_TEXT_SIZE + 8];
        snprintf(server, sizeof(server), "%s@%u",
                 ip_address_format(&config->servers.items[i], address), config->port);
        if (!did(ub_ctx_set_fwd(context, server), server, error))
            return false;
    }
    return true;
}

static bool set_anchors(struct ub_ctx *context, struct slice text, struct error *error)
{
    while (text.len > 0) {
        char line[4096];
        size_t end = slice_find_octet(text, '\n');
        struct slice anchor = slice_trim(slice_range(text, 0, end));
        text = slice_from(text, end + 1);
        if (anchor.len == 0 || anchor.ptr[0] == ';' || anchor.ptr[0] == '#')
            continue;
        snprintf(line, sizeof(line), "%.*s", SLICE_PRINTF(anchor));
        if (!did(ub_ctx_add_ta(context, line), "a trust anchor", error))
            return false;
    }
    return true;
}

static bool open_library(struct resolver *resolver, struct role *role, struct error *error)
{
    static const char *const reserved[] = {"test.", "invalid.", "onion.", "home.arpa."};
    const struct config_resolver *config = &role->config.resolver;
    struct unbound_loop *library = unbound_loop_new(role->loop);
    if (!library)
        return error_memory(error);
    struct ub_ctx *context = unbound_loop_context(library);
    ub_ctx_debugout(context, NULL);
    if (!set_options(context, error) || !set_servers(context, config, error)
        || !set_anchors(context, buffer_slice(&resolver->anchors), error)) {
        unbound_loop_free(library);
        return false;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(reserved) && config->servers.count > 0; i++)
        ub_ctx_zone_remove(context, reserved[i]);
    resolver->upstreams[resolver->current].library = library;
    return true;
}

/* ---- the clock ---- */

static int64_t read_clock_s(void)
{
    struct timespec wall, steady;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &steady);
    return (int64_t)wall.tv_sec - steady.tv_sec;
}

/* Of an earlier clock, once its questions are answered; then this one's place may be taken. */
static void let_go(struct resolver *resolver)
{
    struct upstream *other = &resolver->upstreams[!resolver->current];
    if (other->under_way > 0)
        return;
    unbound_loop_free(other->library);
    other->library = NULL;
    if (resolver->is_stale)
        resolver->current = !resolver->current;
    resolver->is_stale = false;
}

static void look_at_clock(struct resolver *resolver, struct role *role)
{
    int64_t clock_s = read_clock_s();
    if (resolver->upstreams[resolver->current].library
        && clock_s < resolver->clock_s - CLOCK_TOLERANCE_S) {
        LOG(&role->log, LOG_INFO, "clock_set_back",
            log_number("seconds", resolver->clock_s - clock_s));
        resolver->is_stale = true;
    }
    resolver->clock_s = clock_s;
    let_go(resolver);
}

/* ---- answers ---- */

static void send_answer(const struct inquiry *inquiry, struct dns_answer *answer,
                        const struct slice tail[2])
{
    struct role_peer *peer = role_find_peer_number(inquiry->role, inquiry->kind, inquiry->number);
    struct error error;
    answer->header = (struct ipc_header){.type = DNS_ANSWER, .request = inquiry->request};
    answer->name_octets = (uint16_t)tail[1].len;
    const struct ipc_message message = {
        .head = &answer->header, .head_octets = sizeof(*answer), .tail = tail, .tail_count = 2};
    if (peer && !ipc_send(&peer->channel, &message, &error))
        LOG(&inquiry->role->log, LOG_WARNING, "not_answered",
            log_text("peer", role_kind_name(inquiry->kind)), log_failure(&error));
}

static void send_failure(const struct inquiry *inquiry, enum dns_status status, const char *why)
{
    struct dns_answer answer = {.status = (uint16_t)status};
    struct slice text = slice_of_string(why);
    const struct slice tail[2] = {slice_of(NULL, 0),
                                  slice_range(text, 0, text.len < 255 ? text.len : 255)};
    send_answer(inquiry, &answer, tail);
}

static void send_records(const struct inquiry *inquiry, int rcode, struct slice packet,
                         bool is_secure)
{
    struct dns_records records;
    struct buffer rdata =
        BUFFER_WITH_LIMIT(IPC_RECORD_MAX - sizeof(struct dns_answer) - DNS_NAME_MAX);
    if (!dns_answer_parse(packet, inquiry->type, &records, &rdata)) {
        send_failure(inquiry, DNS_TEMPORARY, "malformed answer");
    } else {
        struct dns_answer answer = {.status = records.count > 0        ? DNS_FOUND
                                              : rcode == RCODE_NO_NAME ? DNS_NO_NAME
                                                                       : DNS_NO_DATA,
                                    .flags = is_secure ? DNS_SECURE : 0,
                                    .records = records.count,
                                    .ttl = records.ttl};
        const struct slice tail[2] = {buffer_slice(&rdata), slice_of_string(records.name)};
        send_answer(inquiry, &answer, tail);
    }
    buffer_clear(&rdata);
}

/* The library's own word is that there is an answer; what it says stands in its header. */
static int rcode_of(int rcode, const uint8_t *packet, size_t octets)
{
    return rcode == RCODE_NO_ERROR && octets >= HEADER_OCTETS ? packet[3] & 0x0f : rcode;
}

/* ub_event_callback_type; may run before ub_resolve_event() returns. */
static void on_resolved(void *owner, int rcode, void *packet, int octets, int security,
                        char *why_bogus, int limited)
{
    (void)limited;
    struct inquiry *inquiry = owner;
    inquiry->upstream->under_way--;
    if (packet && octets > 0)
        rcode = rcode_of(rcode, packet, (size_t)octets);
    if (security == UNBOUND_BOGUS)
        send_failure(inquiry, DNS_BOGUS, why_bogus ? why_bogus : "the signature is wrong");
    else if ((rcode != RCODE_NO_ERROR && rcode != RCODE_NO_NAME) || !packet || octets <= 0)
        send_failure(inquiry, DNS_TEMPORARY, "no server gave an answer");
    else
        send_records(inquiry, rcode, slice_of(packet, (size_t)octets), security == UNBOUND_SECURE);
    free(inquiry);
}

/* ---- questions ---- */

static bool is_type(uint16_t type)
{
    return type == DNS_A || type == DNS_PTR || type == DNS_MX || type == DNS_TXT || type == DNS_AAAA
           || type == DNS_TLSA || type == DNS_CNAME;
}

static bool begin(struct resolver *resolver, struct inquiry *inquiry, const char *name,
                  struct error *error)
{
    look_at_clock(resolver, inquiry->role);
    struct upstream *upstream = &resolver->upstreams[resolver->current];
    if (upstream->under_way >= UNDER_WAY_MAX)
        return error_set(error, ERROR_TEMPORARY, "too many questions under way");
    if (!upstream->library && !open_library(resolver, inquiry->role, error))
        return false;
    inquiry->upstream = upstream;
    upstream->under_way++;
    int code = ub_resolve_event(unbound_loop_context(upstream->library), name, (int)inquiry->type,
                                CLASS_IN, inquiry, on_resolved, NULL);
    if (code == 0)
        return true;
    upstream->under_way--;
    return error_set(error, ERROR_TEMPORARY, "%s", ub_strerror(code));
}

static void resolve(struct role_peer *peer, const struct dns_question *record, struct slice name)
{
    struct error error;
    char text[DNS_NAME_MAX + 1];
    struct inquiry on_stack = {.role = peer->role,
                               .kind = peer->kind,
                               .number = peer->number,
                               .request = record->header.request,
                               .type = record->type};
    struct inquiry *inquiry = malloc(sizeof(*inquiry));
    if (!inquiry) {
        send_failure(&on_stack, DNS_TEMPORARY, "no memory");
        return;
    }
    *inquiry = on_stack;
    snprintf(text, sizeof(text), "%.*s", SLICE_PRINTF(name));
    if (begin(peer->role->state, inquiry, text, &error))
        return;
    LOG(&peer->role->log, LOG_ERROR, "not_resolved", log_bytes("name", name), log_failure(&error));
    send_failure(&on_stack, DNS_TEMPORARY, error.text);
    free(inquiry);
}

static bool on_question(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    const struct dns_question *record = packet->record;
    struct slice name = ipc_packet_tail(packet, sizeof(*record));
    if (name.len != record->name_octets || !is_type(record->type) || !dns_name_is_valid(name))
        return error_set(error, ERROR_PEER, "malformed question");
    resolve(peer, record, name);
    return true;
}

/* ---- what role.h wants ---- */

static bool prepare(struct role *role, struct error *error)
{
    struct resolver *resolver = role->state;
    int fd = role_take_file(role, DESCRIPTOR_TRUST_ANCHOR, 0);
    buffer_init(&resolver->anchors, ANCHORS_MAX);
    if (fd < 0) {
        LOG(&role->log, LOG_WARNING, "no_trust_anchor",
            log_text("text", "nothing is validated by DNSSEC, so DANE protects no mail"));
        return true;
    }
    bool read = fd_read_all(fd, &resolver->anchors, error);
    fd_discard(&fd);
    return read;
}

static const struct ipc_rule questions[] = {
    {DNS_QUESTION, sizeof(struct dns_question) + 1, sizeof(struct dns_question) + DNS_NAME_MAX, 0,
     on_question},
};

static const struct role_link links[] = {
    {ROLE_RELAY, questions, ARRAY_LENGTH(questions)},
    {ROLE_FETCH, questions, ARRAY_LENGTH(questions)},
};

/* A relay that a reload replaced still has questions; fetch goes on with the next resolver. */
static void stop(struct role *role)
{
    if (!role_find_peer(role, ROLE_RELAY))
        role_exit(role);
}

static void peer_down(struct role_peer *peer)
{
    if (peer->role->stopping)
        stop(peer->role);
}

const struct role_spec resolver_role = {
    .sandbox = {.calls = SANDBOX_LOOP | SANDBOX_CONNECT, .files = SANDBOX_NO_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .prepare = prepare,
    .peer_down = peer_down,
    .stop = stop,
};
