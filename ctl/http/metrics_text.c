/* The text of metrics_text.h. */
#include "ctl/http/metrics_text.h"

#include "common/size.h"

static void put_head(struct buffer *text, const char *name, const char *type, const char *help)
{
    buffer_append_format(text, "# HELP staffetta_%s %s\n# TYPE staffetta_%s %s\n", name, help, name,
                         type);
}

static void put_value(struct buffer *text, const char *name, const char *labels, uint64_t value)
{
    buffer_append_format(text, "staffetta_%s%s %llu\n", name, labels, (unsigned long long)value);
}

static void put_single(struct buffer *text, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    put_head(text, name, type, help);
    put_value(text, name, "", value);
}

/* --- What journal counted -------------------------------------------------------------------- */

static void put_totals(struct buffer *text, const struct metrics_counts *counts)
{
    static const struct {
        const char *name, *help;
    } totals[STATISTICS_COUNTERS] = {
        [STATISTICS_ACCEPTED] = {"messages_accepted_total", "Messages that are on disk."},
        [STATISTICS_DELIVERED] = {"recipients_delivered_total",
                                  "Recipients whose mail is in a Maildir here."},
        [STATISTICS_RELAYED] = {"recipients_relayed_total",
                                "Recipients whose mail another server took."},
        [STATISTICS_DEFERRED] = {"attempts_deferred_total",
                                 "Attempts for one recipient that are to be repeated."},
        [STATISTICS_BOUNCED] = {"recipients_bounced_total", "Recipients given up."},
        [STATISTICS_REFUSED] = {"refused_total",
                                "Recipients, senders and messages that we refused."},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(totals); i++)
        put_single(text, totals[i].name, "counter", totals[i].help, counts->totals[i]);
}

static void put_refusals(struct buffer *text, const struct metrics_counts *counts)
{
    static const char *const refusers[STATISTICS_REFUSERS] = {
        [STATISTICS_BY_US] = "us", [STATISTICS_BY_OTHERS] = "others"};
    put_head(text, "refusals_total", "counter",
             "What was refused, at once or for now, by who refused it and why.");
    for (unsigned by = 0; by < STATISTICS_REFUSERS; by++)
        for (unsigned i = 0; i < STATISTICS_CLASSES; i++)
            buffer_append_format(text, "staffetta_refusals_total{by=\"%s\",class=\"%s\"} %llu\n",
                                 refusers[by], statistics_classes[i],
                                 (unsigned long long)counts->refusals[by][i]);
}

/* Milliseconds as seconds, without trailing zeros. */
static void put_seconds(struct buffer *text, uint64_t ms)
{
    uint64_t part = ms % 1000;
    int digits = part % 100 == 0 ? 1 : part % 10 == 0 ? 2 : 3;
    buffer_append_format(text, "%llu", (unsigned long long)(ms / 1000));
    for (int i = digits; i < 3; i++)
        part /= 10;
    if (part > 0)
        buffer_append_format(text, ".%0*llu", digits, (unsigned long long)part);
}

/* Of the spans of statistics_count.h one in four bounds a bucket: each is twice the one before. */
static void put_histogram(struct buffer *text, const char *way,
                          const uint64_t spans[STATISTICS_SPANS])
{
    uint64_t count = 0, sum_ms = 0;
    for (unsigned span = 0; span < STATISTICS_SPANS; span++) {
        uint64_t end_ms = statistics_span_end(span);
        count += spans[span];
        sum_ms += spans[span] * end_ms;
        if (span % 4 != 3 || span + 1 == STATISTICS_SPANS)
            continue;
        buffer_append_format(text, "staffetta_delay_seconds_bucket{way=\"%s\",le=\"", way);
        put_seconds(text, end_ms);
        buffer_append_format(text, "\"} %llu\n", (unsigned long long)count);
    }
    buffer_append_format(text,
                         "staffetta_delay_seconds_bucket{way=\"%s\",le=\"+Inf\"} %llu\n"
                         "staffetta_delay_seconds_sum{way=\"%s\"} ",
                         way, (unsigned long long)count, way);
    put_seconds(text, sum_ms);
    buffer_append_format(text, "\nstaffetta_delay_seconds_count{way=\"%s\"} %llu\n", way,
                         (unsigned long long)count);
}

static void put_counts(struct buffer *text, const struct metrics_counts *counts)
{
    put_totals(text, counts);
    put_refusals(text, counts);
    put_head(text, "delay_seconds", "histogram",
             "From acceptance to delivery or to the other server, by recipient; the sum is at most "
             "a quarter too long.");
    put_histogram(text, "delivered", counts->delays[METRICS_DELIVERED]);
    put_histogram(text, "relayed", counts->delays[METRICS_RELAYED]);
    put_single(text, "events_total", "counter", "Events that were logged.", counts->events);
    put_single(text, "events_lost_total", "counter",
               "Events that were lost, because the journal did not follow.", counts->events_lost);
}

/* --- What the master knows ------------------------------------------------------------------- */

static void put_kinds(struct buffer *text, const struct role_census *census, const char *name,
                      const char *type, const char *help,
                      uint64_t (*value)(const struct role_census_kind *kind))
{
    put_head(text, name, type, help);
    for (unsigned kind = ROLE_MASTER + 1; kind < ROLE_KINDS; kind++)
        buffer_append_format(text, "staffetta_%s{role=\"%s\"} %llu\n", name, role_kind_name(kind),
                             (unsigned long long)value(&census->kinds[kind]));
}

static uint64_t ready_of(const struct role_census_kind *kind)
{
    return kind->ready;
}

static uint64_t wanted_of(const struct role_census_kind *kind)
{
    return kind->wanted;
}

static uint64_t restarts_of(const struct role_census_kind *kind)
{
    return kind->restarts;
}

static uint64_t sessions_of(const struct role_census_kind *kind)
{
    return kind->sessions;
}

static void put_census(struct buffer *text, const struct role_census *census)
{
    put_single(text, "start_time_seconds", "gauge", "When the server was started, since 1970.",
               census->started_s);
    put_single(text, "queue_messages", "gauge", "Messages in the queue.", census->queued);
    put_single(text, "queue_held_messages", "gauge", "Of those, the ones that are held.",
               census->held);
    put_single(text, "drop_messages", "gauge", "Messages of programs that wait on disk.",
               census->drop_waiting);
    put_single(text, "drop_refused_messages", "gauge",
               "Those that were refused, and whose sender could not be told.",
               census->drop_refused);
    put_kinds(text, census, "role_processes", "gauge", "Processes that are ready.", ready_of);
    put_kinds(text, census, "role_processes_wanted", "gauge",
              "Processes that should stand; 0 for those that come with accounts.", wanted_of);
    put_kinds(text, census, "role_restarts_total", "counter",
              "Processes that died and were started again.", restarts_of);
    put_kinds(text, census, "role_sessions", "gauge", "Open sessions.", sessions_of);
}

void metrics_text_format(const struct metrics_view *view, struct buffer *text)
{
    if (view->counts)
        put_counts(text, view->counts);
    if (view->census)
        put_census(text, view->census);
}

bool metrics_text_is_healthy(const struct role_census *census, struct buffer *text)
{
    bool healthy = true;
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++) {
        const struct role_census_kind *found = &census->kinds[kind];
        if (found->ready >= found->wanted)
            continue;
        healthy = false;
        buffer_append_format(text, "%s: %u of %u\n", role_kind_name(kind), found->ready,
                             found->wanted);
    }
    return healthy;
}
