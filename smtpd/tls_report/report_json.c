/* The report as JSON; see report_json.h. Pure; queue. */
#include "smtpd/tls_report/report_json.h"

#include "common/text/date.h"
#include "common/text/json.h"

enum { DAY_SECONDS = 86400, POLICY_MAX = TLS_SESSION_MAX };

static void put_member(struct buffer *out, const char *name, struct slice value)
{
    buffer_append_format(out, "\"%s\":", name);
    json_string(out, value);
}

static void put_date(struct buffer *out, const char *name, int64_t seconds)
{
    char text[DATE_TEXT_OCTETS];
    put_member(out, name, slice_of(text, date_format_internet(seconds, text)));
}

void report_json_begin(struct report_json *json, const struct report_json_head *head,
                       struct buffer *out)
{
    int64_t start = (int64_t)head->day * DAY_SECONDS;
    *json = (struct report_json){.out = out,
                                 .details = BUFFER_WITH_LIMIT(REPORT_DETAILS_MAX),
                                 .policy = BUFFER_WITH_LIMIT(POLICY_MAX)};
    buffer_append_octet(out, '{');
    put_member(out, "organization-name", head->organization);
    buffer_append(out, SLICE(",\"date-range\":{"));
    put_date(out, "start-datetime", start);
    buffer_append_octet(out, ',');
    put_date(out, "end-datetime", start + DAY_SECONDS - 1);
    buffer_append_octet(out, '}');
    json_field(out, "contact-info", head->contact);
    json_field(out, "report-id", head->id);
    buffer_append(out, SLICE(",\"policies\":["));
}

/* ---- one policy ---- */

/* Lines as an array. */
static void put_lines(struct buffer *out, const char *name, struct slice lines)
{
    if (lines.len == 0)
        return;
    buffer_append_format(out, ",\"%s\":[", name);
    while (lines.len > 0) {
        size_t end = slice_find_octet(lines, '\n');
        json_string(out, slice_range(lines, 0, end));
        lines = slice_from(lines, end + 1);
        if (lines.len > 0)
            buffer_append_octet(out, ',');
    }
    buffer_append_octet(out, ']');
}

static void end_policy(struct report_json *json)
{
    if (json->policies == 0)
        return;
    buffer_append_format(json->out,
                         "\"summary\":{\"total-successful-session-count\":%llu,"
                         "\"total-failure-session-count\":%llu}",
                         (unsigned long long)json->successes, (unsigned long long)json->failures);
    if (json->details.len > 0) {
        buffer_append(json->out, SLICE(",\"failure-details\":["));
        buffer_append(json->out, buffer_slice(&json->details));
        buffer_append_octet(json->out, ']');
    }
    buffer_append_octet(json->out, '}');
    buffer_reset(&json->details);
    json->successes = json->failures = 0;
}

static void begin_policy(struct report_json *json, const struct tls_session *session)
{
    struct buffer *out = json->out;
    end_policy(json);
    buffer_append_format(out, "%s{\"policy\":{\"policy-type\":\"%s\"",
                         json->policies++ > 0 ? "," : "", tls_policy_type_name(session->type));
    put_lines(out, "policy-string", session->policy);
    json_field(out, "policy-domain", session->domain);
    put_lines(out, "mx-host", session->patterns);
    buffer_append(out, SLICE("},"));
}

static bool is_of_policy(struct report_json *json, const struct tls_session *session)
{
    uint8_t octets[POLICY_MAX];
    struct buffer policy = {.ptr = octets, .capacity = sizeof(octets), .limit = sizeof(octets)};
    buffer_append_octet(&policy, (uint8_t)session->type);
    buffer_append(&policy, session->policy);
    buffer_append_octet(&policy, 0);
    buffer_append(&policy, session->patterns);
    if (slice_equal(buffer_slice(&policy), buffer_slice(&json->policy)))
        return true;
    buffer_reset(&json->policy);
    buffer_append(&json->policy, buffer_slice(&policy));
    return false;
}

/* ---- one row ---- */

static void put_known(struct buffer *out, const char *name, struct slice value)
{
    if (value.len > 0)
        json_field(out, name, value);
}

static void put_detail(struct report_json *json, const struct tls_session *session, uint64_t count)
{
    struct buffer *out = &json->details;
    size_t before = out->len;
    buffer_append_format(out, "%s{\"result-type\":\"%s\"", before > 0 ? "," : "",
                         tls_result_name(session->result));
    put_known(out, "sending-mta-ip", session->sender);
    put_known(out, "receiving-mx-hostname", session->mx);
    put_known(out, "receiving-ip", session->ip);
    buffer_append_format(out, ",\"failed-session-count\":%llu", (unsigned long long)count);
    put_known(out, "failure-reason-code", session->reason);
    buffer_append_octet(out, '}');
    if (!out->failed)
        return;
    out->failed = false;
    buffer_truncate(out, before);
    json->left_out++;
}

void report_json_row(struct report_json *json, const struct tls_session *session, uint64_t count)
{
    if (!is_of_policy(json, session) || json->policies == 0)
        begin_policy(json, session);
    if (session->result == TLS_RESULT_SUCCESS) {
        json->successes += count;
        return;
    }
    json->failures += count;
    put_detail(json, session, count);
}

void report_json_end(struct report_json *json)
{
    end_policy(json);
    buffer_append(json->out, SLICE("]}\n"));
    buffer_clear(&json->details);
    buffer_clear(&json->policy);
}
