/* TLS reports to the domains that ask for them; see tls_reports.h. */
#include "smtpd/queue/tls/tls_reports.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/dns/answer.h"
#include "common/text/https_url.h"
#include "smtpd/queue/dispatch/destination.h"
#include "smtpd/queue/outcome/report.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/relay/relay_protocol.h"
#include "smtpd/tls_report/report_json.h"
#include "smtpd/tls_report/report_mail.h"
#include "smtpd/tls_report/tls_record.h"

enum {
    DAY_S = 86400,
    WRITE_MS = 60 * 1000,
    AGAIN_MS = 3600 * 1000,
    LOOKUP_MS = 90 * 1000, /* longer than relay waits for the DNS */
    KEPT_DAYS = 2,
    REPORT_ID_MAX = 400,
    DOMAIN_OCTETS_MAX = DNS_NAME_MAX - 11, /* there is room for "_smtp._tls." before it */
    ROWS_PER_REPORT = 10000,
    ADDRESSES_MAX = 5,
    PACKED_MAX = REPORT_JSON_MAX + 4096, /* while compressing: zlib needs room for the worst case */
};

static uint32_t today(void)
{
    return (uint32_t)(queue_wall_now() / DAY_S);
}

/* ---- counting ---- */

static void write_counts(struct queue *queue)
{
    struct error error;
    struct tls_reports *reports = &queue->tls_reports;
    reports->write_at_ms = queue_now_ms() + WRITE_MS;
    if (!tls_counts_write(&reports->counts, queue->store, &error)) {
        LOG(&queue->role->log, LOG_WARNING, "tls_counts_not_written", log_failure(&error));
        queue_check_store(queue, &error);
    }
    if (reports->counts.lost > 0)
        LOG(&queue->role->log, LOG_WARNING, "tls_counts_lost",
            log_number("connections", (int64_t)reports->counts.lost));
    reports->counts.lost = 0;
}

/* Relay's clock is trusted within a day. */
static uint32_t day_of(const struct relay_tls_session *record)
{
    int64_t now = queue_wall_now(), at = record->at;
    return (uint32_t)((at > now - 2 * DAY_S && at <= now ? at : now) / DAY_S);
}

bool tls_reports_on_session(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct queue *queue = peer->role->state;
    const struct relay_tls_session *record = packet->record;
    struct slice run = ipc_packet_tail(packet, sizeof(*record));
    struct tls_session session;
    if (!tls_session_parse(run, &session) || session.domain.len > DOMAIN_OCTETS_MAX
        || !dns_name_is_valid(session.domain))
        return error_set(error, ERROR_PEER, "malformed TLS result");
    if (queue->role->config.relay.tls_reports)
        tls_counts_add(&queue->tls_reports.counts, day_of(record), run);
    return true;
}

/* ---- whose turn it is ---- */

struct next_domain {
    struct tls_reports *reports;
    bool found;
};

static bool take_domain(void *context, uint32_t day, struct slice run, uint64_t count)
{
    struct next_domain *next = context;
    struct tls_session session;
    (void)count;
    if (!tls_session_parse(run, &session) || session.domain.len > DOMAIN_OCTETS_MAX)
        return true;
    next->reports->day = day;
    snprintf(next->reports->domain, sizeof(next->reports->domain), "%.*s",
             SLICE_PRINTF(session.domain));
    next->found = true;
    return false;
}

/* Finds the first row of a past day, after the one looked up last. */
static bool find_next(struct queue *queue, struct error *error)
{
    struct tls_reports *reports = &queue->tls_reports;
    struct next_domain next = {.reports = reports};
    char behind[DNS_NAME_MAX + 2] = "";
    if (reports->passed)
        snprintf(behind, sizeof(behind), "%s\x01", reports->domain); /* above all its rows */
    if (!queue_store_scan_tls(queue->store, reports->passed ? reports->day : 0,
                              slice_of_string(behind), take_domain, &next, error))
        return false;
    reports->passed = next.found;
    if (next.found && reports->day < today())
        return true;
    reports->passed = false;
    return error_set(error, ERROR_NOT_FOUND, "no more");
}

/* RFC 8460 5.1: reports should not all be sent at midnight. */
static void choose_time(struct queue *queue)
{
    struct tls_reports *reports = &queue->tls_reports;
    uint64_t most_ms = queue->role->config.relay.tls_reports_delay_ms;
    uint32_t delay_ms = most_ms > 0 ? arc4random_uniform((uint32_t)most_ms) : 0;
    reports->chosen_day = today();
    reports->next_at_ms = queue_now_ms() + delay_ms;
}

static void pause_reports(struct queue *queue)
{
    queue->tls_reports.next_at_ms = queue_now_ms() + AGAIN_MS;
}

static void look_up(struct queue *queue)
{
    struct tls_reports *reports = &queue->tls_reports;
    struct error error;
    struct role_peer *relay = role_find_peer(queue->role, ROLE_RELAY);
    struct relay_tls_lookup question = {
        .header = {.type = RELAY_TLS_LOOKUP, .request = queue_next_request(queue)}};
    if (!relay)
        return; /* the next second's turn */
    if (!find_next(queue, &error)) {
        if (error.kind != ERROR_NOT_FOUND)
            LOG(&queue->role->log, LOG_ERROR, "tls_report_not_made", log_failure(&error));
        pause_reports(queue);
        return;
    }
    if (!ipc_send_record(&relay->channel, &question.header, sizeof(question),
                         slice_of_string(reports->domain), NULL)) {
        pause_reports(queue);
        return;
    }
    reports->request = question.header.request;
    reports->asked_at_ms = queue_now_ms();
}

/* ---- one report ---- */

struct making {
    struct report_json json;
    const char *domain;
    uint32_t day;
    size_t rows;
};

static bool add_row(void *context, uint32_t day, struct slice run, uint64_t count)
{
    struct making *making = context;
    struct tls_session session;
    if (day != making->day || !tls_session_parse(run, &session)
        || !slice_equal(session.domain, slice_of_string(making->domain)))
        return false;
    report_json_row(&making->json, &session, count);
    return ++making->rows < ROWS_PER_REPORT;
}

static bool write_json(struct queue *queue, const struct report_json_head *head,
                       struct buffer *packed, struct error *error)
{
    struct tls_reports *reports = &queue->tls_reports;
    struct making making = {.domain = reports->domain, .day = reports->day};
    struct buffer text = BUFFER_WITH_LIMIT(REPORT_JSON_MAX);
    report_json_begin(&making.json, head, &text);
    bool read = queue_store_scan_tls(queue->store, reports->day, slice_of_string(reports->domain),
                                     add_row, &making, error);
    report_json_end(&making.json);
    if (read && (text.failed || !report_mail_gzip(buffer_slice(&text), packed)))
        read = error_memory(error);
    buffer_clear(&text);
    return read;
}

/* A report and the messages that carry it: one to all mail addresses, one to all HTTPS URIs, which
 * get the bare report. */
enum carrier { BY_MAIL, BY_POST, CARRIERS };
struct tls_report {
    struct slice to[CARRIERS]; /* LF between them; empty: no such message */
    uint64_t id[CARRIERS];
    struct buffer text[CARRIERS];
    char report_id[REPORT_ID_MAX];
    char contact[QUEUE_ADDRESS_MAX];
};

static void name_report(struct queue *queue, struct tls_report *report)
{
    const struct config *config = &queue->role->config;
    const struct tls_reports *reports = &queue->tls_reports;
    char queue_id[QUEUE_ID_SIZE];
    queue_id_format(report->id[report->to[BY_MAIL].len > 0 ? BY_MAIL : BY_POST], queue_id);
    snprintf(report->report_id, sizeof(report->report_id), "%u.%s.%.300s", reports->day, queue_id,
             reports->domain);
    if (config->relay.tls_report_contact.text)
        snprintf(report->contact, sizeof(report->contact), "%s",
                 config->relay.tls_report_contact.text);
    else
        snprintf(report->contact, sizeof(report->contact), "postmaster@%s",
                 config->domains[0].name);
}

static void write_mail(struct queue *queue, struct tls_report *report)
{
    char queue_id[QUEUE_ID_SIZE], boundary[BOUNCE_BOUNDARY_MAX];
    report_random_boundary(boundary);
    const struct report_mail mail = {
        .submitter = slice_of_string(queue->role->config.hostname),
        .domain = slice_of_string(queue->tls_reports.domain),
        .from = slice_of_string(report->contact),
        .to = report->to[BY_MAIL],
        .id = slice_of_string(report->report_id),
        .queue_id = queue_id_format(report->id[BY_MAIL], queue_id),
        .boundary = boundary,
        .day = queue->tls_reports.day,
        .now = queue_wall_now(),
        .packed = buffer_slice(&report->text[BY_POST]),
    };
    report_mail_format(&mail, &report->text[BY_MAIL]);
}

static bool write_report(struct queue *queue, struct tls_report *report, struct error *error)
{
    name_report(queue, report);
    const struct report_json_head head = {.organization =
                                              slice_of_string(queue->role->config.hostname),
                                          .contact = slice_of_string(report->contact),
                                          .id = slice_of_string(report->report_id),
                                          .domain = slice_of_string(queue->tls_reports.domain),
                                          .day = queue->tls_reports.day};
    if (!write_json(queue, &head, &report->text[BY_POST], error))
        return false;
    if (report->to[BY_MAIL].len > 0)
        write_mail(queue, report);
    return (!report->text[BY_MAIL].failed && report->text[BY_POST].len <= FILTER_INLINE_MAX)
           || error_memory(error);
}

/* Takes a line off the front of *lines, which are separated by LF. */
static struct slice take_line(struct slice *lines)
{
    size_t end = slice_find_octet(*lines, '\n');
    struct slice line = slice_range(*lines, 0, end);
    *lines = slice_from(*lines, end + 1);
    return line;
}

/* Auth resolves local addresses; others are sent out regardless of TLS policies (RFC 8460 5.3). */
static bool is_ours(const struct config *config, struct slice address)
{
    size_t at = address.len;
    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    for (size_t i = 0; i < config->domain_count; i++)
        if (slice_equal_nocase(slice_from(address, at), slice_of_string(config->domains[i].name)))
            return true;
    return false;
}

static void choose_destination(const struct config *config, struct slice to, struct buffer *name)
{
    struct https_url post;
    if (https_url_parse(to, &post)) {
        buffer_append(name, SLICE("https://"));
        buffer_append(name, post.authority);
    } else if (!is_ours(config, to))
        destination_append(config, QUEUE_TLS_OPTIONAL, to, slice_of(NULL, 0), name);
}

static bool enter_recipient(struct queue *queue, struct queued_message *queued,
                            const struct stored_recipient *row, struct error *error)
{
    struct queued_recipient *recipient = queued_add_recipient(
        &queue->queued, queued, queued->next_number,
        row->destination.len > 0 ? TARGET_RELAY : TARGET_ADDRESS, row->destination);
    if (!recipient)
        return error_memory(error); /* the abort of the transaction drops the message */
    recipient->notify = QUEUE_NOTIFY_NEVER;
    recipient->purpose = STORED_NOTICE;
    return true;
}

static bool put_recipient(struct queue *queue, struct queued_message *queued, struct slice to,
                          int64_t now, struct error *error)
{
    struct buffer destination = BUFFER_WITH_LIMIT(DESTINATION_MAX);
    choose_destination(&queue->role->config, to, &destination);
    const struct stored_recipient row = {.state = STORED_WAITING,
                                         .purpose = STORED_NOTICE,
                                         .notify = QUEUE_NOTIFY_NEVER,
                                         .arrival = now,
                                         .due = now,
                                         .destination = buffer_slice(&destination),
                                         .address = to};
    if (queued->next_number == 0)
        deadlines_begin(queue, queued, &row);
    bool put = destination.failed ? error_memory(error)
                                  : queue_store_put_recipient(queue->store, queued->id,
                                                              queued->next_number, &row, error)
                                        && enter_recipient(queue, queued, &row, error);
    buffer_clear(&destination);
    return put;
}

/* On failure the message goes with the transaction. */
static bool put_message(struct queue *queue, uint64_t id, struct slice to, struct slice text,
                        struct error *error)
{
    int64_t now = queue_wall_now();
    const struct stored_message message = {
        .arrival = now, .flags = QUEUE_TLS_OPTIONAL, .body_octets = text.len, .body = text};
    struct queued_message *queued = queued_add_message(&queue->queued, id, 0);
    bool put = queued ? queue_store_put_message(queue->store, id, &message, NULL, error)
                      : error_memory(error);
    while (put && to.len > 0)
        put = put_recipient(queue, queued, take_line(&to), now, error);
    return put;
}

static void schedule_message(struct queue *queue, struct queued_message *queued)
{
    struct queued_recipient *recipient, *next;
    DL_FOREACH_SAFE2 (queued->recipients, recipient, next, next_of_message)
        queued_schedule(&queue->queued, recipient, queue_now_ms());
}

/* In one transaction: queues the report to each address and removes its rows. `report` may be NULL:
 * none. */
static bool put_report(struct queue *queue, const struct tls_report *report, struct error *error)
{
    const struct tls_reports *reports = &queue->tls_reports;
    bool put = true;
    for (int i = 0; report && put && i < CARRIERS; i++)
        if (report->to[i].len > 0)
            put = put_message(queue, report->id[i], report->to[i], buffer_slice(&report->text[i]),
                              error);
    return put
           && queue_store_drop_tls(queue->store, reports->day, slice_of_string(reports->domain),
                                   error);
}

static bool commit_report(struct queue *queue, const struct tls_report *report, struct error *error)
{
    if (!queue_store_begin(queue->store, error))
        return false;
    bool good = put_report(queue, report, error);
    if (!good)
        queue_store_abort(queue->store);
    good = good && queue_store_commit(queue->store, error);
    for (int i = 0; report && i < CARRIERS; i++) {
        struct queued_message *queued =
            report->to[i].len > 0 ? queued_find_message(&queue->queued, report->id[i]) : NULL;
        if (queued && good)
            schedule_message(queue, queued);
        else if (queued)
            queued_drop_message(&queue->queued, queued);
    }
    return good;
}

static void log_report(struct queue *queue, uint64_t id, struct slice to)
{
    char queue_id[QUEUE_ID_SIZE];
    while (to.len > 0)
        LOG(&queue->role->log, LOG_INFO, "tls_report",
            log_id("queue_id", queue_id_format(id, queue_id)),
            log_text("domain", queue->tls_reports.domain), log_bytes("to", take_line(&to)),
            log_number("day", queue->tls_reports.day));
}

static bool take_ids(struct queue *queue, struct tls_report *report, struct error *error)
{
    for (int i = 0; i < CARRIERS; i++)
        if (report->to[i].len > 0 && !queue_take_own_id(queue, &report->id[i]))
            return error_set(error, ERROR_TEMPORARY, "no id for a report");
    return true;
}

static bool make_report(struct queue *queue, const struct buffer to[CARRIERS], struct error *error)
{
    struct tls_report report = {0};
    for (int i = 0; i < CARRIERS; i++) {
        report.to[i] = buffer_slice(&to[i]);
        buffer_init(&report.text[i], i == BY_POST ? PACKED_MAX : FILTER_INLINE_MAX);
    }
    bool made = take_ids(queue, &report, error) && write_report(queue, &report, error)
                && commit_report(queue, &report, error);
    for (int i = 0; i < CARRIERS; i++) {
        buffer_clear(&report.text[i]);
        if (made)
            log_report(queue, report.id[i], report.to[i]);
    }
    return made;
}

static bool has_line(struct slice lines, struct slice wanted)
{
    while (lines.len > 0)
        if (slice_equal_nocase(take_line(&lines), wanted))
            return true;
    return false;
}

/* Appends the address of a URI. False: none usable. */
static bool read_uri(struct slice uri, enum carrier *carrier, struct buffer *address)
{
    struct https_url post;
    *carrier = https_url_parse(uri, &post) ? BY_POST : BY_MAIL;
    if (*carrier == BY_MAIL)
        return tls_record_mailbox(uri, address);
    buffer_append(address, uri);
    return !address->failed;
}

/* Collects the record's addresses, without duplicates, separated by LF: at most ADDRESSES_MAX, or a
 * record could make us send to any number of targets. False: there is none. */
static bool find_addresses(struct slice uris, struct buffer to[CARRIERS])
{
    int found = 0;
    while (uris.len > 0 && found < ADDRESSES_MAX) {
        enum carrier carrier;
        struct buffer address = BUFFER_WITH_LIMIT(QUEUE_ADDRESS_MAX);
        if (read_uri(take_line(&uris), &carrier, &address)
            && !has_line(buffer_slice(&to[carrier]), buffer_slice(&address))) {
            if (to[carrier].len > 0)
                buffer_append_octet(&to[carrier], '\n');
            buffer_append(&to[carrier], buffer_slice(&address));
            found++;
        }
        buffer_clear(&address);
    }
    return found > 0;
}

static bool settle_domain(struct queue *queue, struct slice uris, struct error *error)
{
    struct buffer to[CARRIERS];
    for (int i = 0; i < CARRIERS; i++)
        buffer_init(&to[i], ADDRESSES_MAX * (QUEUE_ADDRESS_MAX + 1));
    bool is_wanted = find_addresses(uris, to);
    if (uris.len > 0 && !is_wanted)
        LOG(&queue->role->log, LOG_WARNING, "tls_report_not_sent",
            log_text("domain", queue->tls_reports.domain), log_bytes("uris", uris),
            log_text("error", "no address among them"));
    bool settled = is_wanted ? make_report(queue, to, error) : commit_report(queue, NULL, error);
    for (int i = 0; i < CARRIERS; i++)
        buffer_clear(&to[i]);
    return settled;
}

/* It is unknown whether the domain wants a report. */
static void leave_for_later(struct queue *queue)
{
    const struct tls_reports *reports = &queue->tls_reports;
    struct error error;
    if (reports->day + KEPT_DAYS >= today())
        return;
    LOG(&queue->role->log, LOG_WARNING, "tls_report_not_sent", log_text("domain", reports->domain),
        log_text("error", "the DNS does not say whether it wants one"));
    if (!commit_report(queue, NULL, &error))
        queue_check_store(queue, &error);
}

bool tls_reports_on_record(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *peer = owner;
    struct queue *queue = peer->role->state;
    struct tls_reports *reports = &queue->tls_reports;
    const struct relay_tls_record *record = packet->record;
    struct slice uris = ipc_packet_tail(packet, sizeof(*record));
    struct error failure;
    if (record->status < RELAY_TLS_FOUND || record->status > RELAY_TLS_UNKNOWN)
        return error_set(error, ERROR_PEER, "malformed TLS record");
    if (record->header.request != reports->request)
        return true;
    reports->request = 0;
    if (record->status == RELAY_TLS_UNKNOWN) {
        leave_for_later(queue);
    } else if (!settle_domain(queue, record->status == RELAY_TLS_FOUND ? uris : SLICE(""),
                              &failure)) {
        LOG(&queue->role->log, LOG_ERROR, "tls_report_not_made",
            log_text("domain", reports->domain), log_failure(&failure));
        queue_check_store(queue, &failure);
        pause_reports(queue);
    }
    if (queue_now_ms() >= reports->next_at_ms)
        look_up(queue);
    queue_wake(queue);
    return true;
}

/* ---- time ---- */

void tls_reports_tick(struct queue *queue)
{
    struct tls_reports *reports = &queue->tls_reports;
    uint64_t now_ms = queue_now_ms();
    if (!queue->role->config.relay.tls_reports)
        return;
    if (reports->counts.rows
        && (now_ms >= reports->write_at_ms || tls_counts_is_full(&reports->counts)))
        write_counts(queue);
    if (reports->chosen_day != today())
        choose_time(queue);
    if (reports->request != 0 && now_ms - reports->asked_at_ms < LOOKUP_MS)
        return;
    reports->request = 0;
    if (now_ms >= reports->next_at_ms && !queue->settle.waiting)
        look_up(queue);
}

void tls_reports_stop(struct queue *queue)
{
    if (queue->store && queue->tls_reports.counts.rows)
        write_counts(queue);
    tls_counts_clear(&queue->tls_reports.counts);
}
