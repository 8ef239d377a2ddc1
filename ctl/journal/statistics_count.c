/* Turns events into counters; see statistics_count.h. */
#include "ctl/journal/statistics_count.h"

#include <unistr.h>

#include "common/role/role_kind.h"
#include "common/size.h"

/* ---- fields ---- */

static const struct log_field *find_field(const struct log_entry *entry, const char *key)
{
    for (size_t i = 0; i < entry->field_count; i++)
        if (slice_equal(entry->keys[i], slice_of_string(key)))
            return &entry->fields[i];
    return NULL;
}

static struct slice bytes_of(const struct log_entry *entry, const char *key)
{
    const struct log_field *field = find_field(entry, key);
    return field ? field->bytes : SLICE("");
}

/* ---- names ---- */

struct name {
    size_t len;
    uint8_t octets[STATISTICS_NAME_MAX];
};

static struct slice slice_of_name(const struct name *name)
{
    return slice_of(name->octets, name->len);
}

/* In one case, printable. What is cut within a character, or is no UTF-8, loses all but ASCII. */
static struct name clean_name(struct slice text)
{
    struct name name = {0};
    text = slice_range(text, 0, sizeof(name.octets));
    bool is_utf8 = u8_check(text.ptr, text.len) == NULL;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        bool good = octet >= ' ' && octet != 0x7f && (octet < 0x80 || is_utf8);
        name.octets[name.len++] = good ? ascii_lower(octet) : '?';
    }
    return name;
}

static struct name sender_name(struct slice reverse_path)
{
    return clean_name(reverse_path.len > 0 ? reverse_path : SLICE("<>"));
}

/* After the last '@'. A system user's account has no domain. */
static struct name domain_name(struct slice address)
{
    size_t at = address.len;
    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return clean_name(at > 0 ? slice_from(address, at) : SLICE("(no domain)"));
}

static struct slice last_labels(struct slice host, unsigned count)
{
    size_t start = host.len;
    while (start > 0 && (host.ptr[start - 1] != '.' || --count > 0))
        start--;
    return slice_from(host, start);
}

/* Who runs the server "mx1.example.co.uk [192.0.2.1]": "example.co.uk". Two labels of its name, or
 * three where the last two look like a registry's (co.uk, com.br): enough to put the servers of one
 * operator together, without a list of all registries in the journal. */
static struct name operator_name(struct slice host)
{
    host = slice_range(host, 0, slice_find_octet(host, ' '));
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    bool is_address =
        host.len > 0 && (host.ptr[0] == '[' || ascii_is_digit(host.ptr[host.len - 1]));
    if (is_address)
        return clean_name(host);
    struct slice two = last_labels(host, 2);
    size_t dot = slice_find_octet(two, '.');
    bool looks_like_registry = dot <= 3 && two.len - dot == sizeof(".uk") - 1;
    return clean_name(looks_like_registry ? last_labels(host, 3) : two);
}

/* ---- classes of refusals ---- */

const char *const statistics_classes[STATISTICS_CLASSES] = {
    "unknown user", "full", "policy", "authentication", "rate", "network", "other"};

struct status {
    uint8_t kind; /* '4' or '5'; 0: none */
    uint64_t subject, detail;
};

/* status-code = class "." subject "." detail    RFC 3463 2 */
static struct status parse_status(struct slice text)
{
    struct status status = {0};
    struct slice code = slice_range(text, 0, slice_find_octet(text, ' '));
    if (code.len < 5 || (code.ptr[0] != '4' && code.ptr[0] != '5') || code.ptr[1] != '.')
        return status;
    struct slice rest = slice_from(code, 2);
    size_t dot = slice_find_octet(rest, '.');
    if (slice_parse_number(slice_range(rest, 0, dot), &status.subject)
        && slice_parse_number(slice_from(rest, dot + 1), &status.detail))
        status.kind = code.ptr[0];
    return status;
}

enum { ANY = 1000 };

/* The first that fits; RFC 7372 is 5.7.20 to 27, RFC 8617 5.7.29, RFC 4954 5.7.8 and 9. */
static const struct refusal_class {
    uint8_t kind; /* 0: both */
    uint16_t subject, first, last;
    const char *name;
} classes[] = {
    {0, 1, 0, ANY, "unknown user"},
    {'4', 2, 0, 1, "rate"}, /* of grey lists, and such */
    {'5', 2, 1, 1, "unknown user"},
    {0, 2, 2, 2, "full"},
    {0, 3, 1, 1, "full"},
    {0, 4, 0, ANY, "network"},
    {0, 5, 3, 3, "rate"},
    {0, 7, 8, 9, "authentication"},
    {0, 7, 20, 27, "authentication"},
    {0, 7, 29, 29, "authentication"},
    {0, 7, 28, 28, "rate"}, /* mail flood */
    {'4', 7, 0, ANY, "rate"},
    {'5', 7, 0, ANY, "policy"},
};

const char *statistics_refusal_class(struct slice text)
{
    struct status status = parse_status(text);
    for (size_t i = 0; status.kind && i < ARRAY_LENGTH(classes); i++)
        if ((!classes[i].kind || classes[i].kind == status.kind)
            && classes[i].subject == status.subject && classes[i].first <= status.detail
            && status.detail <= classes[i].last)
            return classes[i].name;
    return "other";
}

/* ---- delays ---- */

unsigned statistics_span(uint64_t delay_ms)
{
    if (delay_ms < 4)
        return (unsigned)delay_ms;
    unsigned doubling = 63U - (unsigned)__builtin_clzll(delay_ms);
    unsigned span = 4 * (doubling - 1) + (unsigned)(delay_ms >> (doubling - 2) & 3);
    return span < STATISTICS_SPANS ? span : STATISTICS_SPANS - 1;
}

uint64_t statistics_span_end(unsigned span)
{
    if (span < 4)
        return span;
    unsigned doubling = span / 4 + 1;
    return ((uint64_t)(4 + span % 4 + 1) << (doubling - 2)) - 1;
}

/* ---- events ---- */

struct counting {
    const struct log_entry *entry;
    const struct statistics_origin *origin;
    statistics_emit *emit;
    void *context;
};

static bool emit(const struct counting *counting, enum statistics_table table, struct slice name,
                 unsigned index)
{
    return counting->emit(counting->context, table, name, index);
}

static bool emit_name(const struct counting *counting, enum statistics_table table,
                      struct name name, unsigned index)
{
    return emit(counting, table, slice_of_name(&name), index);
}

static bool emit_refusal(const struct counting *counting, struct slice status,
                         enum statistics_refuser refuser)
{
    const char *name = statistics_refusal_class(status);
    return emit(counting, STATISTICS_REFUSAL, slice_of_string(name), refuser);
}

static struct name sender_of(const struct statistics_origin *origin)
{
    return sender_name(slice_of(origin->sender, origin->is_known ? origin->sender_octets : 0));
}

/* One result for one recipient. */
static bool emit_outcome(const struct counting *counting, struct name domain,
                         enum statistics_counter counter)
{
    return emit(counting, STATISTICS_TOTAL, SLICE(""), counter)
           && emit_name(counting, STATISTICS_DOMAIN, domain, counter)
           && emit_name(counting, STATISTICS_SENDER, sender_of(counting->origin), counter);
}

static bool emit_delay(const struct counting *counting, const char *name)
{
    uint64_t begin = counting->origin->accepted_us, end = counting->entry->time_us;
    if (!counting->origin->is_known)
        return true;
    return emit(counting, STATISTICS_DELAY, slice_of_string(name),
                statistics_span(end > begin ? (end - begin) / 1000 : 0));
}

enum { RUN_MAX = 1000 }; /* recipients in one number */

/* "example.org:2 example.net:1"; malformed items do not count. */
static bool emit_run(const struct counting *counting, struct slice run)
{
    size_t colon = run.len;
    uint64_t count = 0;
    while (colon > 0 && run.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || !slice_parse_number(slice_from(run, colon), &count) || count > RUN_MAX)
        return true;
    struct slice domain = slice_range(run, 0, colon - 1);
    struct name name = clean_name(domain.len > 0 ? domain : SLICE("(no domain)"));
    for (; count > 0; count--)
        if (!emit_name(counting, STATISTICS_DOMAIN, name, STATISTICS_ACCEPTED))
            return false;
    return true;
}

static bool emit_domains(const struct counting *counting)
{
    struct slice rest = bytes_of(counting->entry, "domains");
    while (rest.len > 0) {
        size_t end = slice_find_octet(rest, ' ');
        if (!emit_run(counting, slice_range(rest, 0, end)))
            return false;
        rest = slice_from(rest, end + 1);
    }
    return true;
}

static bool on_queued(const struct counting *counting)
{
    struct name sender = sender_name(bytes_of(counting->entry, "from"));
    return emit(counting, STATISTICS_TOTAL, SLICE(""), STATISTICS_ACCEPTED)
           && emit_name(counting, STATISTICS_SENDER, sender, STATISTICS_ACCEPTED)
           && emit_domains(counting);
}

/* Unknown names are not counted by name: a stranger could fill the tables with invented ones. */
static bool refuse(const struct counting *counting, struct slice status)
{
    return emit(counting, STATISTICS_TOTAL, SLICE(""), STATISTICS_REFUSED)
           && emit_refusal(counting, status, STATISTICS_BY_US);
}

static bool on_refused(const struct counting *counting)
{
    return refuse(counting, bytes_of(counting->entry, "enhanced"));
}

static bool on_sender_refused(const struct counting *counting)
{
    return refuse(counting, SLICE("5.7.1"));
}

static bool on_delivered(const struct counting *counting)
{
    return emit_outcome(counting, domain_name(bytes_of(counting->entry, "to")),
                        STATISTICS_DELIVERED)
           && emit_delay(counting, "delivered");
}

static bool on_not_delivered(const struct counting *counting)
{
    return emit_refusal(counting, bytes_of(counting->entry, "result"), STATISTICS_BY_US);
}

/* No server, no operator: the DNS or the network failed. */
static bool emit_operator(const struct counting *counting, enum statistics_counter counter)
{
    struct slice host = bytes_of(counting->entry, "host");
    return host.len == 0 || emit_name(counting, STATISTICS_OPERATOR, operator_name(host), counter);
}

static enum statistics_tls tls_of(const struct log_entry *entry)
{
    struct slice version = bytes_of(entry, "tls"), verified = bytes_of(entry, "verified");
    if (version.len == 0 || slice_equal(version, SLICE("none")))
        return STATISTICS_TLS_NONE;
    if (slice_equal(verified, SLICE("dane")))
        return STATISTICS_TLS_DANE;
    if (!slice_equal(verified, SLICE("name")))
        return STATISTICS_TLS_UNVERIFIED;
    return slice_equal(bytes_of(entry, "demanded_by"), SLICE("mta-sts")) ? STATISTICS_TLS_STS
                                                                         : STATISTICS_TLS_VERIFIED;
}

/* TLS reports by HTTPS go to URIs and are not mail. */
static bool is_uri(struct slice to)
{
    return slice_starts_with_nocase(to, SLICE("https://"));
}

static bool on_relayed(const struct counting *counting)
{
    struct slice to = bytes_of(counting->entry, "to");
    if (is_uri(to))
        return true;
    return emit_outcome(counting, domain_name(to), STATISTICS_RELAYED)
           && emit_operator(counting, STATISTICS_RELAYED)
           && emit_name(counting, STATISTICS_TLS, domain_name(to), tls_of(counting->entry))
           && emit_delay(counting, "relayed");
}

/* Connections, and hosts that none was made to: of those that TLS is the matter with. */
static bool emit_tls_fault(const struct counting *counting, const char *domain)
{
    struct slice result = bytes_of(counting->entry, "tls_result");
    return result.len == 0
           || (emit_name(counting, STATISTICS_TLS, clean_name(bytes_of(counting->entry, domain)),
                         STATISTICS_TLS_FAILED)
               && emit_name(counting, STATISTICS_TLS_FAULT, clean_name(result), 0));
}

static bool on_not_connected(const struct counting *counting)
{
    return emit_tls_fault(counting, "destination");
}

static bool on_no_policy(const struct counting *counting)
{
    return emit_tls_fault(counting, "domain");
}

static bool on_not_relayed(const struct counting *counting)
{
    return emit_refusal(counting, bytes_of(counting->entry, "result"), STATISTICS_BY_OTHERS)
           && emit_operator(counting, STATISTICS_REFUSED);
}

/* Of what an older version said there is no `to`: a destination is a domain, or '=' and a route's
 * name. */
static struct name target_name(const struct log_entry *entry)
{
    const struct log_field *destination = find_field(entry, "destination");
    struct slice to = bytes_of(entry, "to");
    if (to.len > 0)
        return domain_name(to);
    return destination ? clean_name(destination->bytes) : domain_name(bytes_of(entry, "account"));
}

/* The queue's decisions. A sender's own copy has no recipient that was counted as accepted. */
static bool emit_decision(const struct counting *counting, enum statistics_counter counter)
{
    if (is_uri(bytes_of(counting->entry, "to")) || bytes_of(counting->entry, "copy").len > 0)
        return true;
    return emit_outcome(counting, target_name(counting->entry), counter);
}

static bool on_deferred(const struct counting *counting)
{
    return emit_decision(counting, STATISTICS_DEFERRED);
}

static bool on_failed(const struct counting *counting)
{
    return emit_decision(counting, STATISTICS_BOUNCED);
}

static const struct counted {
    unsigned role_kind, other_kind;
    const char *event;
    bool wants_origin;
    bool (*count)(const struct counting *counting);
} counted[] = {
    {ROLE_SMTP, ROLE_SUBMISSION, "recipient_refused", false, on_refused},
    {ROLE_SMTP, ROLE_SUBMISSION, "message_refused", false, on_refused},
    {ROLE_SMTP, ROLE_SUBMISSION, "sender_refused", false, on_sender_refused},
    {ROLE_QUEUE, ROLE_QUEUE, "queued", false, on_queued},
    {ROLE_QUEUE, ROLE_QUEUE, "queued_domains", false, emit_domains},
    {ROLE_QUEUE, ROLE_QUEUE, "deferred", true, on_deferred},
    {ROLE_QUEUE, ROLE_QUEUE, "failed", true, on_failed},
    {ROLE_DELIVER, ROLE_DELIVER, "delivered", true, on_delivered},
    {ROLE_DELIVER, ROLE_DELIVER, "not_delivered", false, on_not_delivered},
    {ROLE_RELAY, ROLE_RELAY, "relayed", true, on_relayed},
    {ROLE_RELAY, ROLE_RELAY, "not_relayed", false, on_not_relayed},
    {ROLE_RELAY, ROLE_RELAY, "connection_failed", false, on_not_connected},
    {ROLE_RELAY, ROLE_RELAY, "no_target", false, on_not_connected},
    {ROLE_FETCH, ROLE_FETCH, "policy_not_fetched", false, on_no_policy},
};

static const struct counted *find_counted(unsigned role_kind, const struct log_entry *entry)
{
    for (size_t i = 0; i < ARRAY_LENGTH(counted); i++)
        if ((counted[i].role_kind == role_kind || counted[i].other_kind == role_kind)
            && slice_equal(entry->event, slice_of_string(counted[i].event)))
            return &counted[i];
    return NULL;
}

bool statistics_wants_origin(unsigned role_kind, const struct log_entry *entry, struct slice *id)
{
    const struct counted *found = find_counted(role_kind, entry);
    *id = bytes_of(entry, "queue_id");
    return found && found->wants_origin && id->len > 0;
}

static void fill_origin(struct statistics_origin *origin, uint64_t time_us, struct slice sender)
{
    sender = slice_range(sender, 0, sizeof(origin->sender));
    origin->is_known = true;
    origin->accepted_us = time_us;
    origin->sender_octets = sender.len;
    if (sender.len > 0)
        memcpy(origin->sender, sender.ptr, sender.len);
}

/* A report is a message of the queue's own, from nobody (RFC 3464 2). */
bool statistics_tells_origin(unsigned role_kind, const struct log_entry *entry, struct slice *id,
                             struct statistics_origin *origin)
{
    bool is_report = slice_equal(entry->event, SLICE("report"));
    if (role_kind != ROLE_QUEUE || (!is_report && !slice_equal(entry->event, SLICE("queued"))))
        return false;
    *id = bytes_of(entry, is_report ? "report" : "queue_id");
    fill_origin(origin, entry->time_us, is_report ? SLICE("") : bytes_of(entry, "from"));
    return id->len > 0;
}

bool statistics_count(unsigned role_kind, const struct log_entry *entry,
                      const struct statistics_origin *origin, statistics_emit *emit_one,
                      void *context)
{
    const struct counted *found = find_counted(role_kind, entry);
    const struct counting counting = {entry, origin, emit_one, context};
    return !found || found->count(&counting);
}
