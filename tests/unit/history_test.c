/* Promises of ctl/journal/history.h and ctl/journal/story.h: what is noted is found by id and by
 * name, in order, also after the process ended; what is too old or too much goes, whole messages at
 * a time. */
#include "tests/unit/test.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/role/role_kind.h"
#include "common/size.h"
#include "ctl/journal/history.h"
#include "ctl/journal/story.h"

static struct error test_error;

static void check_ok(bool succeeded, const char *file, int line)
{
    if (succeeded)
        return;
    print_error("%s\n", test_error.text);
    _fail(file, line);
}

#define assert_ok(call) check_ok((call), __FILE__, __LINE__)

struct fixture {
    char directory[64];
    struct history *history;
    int pair[2];
    struct log log;
    struct buffer text; /* what tell() gathered */
};

static struct history *open_history(const char *directory, uint64_t age_us, uint64_t octets_max)
{
    struct history *history;
    const struct history_options options = {
        .directory = directory, .age_us = age_us, .octets_max = octets_max};
    assert_ok(history_open(&options, &history, &test_error));
    return history;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    make_test_directory(fixture->directory, sizeof(fixture->directory));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fixture->pair), 0);
    log_init(&fixture->log, fixture->pair[0], "test");
    buffer_init(&fixture->text, 1 << 20);
    fixture->history = open_history(fixture->directory, 1000000, 1 << 30);
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
    history_close(fixture->history);
    nftw(fixture->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    fd_discard(&fixture->pair[0]);
    fd_discard(&fixture->pair[1]);
    buffer_clear(&fixture->text);
    free(fixture);
    return 0;
}

/* Says an event and notes what arrives; its time is changed to `time_us`. */
static void note(struct fixture *fixture, const char *event, const char *id, const char *to,
                 uint64_t time_us)
{
    uint8_t record[4096];
    struct log_entry entry;
    LOG(&fixture->log, LOG_INFO, event, log_id("queue_id", id),
        log_bytes("to", slice_of_string(to)), log_number("octets", 7));
    ssize_t got = recv(fixture->pair[1], record, sizeof(record), 0);
    assert_true(got > 0);
    assert_true(log_entry_parse(slice_of(record, (size_t)got), &entry, NULL));
    entry.time_us = time_us;
    assert_ok(history_note(fixture->history, ROLE_QUEUE, slice_of(record, (size_t)got), &entry,
                           &test_error));
}

static bool tell(void *context, unsigned role_kind, const struct log_entry *entry)
{
    struct fixture *fixture = context;
    assert_int_equal(role_kind, ROLE_QUEUE);
    buffer_append(&fixture->text, entry->event);
    buffer_append_octet(&fixture->text, ' ');
    return true;
}

static void expect_story(struct fixture *fixture, const char *id, const char *events)
{
    buffer_reset(&fixture->text);
    assert_ok(
        history_read(fixture->history, slice_of_string(id), NULL, tell, fixture, &test_error));
    assert_slice_is(buffer_slice(&fixture->text), events);
}

static void expect_found(struct fixture *fixture, const char *name, int count, const char *first)
{
    char ids[3][HISTORY_ID_MAX + 1];
    assert_int_equal(history_find(fixture->history, slice_of_string(name), 3, ids, &test_error),
                     count);
    if (count > 0)
        assert_string_equal(ids[0], first);
}

static void tells_part_by_part(void **state)
{
    struct fixture *fixture = *state;
    struct history_part part = {.most = 2};
    note(fixture, "one", "ID000001", "a@b", 1);
    note(fixture, "two", "ID000001", "a@b", 2);
    note(fixture, "three", "ID000001", "a@b", 3);
    note(fixture, "other", "ID000002", "a@b", 1);
    buffer_reset(&fixture->text);
    assert_ok(history_read(fixture->history, SLICE("ID000001"), &part, tell, fixture, &test_error));
    assert_slice_is(buffer_slice(&fixture->text), "one two ");
    assert_true(part.more);
    note(fixture, "four", "ID000001", "a@b", 4);
    assert_ok(history_read(fixture->history, SLICE("ID000001"), &part, tell, fixture, &test_error));
    assert_true(part.more);
    assert_ok(history_read(fixture->history, SLICE("ID000001"), &part, tell, fixture, &test_error));
    assert_slice_is(buffer_slice(&fixture->text), "one two three four ");
    assert_false(part.more);
}

static void tells_in_order_of_time(void **state)
{
    struct fixture *fixture = *state;
    note(fixture, "second", "0000000000001", "bob@demo.test", 20);
    note(fixture, "other", "0000000000002", "bob@demo.test", 15);
    note(fixture, "first", "0000000000001", "bob@demo.test", 10);
    note(fixture, "third", "0000000000001", "bob@demo.test", 20);
    expect_story(fixture, "0000000000001", "first second third ");
    expect_story(fixture, "000000000000", "");
    expect_story(fixture, "00000000000012", "");
}

static void finds_by_name_in_any_case_newest_first(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 1; i <= 5; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%013d", i);
        note(fixture, "queued", id, i % 2 ? "Bob@Demo.test" : "<x@y>", 10);
    }
    expect_found(fixture, "bob@demo.TEST", 3, "0000000000005");
    expect_found(fixture, "<bob@demo.test>", 3, "0000000000005");
    expect_found(fixture, "x@y", 2, "0000000000004");
    expect_found(fixture, "bob@demo.tes", 0, NULL);
    expect_found(fixture, "", 0, NULL);
}

static void finds_the_newest_of_many(void **state)
{
    struct fixture *fixture = *state;
    char id[HISTORY_ID_MAX + 1];
    for (int i = 0; i < 300; i++) {
        snprintf(id, sizeof(id), "%013d", i);
        note(fixture, "queued", id, "bob@demo.test", (uint64_t)i);
    }
    note(fixture, "queued", "0000000009999", "bob@demo.test.example", 10);
    note(fixture, "queued", "0000000008888", "bob@demo.tes", 10);
    expect_found(fixture, "bob@demo.test", 3, "0000000000299");
    expect_found(fixture, "bob@demo.tes", 1, "0000000008888");
    expect_found(fixture, "bob@demo", 0, NULL);
}

static void survives_its_process(void **state)
{
    struct fixture *fixture = *state;
    note(fixture, "queued", "0000000000001", "bob@demo.test", 10);
    history_close(fixture->history);
    fixture->history = open_history(fixture->directory, 1000000, 1 << 30);
    expect_story(fixture, "0000000000001", "queued ");
    expect_found(fixture, "bob@demo.test", 1, "0000000000001");
}

/* As relay says what was said in an attempt: of some 5 KB, that begins with the number. */
static void note_attempt(struct fixture *fixture, const char *id, unsigned number)
{
    uint8_t record[32768];
    struct log_entry entry;
    char said[1024];
    memset(said, 'x', sizeof(said));
    snprintf(said, sizeof(said), "%04u", number);
    struct log_field fields[6] = {log_id("queue_id", id)};
    for (size_t i = 1; i < ARRAY_LENGTH(fields); i++)
        fields[i] = log_bytes("said", slice_of(said, sizeof(said)));
    log_detail(&fixture->log, "attempt", fields, ARRAY_LENGTH(fields));
    ssize_t got = recv(fixture->pair[1], record, sizeof(record), 0);
    assert_true(got > 0);
    assert_true(log_entry_parse(slice_of(record, (size_t)got), &entry, NULL));
    assert_int_equal(entry.level, LOG_DEBUG);
    entry.time_us = 1000 + number;
    assert_ok(history_note(fixture->history, ROLE_RELAY, slice_of(record, (size_t)got), &entry,
                           &test_error));
}

struct attempts {
    size_t count, others;
    unsigned first, last;
};

static bool count_attempts(void *context, unsigned role_kind, const struct log_entry *entry)
{
    struct attempts *attempts = context;
    (void)role_kind;
    if (!slice_equal(entry->event, SLICE("attempt"))) {
        attempts->others++;
        return true;
    }
    uint64_t number;
    assert_true(slice_parse_number(slice_range(entry->fields[1].bytes, 0, 4), &number));
    attempts->last = (unsigned)number;
    attempts->first = attempts->count++ == 0 ? attempts->last : attempts->first;
    return true;
}

static void prune(struct fixture *fixture, uint64_t now_us)
{
    bool more = true;
    for (int i = 0; more && i < 1000; i++)
        assert_ok(history_prune(fixture->history, now_us, &more, &test_error));
    assert_false(more);
}

static void drops_what_is_too_old_by_its_last_event(void **state)
{
    struct fixture *fixture = *state;
    note(fixture, "queued", "0000000000001", "bob@demo.test", 10);
    note(fixture, "queued", "0000000000002", "bob@demo.test", 10);
    note(fixture, "delivered", "0000000000001", "bob@demo.test", 2000000);
    prune(fixture, 2500000);
    expect_story(fixture, "0000000000001", "queued delivered ");
    expect_story(fixture, "0000000000002", "");
    expect_found(fixture, "bob@demo.test", 1, "0000000000001");
    prune(fixture, 9000000);
    expect_found(fixture, "bob@demo.test", 0, NULL);
}

static void drops_the_oldest_where_it_is_too_much(void **state)
{
    struct fixture *fixture = *state;
    history_close(fixture->history);
    fixture->history = open_history(fixture->directory, 1000000, 20000);
    for (int i = 0; i < 1000; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%013d", i);
        note(fixture, "queued", id, "bob@demo.test", 10);
    }
    prune(fixture, 20);
    expect_story(fixture, "0000000000000", "");
    expect_story(fixture, "0000000000999", "queued ");
    char ids[1000][HISTORY_ID_MAX + 1];
    int left = history_find(fixture->history, SLICE("bob@demo.test"), 1000, ids, &test_error);
    assert_in_range(left, 50, 200);
}

static void begins_anew_where_it_is_corrupt(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    note(fixture, "queued", "0000000000001", "bob@demo.test", 10);
    history_close(fixture->history);
    snprintf(path, sizeof(path), "%s/events.db", fixture->directory);
    assert_int_equal(truncate(path, 5000), 0);
    snprintf(path, sizeof(path), "%s/log.0000000001", fixture->directory);
    unlink(path);
    fixture->history = open_history(fixture->directory, 1000000, 1 << 30);
    note(fixture, "queued", "0000000000002", "bob@demo.test", 10);
    expect_story(fixture, "0000000000002", "queued ");
}

static void speaks_plainly(void **state)
{
    (void)state;
    struct log_entry entry = {.time_us = 1700000000123456,
                              .event = SLICE("failed"),
                              .fields = {{.type = LOG_FIELD_BYTES, .bytes = SLICE("a@b")},
                                         {.type = LOG_FIELD_BYTES,
                                          .bytes = SLICE("5.1.1 no\x01\n550-so\r550 it is\nmx")}},
                              .keys = {SLICE("to"), SLICE("reply")},
                              .field_count = 2};
    struct buffer out = BUFFER_WITH_LIMIT(1000);
    story_format(ROLE_QUEUE, &entry, &out);
    assert_slice_is(buffer_slice(&out),
                    "2023-11-14 22:13:20.123Z  given up for <a@b>: 5.1.1 no?; mx said: 550-so / "
                    "550 it is  [smtpd-queue]\n");
    buffer_reset(&out);
    entry.event = SLICE("unheard-of");
    entry.field_count = 1;
    story_format(ROLE_QUEUE, &entry, &out);
    assert_slice_is(buffer_slice(&out), "2023-11-14 22:13:20.123Z  event=unheard-of "
                                        "to=a@b  [smtpd-queue]\n");
    buffer_clear(&out);
}

/* Who wanted TLS, and what came of it where it failed, is told where somebody did or it did. */
static void tells_who_demanded_tls(void **state)
{
    (void)state;
    static const struct {
        const char *event, *verified, *demanded_by, *broken_tls, *words;
    } cases[] = {
        {"relayed", "name", "mta-sts", "",
         "sent to mx for <a@b>, TLSv1.3, certificate verified: name, TLS demanded by mta-sts: ok"},
        {"relayed", "no", "", "", "sent to mx for <a@b>, TLSv1.3, certificate verified: no: ok"},
        {"relayed", "", "", "bad record",
         "sent to mx for <a@b>, without TLS, which failed: bad record: ok"},
        {"not_relayed", "", "dane", "",
         "not sent to mx for <a@b>, TLS demanded by dane: 4.7.5 none; it said: ok"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        static const char *const keys[] = {"host",        "to",         "tls",    "verified",
                                           "demanded_by", "broken_tls", "result", "reply"};
        const char *const values[] = {"mx",
                                      "a@b",
                                      "TLSv1.3",
                                      cases[i].verified,
                                      cases[i].demanded_by,
                                      cases[i].broken_tls,
                                      "4.7.5 none",
                                      "ok"};
        struct log_entry entry = {.event = slice_of_string(cases[i].event), .field_count = 8};
        for (size_t j = 0; j < 8; j++) {
            entry.keys[j] = slice_of_string(keys[j]);
            entry.fields[j].type = LOG_FIELD_BYTES;
            entry.fields[j].bytes = slice_of_string(values[j]);
        }
        struct buffer out = BUFFER_WITH_LIMIT(1000), wanted = BUFFER_WITH_LIMIT(1000);
        story_format(ROLE_RELAY, &entry, &out);
        buffer_append_format(&wanted, "1970-01-01 00:00:00.000Z  %s  [smtpd-relay]\n",
                             cases[i].words);
        assert_slice_equal(buffer_slice(&out), buffer_slice(&wanted));
        buffer_clear(&out);
        buffer_clear(&wanted);
    }
}

/* Of what was said about a message the newest megabyte stays, and everything else of it. */
static void keeps_the_newest_attempts(void **state)
{
    struct fixture *fixture = *state;
    enum { ATTEMPTS = 300 };
    note(fixture, "queued", "ID000001", "a@b", 999);
    for (unsigned i = 0; i < ATTEMPTS; i++)
        note_attempt(fixture, "ID000001", i);
    note(fixture, "deferred", "ID000001", "a@b", 5000);
    prune(fixture, 6000);
    struct attempts attempts = {.count = 0};
    assert_ok(history_read(fixture->history, SLICE("ID000001"), NULL, count_attempts, &attempts,
                           &test_error));
    assert_int_equal(attempts.others, 2);
    assert_int_equal(attempts.last, ATTEMPTS - 1);
    assert_int_equal(attempts.first, ATTEMPTS - attempts.count);
    assert_in_range(attempts.count, 150, (1 << 20) / 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_the_newest_attempts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_in_order_of_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_part_by_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_by_name_in_any_case_newest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_the_newest_of_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_its_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drops_what_is_too_old_by_its_last_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drops_the_oldest_where_it_is_too_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(begins_anew_where_it_is_corrupt, set_up, tear_down),
        cmocka_unit_test(speaks_plainly),
        cmocka_unit_test(tells_who_demanded_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
