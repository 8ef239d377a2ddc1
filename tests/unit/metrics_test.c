/* Promises of ctl/journal/metrics_count.h and metrics_text.h: what the statistics count is counted,
 * and told as the text format 0.0.4 of Prometheus wants it. What http does with it:
 * tests/e2e/test_http.py. */
#include "tests/unit/test.h"

#include <string.h>

#include "common/buffer.h"
#include "ctl/http/metrics_text.h"
#include "ctl/journal/metrics_count.h"

static bool has_line(struct slice text, const char *line)
{
    struct slice wanted = slice_of_string(line);
    while (text.len > 0) {
        size_t end = slice_find_octet(text, '\n');
        if (slice_equal(slice_range(text, 0, end), wanted))
            return true;
        text = slice_from(text, end + 1);
    }
    return false;
}

static struct buffer told(const struct metrics_counts *counts, const struct role_census *census)
{
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    const struct metrics_view view = {counts, census};
    metrics_text_format(&view, &text);
    assert_false(text.failed);
    return text;
}

static void check_lines(struct buffer *text, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!has_line(buffer_slice(text), lines[i]))
            fail_msg("no line \"%s\" in\n%.*s", lines[i], SLICE_PRINTF(buffer_slice(text)));
    buffer_clear(text);
}

static void add(struct metrics *metrics, enum statistics_table table, const char *name,
                unsigned index)
{
    assert_true(metrics_add(metrics, table, slice_of_string(name), index));
}

static void test_counters(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    add(&metrics, STATISTICS_TOTAL, "", STATISTICS_ACCEPTED);
    add(&metrics, STATISTICS_TOTAL, "", STATISTICS_ACCEPTED);
    add(&metrics, STATISTICS_TOTAL, "", STATISTICS_BOUNCED);
    add(&metrics, STATISTICS_REFUSAL, "rate", STATISTICS_BY_OTHERS);
    add(&metrics, STATISTICS_DOMAIN, "b.example", STATISTICS_ACCEPTED); /* of nobody by name */
    struct buffer text = told(&metrics.counts, NULL);
    static const char *const lines[] = {
        "# HELP staffetta_messages_accepted_total Messages that are on disk.",
        "# TYPE staffetta_messages_accepted_total counter",
        "staffetta_messages_accepted_total 2",
        "staffetta_recipients_bounced_total 1",
        "staffetta_recipients_relayed_total 0",
        "staffetta_refusals_total{by=\"others\",class=\"rate\"} 1",
        "staffetta_refusals_total{by=\"us\",class=\"rate\"} 0",
        "staffetta_refusals_total{by=\"us\",class=\"unknown user\"} 0",
    };
    check_lines(&text, lines, sizeof(lines) / sizeof(lines[0]));
}

/* What lies outside of the arrays, as another role's mistake might, changes nothing. */
static void test_what_is_unknown(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    const struct metrics nothing = {0};
    add(&metrics, STATISTICS_TOTAL, "", STATISTICS_COUNTERS);
    add(&metrics, STATISTICS_REFUSAL, "no class", STATISTICS_BY_US);
    add(&metrics, STATISTICS_REFUSAL, "rate", STATISTICS_REFUSERS);
    add(&metrics, STATISTICS_DELAY, "delivered", STATISTICS_SPANS);
    assert_memory_equal(&metrics, &nothing, sizeof(metrics));
}

static void test_histogram(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    add(&metrics, STATISTICS_DELAY, "delivered", statistics_span(0));
    add(&metrics, STATISTICS_DELAY, "delivered", statistics_span(900));
    add(&metrics, STATISTICS_DELAY, "delivered", statistics_span(UINT64_MAX));
    add(&metrics, STATISTICS_DELAY, "relayed", statistics_span(3));
    struct buffer text = told(&metrics.counts, NULL);
    static const char *const lines[] = {
        "# TYPE staffetta_delay_seconds histogram",
        "staffetta_delay_seconds_bucket{way=\"delivered\",le=\"0.003\"} 1",
        "staffetta_delay_seconds_bucket{way=\"delivered\",le=\"0.511\"} 1",
        "staffetta_delay_seconds_bucket{way=\"delivered\",le=\"1.023\"} 2",
        "staffetta_delay_seconds_bucket{way=\"delivered\",le=\"+Inf\"} 3",
        "staffetta_delay_seconds_count{way=\"delivered\"} 3",
        "staffetta_delay_seconds_bucket{way=\"relayed\",le=\"0.003\"} 1",
        "staffetta_delay_seconds_sum{way=\"relayed\"} 0.003",
    };
    check_lines(&text, lines, sizeof(lines) / sizeof(lines[0]));
}

static void test_events(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    const struct log_entry entry = {.dropped = 7};
    metrics_hear(&metrics, &entry);
    assert_true(metrics.changed);
    struct buffer text = told(&metrics.counts, NULL);
    static const char *const lines[] = {"staffetta_events_total 1",
                                        "staffetta_events_lost_total 7"};
    check_lines(&text, lines, sizeof(lines) / sizeof(lines[0]));
}

static void test_census(void **state)
{
    (void)state;
    struct role_census census = {
        .started_s = 1700000000, .queued = 5, .held = 2, .drop_refused = 4};
    census.kinds[ROLE_QUEUE] = (struct role_census_kind){.wanted = 1, .restarts = 3};
    census.kinds[ROLE_SMTP] = (struct role_census_kind){.wanted = 2, .ready = 2, .sessions = 9};
    struct buffer text = told(NULL, &census);
    static const char *const lines[] = {
        "staffetta_start_time_seconds 1700000000",
        "staffetta_queue_messages 5",
        "staffetta_queue_held_messages 2",
        "staffetta_drop_refused_messages 4",
        "staffetta_role_restarts_total{role=\"smtpd-queue\"} 3",
        "staffetta_role_sessions{role=\"smtpd-session\"} 9",
        "staffetta_role_processes{role=\"smtpd-session\"} 2",
    };
    check_lines(&text, lines, sizeof(lines) / sizeof(lines[0]));
    assert_false(metrics_text_is_healthy(&census, &text));
    assert_true(slice_equal(buffer_slice(&text), SLICE("smtpd-queue: 0 of 1\n")));
    buffer_clear(&text);
    census.kinds[ROLE_QUEUE].ready = 1;
    assert_true(metrics_text_is_healthy(&census, &text));
    assert_int_equal(text.len, 0);
    buffer_clear(&text);
}

static void test_nothing_heard_yet(void **state)
{
    (void)state;
    struct buffer text = told(NULL, NULL);
    assert_int_equal(text.len, 0);
    buffer_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters),  cmocka_unit_test(test_what_is_unknown),
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_events),
        cmocka_unit_test(test_census),    cmocka_unit_test(test_nothing_heard_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
