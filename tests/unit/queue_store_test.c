/* Promises of smtpd/queue/store/store.h: a message is there with all its recipients or not at all,
 * ids never come back, and a kill at any moment takes nothing that was acknowledged. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/queue/store/store.h"

struct fixture {
    char directory[64];
    struct queue_store *store;
    int complaints;
};

static void on_message(void *context, const char *message)
{
    (void)message;
    struct fixture *fixture = context;
    fixture->complaints++;
}

static bool open_store(struct fixture *fixture, struct error *error)
{
    struct queue_store_options options = {.directory = fixture->directory,
                                          .place = 0,
                                          .epoch = 1,
                                          .on_message = on_message,
                                          .context = fixture};
    return queue_store_open(&options, &fixture->store, error);
}

static void reopen(struct fixture *fixture)
{
    struct error error = {0};
    queue_store_close(fixture->store);
    if (!open_store(fixture, &error))
        fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    make_test_directory(fixture->directory, sizeof(fixture->directory));
    reopen(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    queue_store_close(fixture->store);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static uint8_t body_octets[FILTER_INLINE_MAX];

enum { RECIPIENTS = 3 };

/* Bodies of every size: some share a page, some have pages of their own. */
static size_t body_length(uint64_t id)
{
    return (size_t)(id * 977 % sizeof(body_octets));
}

static bool put_whole_message(struct queue_store *store, uint64_t id)
{
    struct stored_message message = {.arrival = (int64_t)id,
                                     .reverse_path = SLICE("alice@demo.test"),
                                     .body_octets = body_length(id),
                                     .body = slice_of(body_octets, body_length(id))};
    struct stored_recipient recipient = {.state = STORED_WAITING,
                                         .account = SLICE("bob@demo.test"),
                                         .address = SLICE("Bob@demo.test")};
    if (!queue_store_put_message(store, id, &message, NULL, NULL))
        return false;
    for (uint32_t number = 0; number < RECIPIENTS; number++)
        if (!queue_store_put_recipient(store, id, number, &recipient, NULL))
            return false;
    return true;
}

static void a_message_is_written_read_and_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct buffer record = BUFFER_WITH_LIMIT(STORED_MESSAGE_MAX);
    struct stored_message message;
    struct stored_recipient recipient;
    struct error error = {0};
    assert_true(queue_store_begin(fixture->store, NULL));
    assert_true(put_whole_message(fixture->store, 7));
    assert_true(queue_store_commit(fixture->store, NULL));
    reopen(fixture);
    assert_true(queue_store_get_message(fixture->store, 7, &record, &message, NULL));
    assert_slice_is(message.reverse_path, "alice@demo.test");
    assert_int_equal(message.body.len, body_length(7));
    assert_true(queue_store_get_recipient(fixture->store, 7, 2, &record, &recipient, NULL));
    assert_slice_is(recipient.account, "bob@demo.test");
    assert_false(queue_store_get_recipient(fixture->store, 7, 3, &record, &recipient, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);

    assert_true(queue_store_begin(fixture->store, NULL));
    assert_true(queue_store_drop_recipient(fixture->store, 7, 0, NULL));
    assert_true(queue_store_drop_message(fixture->store, 7, NULL));
    queue_store_abort(fixture->store);
    assert_true(queue_store_get_message(fixture->store, 7, &record, &message, NULL));
    assert_true(queue_store_get_recipient(fixture->store, 7, 0, &record, &recipient, NULL));

    assert_true(queue_store_begin(fixture->store, NULL));
    assert_true(queue_store_drop_message(fixture->store, 7, NULL));
    assert_true(queue_store_commit(fixture->store, NULL));
    assert_false(queue_store_get_message(fixture->store, 7, &record, &message, &error));
    assert_int_equal(error.kind, ERROR_NOT_FOUND);
    assert_int_equal(fixture->complaints, 0);
    buffer_clear(&record);
}

static void ids_never_come_back(void **state)
{
    struct fixture *fixture = *state;
    uint64_t last = 0, first = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            assert_true(queue_store_lend_ids(fixture->store, 1000, &first, NULL));
            assert_true(first > last);
            assert_int_equal(first >> QUEUE_ID_COUNT_BITS, 1);
            last = first + 999;
        }
        reopen(fixture);
    }
    /* The environment is lost: numbers go on from the time. */
    queue_store_close(fixture->store);
    fixture->store = NULL;
    assert_true(queue_store_set_aside(fixture->directory, "aside", NULL));
    uint64_t seconds = (uint64_t)time(NULL) - 1735689600; /* since 2025 */
    reopen(fixture);
    assert_true(queue_store_lend_ids(fixture->store, 1, &first, NULL));
    assert_true((first & QUEUE_ID_COUNT_MAX) >= seconds << 12);
}

/* ---- kills ---- */

enum { BATCH = 5 };

static void accept_until_killed(struct fixture *fixture, int acknowledge_fd)
{
    for (;;) {
        uint64_t first;
        if (!queue_store_lend_ids(fixture->store, BATCH, &first, NULL)
            || !queue_store_begin(fixture->store, NULL))
            _exit(1);
        for (uint64_t id = first; id < first + BATCH; id++)
            if (!put_whole_message(fixture->store, id))
                _exit(2);
        if (!queue_store_commit(fixture->store, NULL))
            _exit(3);
        if (write(acknowledge_fd, &first, sizeof(first)) != sizeof(first))
            _exit(4);
        if (first % 7 == 0 && !queue_store_checkpoint(fixture->store, true, NULL))
            _exit(5);
    }
}

struct tally {
    struct queue_store *store;
    struct buffer record;
    uint64_t last_id;
    uint32_t next_number;
    uint64_t messages;
};

static bool count_recipient(void *context, uint64_t id, uint32_t number,
                            const struct stored_recipient *recipient, struct error *error)
{
    struct tally *tally = context;
    struct stored_message message;
    if (number == 0) {
        assert_int_equal(tally->next_number % RECIPIENTS, 0);
        assert_true(id > tally->last_id);
        assert_true(queue_store_get_message(tally->store, id, &tally->record, &message, error));
        assert_int_equal(message.arrival, id);
        assert_int_equal(message.body.len, body_length(id));
        tally->messages++;
        tally->next_number = 0;
        tally->last_id = id;
    }
    assert_int_equal(id, tally->last_id);
    assert_int_equal(number, tally->next_number++);
    assert_slice_is(recipient->account, "bob@demo.test");
    return true;
}

static uint64_t count_messages(struct fixture *fixture, uint64_t *last_id)
{
    struct tally tally = {.store = fixture->store, .record = BUFFER_WITH_LIMIT(STORED_MESSAGE_MAX)};
    struct error error = {0};
    if (!queue_store_scan(fixture->store, count_recipient, &tally, &error))
        fail_msg("%s", error.text);
    assert_int_equal(tally.next_number % RECIPIENTS, 0);
    buffer_clear(&tally.record);
    *last_id = tally.last_id;
    return tally.messages;
}

static void a_kill_loses_nothing_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    uint64_t acknowledged = 0, last_id;
    for (int round = 0; round < 6; round++) {
        queue_store_close(fixture->store);
        fixture->store = NULL;
        int pipe_fds[2];
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        pid_t child = fork();
        if (child == 0) {
            if (!open_store(fixture, NULL))
                _exit(6);
            accept_until_killed(fixture, pipe_fds[1]);
        }
        close(pipe_fds[1]);
        uint64_t first, newest = 0;
        for (int i = 0; i < 5 + 11 * round; i++) {
            assert_int_equal(read(pipe_fds[0], &newest, sizeof(newest)), sizeof(newest));
            acknowledged += BATCH;
        }
        kill(child, SIGKILL);
        while (read(pipe_fds[0], &first, sizeof(first)) == sizeof(first)) {
            newest = first;
            acknowledged += BATCH;
        }
        close(pipe_fds[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        reopen(fixture);
        uint64_t found = count_messages(fixture, &last_id);
        assert_in_range(found, acknowledged, acknowledged + BATCH);
        assert_true(last_id >= newest + BATCH - 1);
        acknowledged = found;
        assert_true(queue_store_lend_ids(fixture->store, 1, &first, NULL));
        assert_true(first > last_id);
    }
    assert_int_equal(fixture->complaints, 0);
}

static void an_empty_queue_gives_the_disk_back(void **state)
{
    struct fixture *fixture = *state;
    for (int dropping = 0; dropping < 2; dropping++) {
        assert_true(queue_store_begin(fixture->store, NULL));
        for (uint64_t id = 1; id <= 100; id++) {
            if (!dropping)
                assert_true(put_whole_message(fixture->store, id));
            else
                assert_true(queue_store_drop_message(fixture->store, id, NULL));
        }
        assert_true(queue_store_commit(fixture->store, NULL));
        assert_true(queue_store_checkpoint(fixture->store, false, NULL));
    }
    assert_true(queue_store_compact(fixture->store, NULL));
    char path[128];
    snprintf(path, sizeof(path), "%s/messages.db", fixture->directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_in_range(lseek(fd, 0, SEEK_END), 1, 256 << 10);
    close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_is_written_read_and_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_never_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kill_loses_nothing_acknowledged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_queue_gives_the_disk_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
