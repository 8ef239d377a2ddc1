/* Promises of ctl/journal/statistics.h, statistics_count.h and statistics_report.h: each event
 * counts once, where it belongs and only from the role it is the affair of; what is counted is
 * kept, bounded, and told in three forms. */
#include "tests/unit/test.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/role/role_kind.h"
#include "common/size.h"
#include "ctl/journal/history.h"
#include "ctl/journal/statistics_report.h"

enum { DAY = 20000 }; /* 2024-10-04 */
static const uint64_t day_us = 86400000000U;
static const uint64_t noon = DAY * 86400000000U + 43200000000U;

static struct error test_error;

static void check_ok(bool succeeded, const char *file, int line)
{
    if (succeeded)
        return;
    print_error("%s\n", test_error.text);
    _fail(file, line);
}

#define assert_ok(call) check_ok((call), __FILE__, __LINE__)

/* ---- what an event counts ---- */

struct said {
    unsigned role_kind;
    const char *event;
    const char *keys[4];
    const char *values[4];
};

static struct log_entry entry_of(const struct said *said, uint64_t time_us)
{
    struct log_entry entry = {.time_us = time_us, .event = slice_of_string(said->event)};
    for (size_t i = 0; i < 4 && said->keys[i]; i++) {
        entry.keys[i] = slice_of_string(said->keys[i]);
        entry.fields[i].type = LOG_FIELD_BYTES;
        entry.fields[i].bytes = slice_of_string(said->values[i]);
        entry.field_count++;
    }
    return entry;
}

static bool write_down(void *context, enum statistics_table table, struct slice name,
                       unsigned index)
{
    buffer_append_format(context, "%u:%.*s:%u ", table, SLICE_PRINTF(name), index);
    return true;
}

/* The origin is "Bob@Here.test", 1500 ms before: span 37 is 1280 to 1535. */
static void counts_each_event_where_it_belongs(void **state)
{
    (void)state;
    static const struct {
        struct said said;
        const char *counted;
    } cases[] = {
        {{ROLE_QUEUE, "queued", {"queue_id", "from"}, {"00000001", "A@B.test"}},
         "1::0 3:a@b.test:0 "},
        {{ROLE_QUEUE, "queued", {"queue_id", "from"}, {"00000001", ""}}, "1::0 3:<>:0 "},
        {{ROLE_QUEUE, "queued", {"queue_id", "from", "domains"}, {"00000001", "", "Y.test:1"}},
         "1::0 3:<>:0 2:y.test:0 "},
        {{ROLE_QUEUE, "queued_domains", {"domains"}, {"y.test:2 [IPv6:::1]:1 :1"}},
         "2:y.test:0 2:y.test:0 2:[ipv6:::1]:0 2:(no domain):0 "},
        {{ROLE_QUEUE, "queued_domains", {"domains"}, {"y.test a:x b:1001 c: :"}}, ""},
        {{ROLE_SMTP, "queued_domains", {"domains"}, {"y.test:1"}}, ""},
        /* Of RCPT alone nothing has come yet. */
        {{ROLE_SMTP, "recipient", {"to"}, {"x@Y.test"}}, ""},
        {{ROLE_DELIVER, "delivered", {"to"}, {"x@y.test"}},
         "1::1 2:y.test:1 3:bob@here.test:1 6:delivered:37 "},
        {{ROLE_DELIVER, "delivered", {"to"}, {"postmaster"}},
         "1::1 2:(no domain):1 3:bob@here.test:1 6:delivered:37 "},
        {{ROLE_DELIVER, "not_delivered", {"result"}, {"4.2.2 full"}}, "5:full:0 "},
        {{ROLE_RELAY, "relayed", {"to", "host"}, {"x@y.test", "a.mx.Big.co.uk [192.0.2.1]"}},
         "1::2 2:y.test:2 3:bob@here.test:2 4:big.co.uk:2 7:y.test:4 6:relayed:37 "},
        {{ROLE_RELAY, "relayed", {"to", "tls", "verified"}, {"x@y.test", "TLSv1.3", "dane"}},
         "1::2 2:y.test:2 3:bob@here.test:2 7:y.test:0 6:relayed:37 "},
        {{ROLE_RELAY,
          "relayed",
          {"to", "tls", "verified", "demanded_by"},
          {"x@y.test", "TLSv1.3", "name", "mta-sts"}},
         "1::2 2:y.test:2 3:bob@here.test:2 7:y.test:1 6:relayed:37 "},
        {{ROLE_RELAY, "relayed", {"to", "tls", "verified"}, {"x@y.test", "TLSv1.3", "name"}},
         "1::2 2:y.test:2 3:bob@here.test:2 7:y.test:2 6:relayed:37 "},
        {{ROLE_RELAY, "relayed", {"to", "tls", "verified"}, {"x@y.test", "TLSv1.2", "no"}},
         "1::2 2:y.test:2 3:bob@here.test:2 7:y.test:3 6:relayed:37 "},
        {{ROLE_RELAY, "relayed", {"to", "tls"}, {"x@y.test", "none"}},
         "1::2 2:y.test:2 3:bob@here.test:2 7:y.test:4 6:relayed:37 "},
        {{ROLE_RELAY, "relayed", {"to", "tls"}, {"https://y.test/@x", "none"}}, ""},
        {{ROLE_RELAY,
          "connection_failed",
          {"destination", "tls_result"},
          {"Y.test", "certificate-expired"}},
         "7:y.test:5 8:certificate-expired:0 "},
        {{ROLE_RELAY, "connection_failed", {"destination", "tls_result"}, {"y.test", ""}}, ""},
        {{ROLE_RELAY, "no_target", {"destination", "tls_result"}, {"y.test", "dnssec-invalid"}},
         "7:y.test:5 8:dnssec-invalid:0 "},
        {{ROLE_FETCH,
          "policy_not_fetched",
          {"domain", "tls_result"},
          {"y.test", "sts-policy-fetch-error"}},
         "7:y.test:5 8:sts-policy-fetch-error:0 "},
        {{ROLE_RELAY, "not_relayed", {"result", "host"}, {"5.1.1 who", "mx.big.com. [::1]"}},
         "5:unknown user:1 4:big.com:5 "},
        {{ROLE_RELAY, "not_relayed", {"result", "host"}, {"4.4.1 no way", ""}}, "5:network:1 "},
        {{ROLE_RELAY, "not_relayed", {"result", "host"}, {"5.7.1 no", "[192.0.2.1]"}},
         "5:policy:1 4:[192.0.2.1]:5 "},
        {{ROLE_RELAY, "not_relayed", {"result", "host"}, {"5.7.1 no", "192.0.2.1 [192.0.2.1]"}},
         "5:policy:1 4:192.0.2.1:5 "},
        {{ROLE_QUEUE, "deferred", {"destination"}, {"y.test"}},
         "1::3 2:y.test:3 3:bob@here.test:3 "},
        {{ROLE_QUEUE, "failed", {"account"}, {"carol@y.test"}},
         "1::4 2:y.test:4 3:bob@here.test:4 "},
        /* The domain is the recipient's, as where it was accepted, whatever route it takes. */
        {{ROLE_QUEUE, "deferred", {"destination", "to"}, {"=smarthost", "x@y.test"}},
         "1::3 2:y.test:3 3:bob@here.test:3 "},
        {{ROLE_QUEUE, "failed", {"account", "to"}, {"carol", "x@y.test"}},
         "1::4 2:y.test:4 3:bob@here.test:4 "},
        {{ROLE_QUEUE, "failed", {"destination", "to"}, {"y.test", "https://y.test/tls"}}, ""},
        {{ROLE_QUEUE, "deferred", {"copy", "to"}, {"yes", "x@y.test"}}, ""},
        {{ROLE_SMTP, "recipient_refused", {"enhanced"}, {"5.1.1"}}, "1::5 5:unknown user:0 "},
        {{ROLE_SMTP, "message_refused", {"enhanced"}, {"5.6.11"}}, "1::5 5:other:0 "},
        {{ROLE_SUBMISSION, "sender_refused", {"from"}, {"a@b"}}, "1::5 5:policy:0 "},
        /* Nobody else's affair: a captured role cannot make up numbers of others. */
        {{ROLE_SMTP, "delivered", {"to"}, {"x@y.test"}}, ""},
        {{ROLE_QUEUE, "relayed", {"destination"}, {"y.test"}}, ""},
        {{ROLE_RELAY, "queued", {"from"}, {"x@y.test"}}, ""},
        /* No name breaks a line or the terminal of who reads it. */
        {{ROLE_QUEUE, "queued_domains", {"domains"}, {"y\n\x1b[31m\xff:1"}}, "2:y??[31m?:0 "},
        {{ROLE_QUEUE,
          "queued_domains",
          {"domains"},
          {"b\xc3\xbc"
           "cher.test:1"}},
         "2:b\xc3\xbc"
         "cher.test:0 "},
    };
    const struct statistics_origin origin = {.is_known = true,
                                             .accepted_us = noon - 1500000,
                                             .sender_octets = 13,
                                             .sender = "Bob@Here.test"};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer counted = BUFFER_WITH_LIMIT(1000);
        struct log_entry entry = entry_of(&cases[i].said, noon);
        assert_true(
            statistics_count(cases[i].said.role_kind, &entry, &origin, write_down, &counted));
        assert_slice_is(buffer_slice(&counted), cases[i].counted);
        buffer_clear(&counted);
    }
}

static void classes_follow_the_status_code(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"5.1.1 no such user", "unknown user"},
        {"5.1.10", "unknown user"},
        {"5.2.1 disabled", "unknown user"},
        {"4.2.1 too often", "rate"},
        {"4.2.0 greylisted", "rate"},
        {"4.2.2", "full"},
        {"5.3.1", "full"},
        {"4.4.2", "network"},
        {"5.4.4", "network"},
        {"4.5.3", "rate"},
        {"5.7.1 spam", "policy"},
        {"5.7.8", "authentication"},
        {"5.7.23 SPF", "authentication"},
        {"5.7.26", "authentication"},
        {"4.7.25", "authentication"},
        {"4.7.1 greylisted", "rate"},
        {"5.7.28", "rate"},
        {"5.6.11", "other"},
        {"2.1.5", "other"},
        {"5.1", "other"},
        {"5.x.1", "other"},
        {"550 no", "other"},
        {"", "other"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_string_equal(statistics_refusal_class(slice_of_string(cases[i][0])), cases[i][1]);
}

static void spans_cover_every_delay(void **state)
{
    (void)state;
    for (unsigned span = 0; span + 1 < STATISTICS_SPANS; span++) {
        uint64_t end = statistics_span_end(span);
        assert_int_equal(statistics_span(end), span);
        assert_int_equal(statistics_span(end + 1), span + 1);
        uint64_t width = span == 0 ? 1 : end - statistics_span_end(span - 1);
        assert_true(width == 1 || width * 4 <= end); /* at most a quarter too long */
    }
    assert_int_equal(statistics_span(UINT64_MAX), STATISTICS_SPANS - 1);
    assert_true(statistics_span_end(STATISTICS_SPANS - 2) > 30 * day_us / 1000);
}

/* ---- what is kept ---- */

struct fixture {
    char directory[64];
    int pair[2];
    struct log log;
    struct db *db;
    struct statistics *statistics;
    struct buffer text;
};

static void open_all(struct fixture *fixture)
{
    const struct db_options options = {.directory = fixture->directory, .cache_octets = 262144};
    assert_ok(db_open(&options, &fixture->db, &test_error));
    assert_ok(statistics_open(fixture->db, NULL, NULL, &fixture->statistics, &test_error));
}

static void close_all(struct fixture *fixture)
{
    statistics_free(fixture->statistics);
    db_close(fixture->db);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    make_test_directory(fixture->directory, sizeof(fixture->directory));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fixture->pair), 0);
    log_init(&fixture->log, fixture->pair[0], "test");
    buffer_init(&fixture->text, 8 << 20);
    open_all(fixture);
    *state = fixture;
    return 0;
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *where)
{
    (void)facts;
    (void)kind;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    close_all(fixture);
    nftw(fixture->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    fd_discard(&fixture->pair[0]);
    fd_discard(&fixture->pair[1]);
    buffer_clear(&fixture->text);
    free(fixture);
    return 0;
}

/* Through a socket, as an event comes; its time is changed. */
static void note(struct fixture *fixture, struct said said, uint64_t time_us, uint64_t now_us)
{
    uint8_t record[4096];
    struct log_field fields[4];
    struct log_entry entry;
    size_t count = 0;
    for (; count < 4 && said.keys[count]; count++)
        fields[count] = log_bytes(said.keys[count], slice_of_string(said.values[count]));
    log_event(&fixture->log, LOG_INFO, said.event, fields, count);
    ssize_t got = recv(fixture->pair[1], record, sizeof(record), 0);
    assert_true(got > 0);
    struct slice octets = slice_of(record, (size_t)got);
    assert_true(log_entry_parse(octets, &entry, NULL));
    entry.time_us = time_us;
    assert_ok(
        statistics_note(fixture->statistics, said.role_kind, octets, &entry, now_us, &test_error));
}

static void commit(struct fixture *fixture)
{
    assert_ok(db_begin(fixture->db, &test_error));
    assert_ok(statistics_write(fixture->statistics, &test_error));
    assert_ok(db_commit(fixture->db, &test_error));
    statistics_settle(fixture->statistics, true);
}

static void note_message(struct fixture *fixture, const char *id, const char *to, uint64_t at)
{
    note(fixture, (struct said){ROLE_QUEUE, "queued", {"queue_id", "from"}, {id, "a@b.test"}}, at,
         at);
    note(fixture, (struct said){ROLE_DELIVER, "delivered", {"queue_id", "to"}, {id, to}}, at + 5000,
         at);
}

static void expect_report(struct fixture *fixture, enum statistics_form form, uint32_t days,
                          const char *text)
{
    const struct statistics_question question = {days, form};
    buffer_reset(&fixture->text);
    assert_ok(statistics_report(fixture->statistics, &question, DAY, &fixture->text, &test_error));
    assert_slice_is(buffer_slice(&fixture->text), text);
}

static const char two_messages[] = "day,table,name,what,count\n"
                                   "2024-10-04,days,\"\",accepted,2\n"
                                   "2024-10-04,days,\"\",delivered,2\n"
                                   "2024-10-04,domains,\"c.test\",delivered,1\n"
                                   "2024-10-04,domains,\"d.test\",delivered,1\n"
                                   "2024-10-04,senders,\"a@b.test\",accepted,2\n"
                                   "2024-10-04,senders,\"a@b.test\",delivered,2\n"
                                   "2024-10-04,delays,\"delivered\",5,2\n";

static void adds_up_over_commits_and_lives(void **state)
{
    struct fixture *fixture = *state;
    note_message(fixture, "00000001", "x@c.test", noon);
    assert_true(statistics_is_waiting(fixture->statistics));
    commit(fixture);
    assert_false(statistics_is_waiting(fixture->statistics));
    close_all(fixture);
    open_all(fixture);
    note_message(fixture, "00000002", "x@d.test", noon);
    commit(fixture);
    expect_report(fixture, STATISTICS_CSV, 1, two_messages);
}

static void what_was_not_committed_waits_on(void **state)
{
    struct fixture *fixture = *state;
    note_message(fixture, "00000001", "x@c.test", noon);
    assert_ok(db_begin(fixture->db, &test_error));
    assert_ok(statistics_write(fixture->statistics, &test_error));
    db_abort(fixture->db);
    statistics_settle(fixture->statistics, false);
    note_message(fixture, "00000002", "x@d.test", noon);
    commit(fixture);
    expect_report(fixture, STATISTICS_CSV, 1, two_messages);
}

/* The day of what waited is that of the record, so these are of today. */
static void waits_for_an_origin_that_comes_later(void **state)
{
    struct fixture *fixture = *state;
    uint64_t now = (uint64_t)time(NULL) * 1000000;
    const struct statistics_question question = {1, STATISTICS_CSV};
    note(fixture,
         (struct said){ROLE_DELIVER, "delivered", {"queue_id", "to"}, {"00000001", "x@c.test"}},
         now, now);
    note(fixture,
         (struct said){ROLE_DELIVER, "delivered", {"queue_id", "to"}, {"00000002", "x@c.test"}},
         now, now);
    commit(fixture);
    assert_true(statistics_is_waiting(fixture->statistics));
    note(fixture, (struct said){ROLE_QUEUE, "queued", {"queue_id", "from"}, {"00000001", "a@b"}},
         now, now);
    commit(fixture);
    assert_false(statistics_is_waiting(fixture->statistics));
    assert_ok(statistics_report(fixture->statistics, &question, (uint32_t)(now / day_us),
                                &fixture->text, &test_error));
    struct slice text = buffer_slice(&fixture->text);
    assert_true(slice_find(text, SLICE(",senders,\"a@b\",delivered,1\n")) < text.len);
    assert_true(slice_find(text, SLICE(",senders,\"<>\",delivered,1\n")) < text.len);
    assert_true(slice_find(text, SLICE(",domains,\"c.test\",delivered,2\n")) < text.len);
}

/* Of the domains of a day most end up under one name; nothing is uncounted. */
static void names_of_a_day_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < STATISTICS_ROWS_MAX + 100; i++) {
        char domains[64];
        snprintf(domains, sizeof(domains), "%06d.test:1", i);
        note(fixture, (struct said){ROLE_QUEUE, "queued_domains", {"domains"}, {domains}}, noon,
             noon);
        if (statistics_is_full(fixture->statistics))
            commit(fixture);
    }
    commit(fixture);
    const struct statistics_question question = {1, STATISTICS_CSV};
    assert_ok(statistics_report(fixture->statistics, &question, DAY, &fixture->text, &test_error));
    struct slice text = buffer_slice(&fixture->text);
    assert_true(slice_find(text, SLICE("\"(others)\",accepted,100\n")) < text.len);
    assert_true(slice_find(text, SLICE("\"004999.test\"")) < text.len);
    assert_true(slice_find(text, SLICE("\"005000.test\"")) == text.len);
}

static void a_clock_far_off_is_not_believed(void **state)
{
    struct fixture *fixture = *state;
    note(fixture, (struct said){ROLE_QUEUE, "queued_domains", {"domains"}, {"y.test:1"}}, 17, noon);
    note(fixture, (struct said){ROLE_QUEUE, "queued_domains", {"domains"}, {"y.test:1"}},
         UINT64_MAX, noon);
    note(fixture, (struct said){ROLE_QUEUE, "queued_domains", {"domains"}, {"y.test:1"}},
         noon - day_us, noon);
    commit(fixture);
    expect_report(fixture, STATISTICS_CSV, 30,
                  "day,table,name,what,count\n"
                  "2024-10-03,domains,\"y.test\",accepted,1\n"
                  "2024-10-04,domains,\"y.test\",accepted,2\n");
}

static void old_days_go(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned back = 4; back-- > 0;)
        note(fixture, (struct said){ROLE_QUEUE, "queued_domains", {"domains"}, {"y.test:1"}},
             noon - back * day_us, noon - back * day_us);
    commit(fixture);
    assert_ok(db_begin(fixture->db, &test_error));
    assert_ok(statistics_prune(fixture->statistics, noon, 2 * day_us, &test_error));
    assert_ok(db_commit(fixture->db, &test_error));
    expect_report(fixture, STATISTICS_CSV, 30,
                  "day,table,name,what,count\n"
                  "2024-10-02,domains,\"y.test\",accepted,1\n"
                  "2024-10-03,domains,\"y.test\",accepted,1\n"
                  "2024-10-04,domains,\"y.test\",accepted,1\n");
}

/* ---- how it is told ---- */

static void speaks_json(void **state)
{
    struct fixture *fixture = *state;
    note(fixture, (struct said){ROLE_QUEUE, "queued", {"queue_id", "from"}, {"1", "\"a\\b\"@c"}},
         noon, noon);
    for (int i = 0; i < 100; i++)
        note_message(fixture, "00000001", "x@c.test", noon);
    commit(fixture);
    expect_report(
        fixture, STATISTICS_JSON, 1,
        "{\"days\":[\n{\"name\":\"2024-10-04\",\"accepted\":101,\"delivered\":100,\"relayed\":0,"
        "\"deferred\":0,\"bounced\":0,\"refused\":0}],\n"
        "\"domains\":[\n{\"name\":\"c.test\",\"accepted\":0,\"delivered\":100,\"relayed\":0,"
        "\"deferred\":0,\"bounced\":0}],\n"
        "\"senders\":[\n{\"name\":\"a@b.test\",\"accepted\":100,\"delivered\":100,\"relayed\":0,"
        "\"deferred\":0,\"bounced\":0},\n"
        "{\"name\":\"\\u0022a\\u005cb\\u0022@c\",\"accepted\":1,\"delivered\":0,\"relayed\":0,"
        "\"deferred\":0,\"bounced\":0}],\n"
        "\"operators\":[],\n\"refusals\":[],\n\"tls\":[],\n\"tls_failures\":[],\n"
        "\"delay_ms\":{\"delivered\":{\"count\":100,\"p50\":5,\"p90\":5,\"p99\":5},"
        "\"relayed\":{\"count\":0}}}\n");
}

static void speaks_to_people(void **state)
{
    struct fixture *fixture = *state;
    expect_report(fixture, STATISTICS_FOR_PEOPLE, 1, "No mail was seen in these days.\n");
    note_message(fixture, "00000001", "x@c.test", noon - day_us);
    note_message(fixture, "00000002", "x@c.test", noon);
    commit(fixture);
    expect_report(fixture, STATISTICS_FOR_PEOPLE, 2,
                  "day (UTC)                              accepted  delivered    relayed"
                  "   deferred    bounced    refused\n"
                  "2024-10-03                                    1          1          0"
                  "          0          0          0\n"
                  "2024-10-04                                    1          1          0"
                  "          0          0          0\n"
                  "all                                           2          2          0"
                  "          0          0          0\n\n"
                  "receiver domain                        accepted  delivered    relayed"
                  "   deferred    bounced\n"
                  "c.test                                        0          2          0"
                  "          0          0\n\n"
                  "sender                                 accepted  delivered    relayed"
                  "   deferred    bounced\n"
                  "a@b.test                                      2          2          0"
                  "          0          0\n\n"
                  "seconds until                               p50        p90        p99\n"
                  "delivered                                 0.005      0.005      0.005\n");
}

static void understands_its_options(void **state)
{
    (void)state;
    static const struct {
        struct slice words[3];
        size_t count;
        bool good;
        uint32_t days;
        enum statistics_form form;
    } cases[] = {
        {{{0}}, 0, true, 7, STATISTICS_FOR_PEOPLE},
        {{{(const uint8_t *)"--csv", 5}}, 1, true, 7, STATISTICS_CSV},
        {{{(const uint8_t *)"--days", 6},
          {(const uint8_t *)"30", 2},
          {(const uint8_t *)"--json", 6}},
         3,
         true,
         30,
         STATISTICS_JSON},
        {{{(const uint8_t *)"--days", 6}}, 1, false, 0, 0},
        {{{(const uint8_t *)"--days", 6}, {(const uint8_t *)"0", 1}}, 2, false, 0, 0},
        {{{(const uint8_t *)"--days", 6}, {(const uint8_t *)"4000", 4}}, 2, false, 0, 0},
        {{{(const uint8_t *)"--days", 6}, {(const uint8_t *)"x", 1}}, 2, false, 0, 0},
        {{{(const uint8_t *)"week", 4}}, 1, false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct statistics_question question;
        assert_int_equal(statistics_question_parse(cases[i].words, cases[i].count, &question),
                         cases[i].good);
        if (!cases[i].good)
            continue;
        assert_int_equal(question.days, cases[i].days);
        assert_int_equal(question.form, cases[i].form);
    }
}

/* ---- with the history ---- */

/* More messages come between a message and its delivery than origins are remembered. */
static void an_origin_is_found_in_the_history(void **state)
{
    (void)state;
    char directory[64];
    make_test_directory(directory, sizeof(directory));
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    struct log log;
    log_init(&log, pair[0], "test");
    struct history *history;
    const struct history_options options = {
        .directory = directory, .age_us = 30 * day_us, .octets_max = 1 << 30};
    assert_ok(history_open(&options, &history, &test_error));
    for (int i = 0; i <= 1000; i++) {
        uint8_t record[4096];
        struct log_entry entry;
        char id[32], from[32];
        snprintf(id, sizeof(id), "%013d", i % 1000);
        snprintf(from, sizeof(from), "%d@b.test", i);
        if (i < 1000)
            LOG(&log, LOG_INFO, "queued", log_id("queue_id", id),
                log_bytes("from", slice_of_string(from)));
        else
            LOG(&log, LOG_INFO, "delivered", log_id("queue_id", id),
                log_bytes("to", SLICE("x@c.test")));
        ssize_t got = recv(pair[1], record, sizeof(record), 0);
        assert_true(got > 0);
        struct slice octets = slice_of(record, (size_t)got);
        assert_true(log_entry_parse(octets, &entry, NULL));
        assert_ok(history_note(history, i < 1000 ? ROLE_QUEUE : ROLE_DELIVER, octets, &entry,
                               &test_error));
    }
    history_close(history);
    assert_ok(history_open(&options, &history, &test_error));
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    const struct statistics_question question = {3000, STATISTICS_CSV};
    assert_ok(statistics_report(history_statistics(history), &question,
                                (uint32_t)(time(NULL) / 86400), &text, &test_error));
    struct slice told = buffer_slice(&text);
    assert_true(slice_find(told, SLICE(",senders,\"0@b.test\",delivered,1\n")) < told.len);
    assert_true(slice_find(told, SLICE(",days,\"\",accepted,1000\n")) < told.len);
    assert_true(slice_find(told, SLICE(",delays,\"delivered\",")) < told.len);
    buffer_clear(&text);
    history_close(history);
    fd_discard(&pair[0]);
    fd_discard(&pair[1]);
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_each_event_where_it_belongs),
        cmocka_unit_test(classes_follow_the_status_code),
        cmocka_unit_test(spans_cover_every_delay),
        cmocka_unit_test_setup_teardown(adds_up_over_commits_and_lives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_committed_waits_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waits_for_an_origin_that_comes_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_of_a_day_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clock_far_off_is_not_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_days_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(speaks_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(speaks_to_people, set_up, tear_down),
        cmocka_unit_test(understands_its_options),
        cmocka_unit_test(an_origin_is_found_in_the_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
