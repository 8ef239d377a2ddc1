/*
 * The report; see statistics_report.h. One pass over the rows adds up lines: of each day, and of
 * each name of the other tables over all days. CSV is the rows themselves.
 */
#include "ctl/journal/statistics_report.h"

#include <stdlib.h>
#include <time.h>

#include "common/hash_table.h"
#include "common/size.h"
#include "common/text/json.h"

enum {
    LINES_FOR_PEOPLE = 20, /* of a table; the others have all of them */
    NAME_WIDTH = 36,
    DAYS_SHOWN = 7,
};

/* A line of a table: of a day, or of a name. */
struct line {
    UT_hash_handle hh;
    uint64_t counts[STATISTICS_COUNTERS];
    size_t key_octets;
    uint8_t key[1 + STATISTICS_NAME_MAX]; /* the table, then the name, or the day as "2026-11-27" */
};

struct delay {
    const char *name;
    uint64_t spans[STATISTICS_SPANS];
};

struct report {
    struct line *lines;
    struct delay delays[2];
    bool failed; /* no memory */
};

static const struct table {
    enum statistics_table table;
    const char *title, *json;
    const char *columns[STATISTICS_COUNTERS]; /* NULL: not shown */
} tables[] = {
    {STATISTICS_TOTAL,
     "day (UTC)",
     "days",
     {"accepted", "delivered", "relayed", "deferred", "bounced", "refused"}},
    {STATISTICS_DOMAIN,
     "receiver domain",
     "domains",
     {"accepted", "delivered", "relayed", "deferred", "bounced", NULL}},
    {STATISTICS_SENDER,
     "sender",
     "senders",
     {"accepted", "delivered", "relayed", "deferred", "bounced", NULL}},
    {STATISTICS_OPERATOR,
     "server's operator",
     "operators",
     {NULL, NULL, "relayed", NULL, NULL, "refused"}},
    {STATISTICS_REFUSAL, "refusals", "refusals", {"by_us", "by_others", NULL, NULL, NULL, NULL}},
    {STATISTICS_TLS,
     "TLS to receiver domain",
     "tls",
     {"dane", "mta_sts", "verified", "unverified", "none", "failed"}},
    {STATISTICS_TLS_FAULT,
     "failures of TLS",
     "tls_failures",
     {"failed", NULL, NULL, NULL, NULL, NULL}},
};

static const unsigned percentiles[] = {50, 90, 99};

bool statistics_question_parse(const struct slice *words, size_t count,
                               struct statistics_question *question)
{
    *question = (struct statistics_question){DAYS_SHOWN, STATISTICS_FOR_PEOPLE};
    for (size_t i = 0; i < count; i++) {
        uint64_t days;
        if (slice_equal(words[i], SLICE("--json"))) {
            question->form = STATISTICS_JSON;
        } else if (slice_equal(words[i], SLICE("--csv"))) {
            question->form = STATISTICS_CSV;
        } else if (slice_equal(words[i], SLICE("--days")) && i + 1 < count
                   && slice_parse_number(words[i + 1], &days) && days > 0
                   && days <= STATISTICS_DAYS_MAX) {
            question->days = (uint32_t)days;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

static void put_day(struct buffer *out, uint32_t day)
{
    struct tm parts;
    char text[32];
    time_t seconds = (time_t)day * 86400;
    gmtime_r(&seconds, &parts);
    buffer_append(out, slice_of(text, strftime(text, sizeof(text), "%Y-%m-%d", &parts)));
}

/* ---- gathering ---- */

static struct line *line_of(struct report *report, struct slice key)
{
    struct line *line;
    HASH_FIND(hh, report->lines, key.ptr, key.len, line);
    if (line)
        return line;
    line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    memcpy(line->key, key.ptr, key.len);
    line->key_octets = key.len;
    HASH_ADD(hh, report->lines, key, key.len, line);
    if (hash_table_holds(&line->hh))
        return line;
    free(line);
    return NULL;
}

static void add_delay(struct report *report, const struct statistics_row *row)
{
    for (size_t i = 0; i < ARRAY_LENGTH(report->delays); i++)
        if (slice_equal(row->name, slice_of_string(report->delays[i].name))
            && row->index < STATISTICS_SPANS)
            report->delays[i].spans[row->index] += row->count;
}

static void add_count(struct report *report, const struct statistics_row *row)
{
    uint8_t octets[1 + STATISTICS_NAME_MAX];
    struct buffer key = {.ptr = octets, .capacity = sizeof(octets), .limit = sizeof(octets)};
    buffer_append_octet(&key, (uint8_t)row->table);
    if (row->table == STATISTICS_TOTAL)
        put_day(&key, row->day);
    else
        buffer_append(&key, row->name);
    struct line *line = line_of(report, buffer_slice(&key));
    if (line && row->index < STATISTICS_COUNTERS)
        line->counts[row->index] += row->count;
    report->failed |= !line;
}

static bool add_row(void *context, const struct statistics_row *row)
{
    struct report *report = context;
    if (row->table == STATISTICS_DELAY)
        add_delay(report, row);
    else
        add_count(report, row);
    return !report->failed;
}

static void clear_report(struct report *report)
{
    struct line *line = report->lines;
    HASH_CLEAR(hh, report->lines);
    while (line) {
        struct line *next = line->hh.next;
        free(line);
        line = next;
    }
}

/* ---- common to both forms ---- */

static struct slice name_of(const struct line *line)
{
    return slice_of(line->key + 1, line->key_octets - 1);
}

static uint64_t sum_of(const struct line *line)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < STATISTICS_COUNTERS; i++)
        sum += line->counts[i];
    return sum;
}

/* By table; days in their order, names with the most first. */
static int compare_lines(struct line *a, struct line *b)
{
    if (a->key[0] != b->key[0])
        return a->key[0] < b->key[0] ? -1 : 1;
    if (a->key[0] != STATISTICS_TOTAL && sum_of(a) != sum_of(b))
        return sum_of(a) > sum_of(b) ? -1 : 1;
    return slice_compare(name_of(a), name_of(b));
}

static uint64_t count_delays(const struct delay *delay)
{
    uint64_t count = 0;
    for (size_t i = 0; i < STATISTICS_SPANS; i++)
        count += delay->spans[i];
    return count;
}

/* The end of the span that contains this percentile. */
static uint64_t percentile_ms(const struct delay *delay, unsigned percent)
{
    uint64_t count = count_delays(delay), seen = 0;
    uint64_t wanted = count / 100 * percent + (count % 100 * percent + 99) / 100;
    unsigned span = 0;
    while (span < STATISTICS_SPANS - 1 && (seen += delay->spans[span]) < wanted)
        span++;
    return statistics_span_end(span);
}

/* ---- for people ---- */

static void put_head(struct buffer *out, const struct table *table)
{
    buffer_append_format(out, "%s%-*s", out->len > 0 ? "\n" : "", NAME_WIDTH, table->title);
    for (size_t i = 0; i < STATISTICS_COUNTERS; i++)
        if (table->columns[i])
            buffer_append_format(out, " %10s", table->columns[i]);
    buffer_append_octet(out, '\n');
}

static void put_line(struct buffer *out, const struct table *table, struct slice name,
                     const uint64_t *counts)
{
    buffer_append(out, name);
    for (size_t width = name.len; width < NAME_WIDTH; width++)
        buffer_append_octet(out, ' ');
    for (size_t i = 0; i < STATISTICS_COUNTERS; i++)
        if (table->columns[i])
            buffer_append_format(out, " %10llu", (unsigned long long)counts[i]);
    buffer_append_octet(out, '\n');
}

static void put_table(struct buffer *out, const struct report *report, const struct table *table)
{
    bool is_days = table->table == STATISTICS_TOTAL;
    struct line all = {0};
    size_t lines = 0, limit = is_days ? STATISTICS_DAYS_MAX : LINES_FOR_PEOPLE;
    for (const struct line *line = report->lines; line; line = line->hh.next) {
        if (line->key[0] != table->table)
            continue;
        if (lines++ == 0)
            put_head(out, table);
        if (lines <= limit)
            put_line(out, table, name_of(line), line->counts);
        for (size_t i = 0; i < STATISTICS_COUNTERS; i++)
            all.counts[i] += line->counts[i];
    }
    if (is_days && lines > 1)
        put_line(out, table, SLICE("all"), all.counts);
    if (lines > limit)
        buffer_append_format(out, "and %zu more: see --json\n", lines - limit);
}

static void put_delays(struct buffer *out, const struct report *report)
{
    buffer_append_format(out, "\n%-*s %10s %10s %10s\n", NAME_WIDTH, "seconds until", "p50", "p90",
                         "p99");
    for (size_t i = 0; i < ARRAY_LENGTH(report->delays); i++) {
        const struct delay *delay = &report->delays[i];
        if (count_delays(delay) == 0)
            continue;
        buffer_append_format(out, "%-*s", NAME_WIDTH, delay->name);
        for (size_t k = 0; k < ARRAY_LENGTH(percentiles); k++)
            buffer_append_format(out, " %10.3f",
                                 (double)percentile_ms(delay, percentiles[k]) / 1000.0);
        buffer_append_octet(out, '\n');
    }
}

static void put_for_people(struct buffer *out, const struct report *report)
{
    struct buffer text = BUFFER_WITH_LIMIT(out->limit);
    for (size_t i = 0; i < ARRAY_LENGTH(tables); i++)
        put_table(&text, report, &tables[i]);
    if (text.len == 0)
        buffer_append(&text, SLICE("No mail was seen in these days.\n"));
    else
        put_delays(&text, report);
    buffer_append(out, buffer_slice(&text));
    out->failed |= text.failed;
    buffer_clear(&text);
}

/* ---- JSON (RFC 8259) ---- */

static void put_json_table(struct buffer *out, const struct report *report,
                           const struct table *table)
{
    const char *separator = "";
    buffer_append_format(out, "\"%s\":[", table->json);
    for (const struct line *line = report->lines; line; line = line->hh.next) {
        if (line->key[0] != table->table)
            continue;
        buffer_append_format(out, "%s\n{\"name\":", separator);
        json_string(out, name_of(line));
        for (size_t i = 0; i < STATISTICS_COUNTERS; i++)
            if (table->columns[i])
                buffer_append_format(out, ",\"%s\":%llu", table->columns[i],
                                     (unsigned long long)line->counts[i]);
        buffer_append_octet(out, '}');
        separator = ",";
    }
    buffer_append(out, SLICE("],\n"));
}

static void put_json_delay(struct buffer *out, const struct delay *delay)
{
    buffer_append_format(out, "\"%s\":{\"count\":%llu", delay->name,
                         (unsigned long long)count_delays(delay));
    for (size_t k = 0; count_delays(delay) > 0 && k < ARRAY_LENGTH(percentiles); k++)
        buffer_append_format(out, ",\"p%u\":%llu", percentiles[k],
                             (unsigned long long)percentile_ms(delay, percentiles[k]));
    buffer_append_octet(out, '}');
}

static void put_json(struct buffer *out, const struct report *report)
{
    buffer_append(out, SLICE("{"));
    for (size_t i = 0; i < ARRAY_LENGTH(tables); i++)
        put_json_table(out, report, &tables[i]);
    buffer_append(out, SLICE("\"delay_ms\":{"));
    put_json_delay(out, &report->delays[0]);
    buffer_append_octet(out, ',');
    put_json_delay(out, &report->delays[1]);
    buffer_append(out, SLICE("}}\n"));
}

/* ---- CSV (RFC 4180, with LF) ---- */

static void put_csv_string(struct buffer *out, struct slice text)
{
    buffer_append_octet(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            buffer_append_octet(out, '"');
        buffer_append_octet(out, text.ptr[i]);
    }
    buffer_append_octet(out, '"');
}

static const struct table *find_table(enum statistics_table kind)
{
    for (size_t i = 0; i < ARRAY_LENGTH(tables); i++)
        if (tables[i].table == kind)
            return &tables[i];
    return NULL;
}

static const char *column_name(const struct table *table, unsigned index)
{
    const char *name = index < STATISTICS_COUNTERS ? table->columns[index] : NULL;
    return name ? name : "";
}

/* For a delay, the longest in the span, in ms. */
static bool put_csv_row(void *context, const struct statistics_row *row)
{
    struct buffer *out = context;
    const struct table *table = find_table(row->table);
    put_day(out, row->day);
    buffer_append_format(out, ",%s,", table ? table->json : "delays");
    put_csv_string(out, row->name);
    if (!table)
        buffer_append_format(out, ",%llu", (unsigned long long)statistics_span_end(row->index));
    else
        buffer_append_format(out, ",%s", column_name(table, row->index));
    buffer_append_format(out, ",%llu\n", (unsigned long long)row->count);
    return !out->failed;
}

static bool report_csv(struct statistics *statistics, uint32_t first_day, struct buffer *out,
                       struct error *error)
{
    buffer_append(out, SLICE("day,table,name,what,count\n"));
    return statistics_read(statistics, first_day, put_csv_row, out, error);
}

/* ---- all ---- */

bool statistics_report(struct statistics *statistics, const struct statistics_question *question,
                       uint32_t today, struct buffer *out, struct error *error)
{
    uint32_t first_day = question->days <= today ? today - question->days + 1 : 0;
    if (question->form == STATISTICS_CSV)
        return report_csv(statistics, first_day, out, error);
    struct report report = {.delays = {{.name = "delivered"}, {.name = "relayed"}}};
    bool read = statistics_read(statistics, first_day, add_row, &report, error);
    if (read && report.failed)
        read = error_memory(error);
    if (read) {
        HASH_SORT(report.lines, compare_lines);
        if (question->form == STATISTICS_JSON)
            put_json(out, &report);
        else
            put_for_people(out, &report);
    }
    clear_report(&report);
    return read;
}
