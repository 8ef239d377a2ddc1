/* Promises of common/net/stream.h and common/role/turn.h over socket pairs: order, bounds,
 * deadlines, ends.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/net/stream.h"

struct fixture {
    struct ev_loop *loop;
    struct turn turn;
    struct stream stream;
    int peer;
    struct buffer seen; /* what on_input consumed, if eats */
    bool eats;
    bool clears; /* stream_clear in on_input */
    unsigned inputs;
    unsigned drained;
    unsigned deadlines;
    unsigned closed;
    struct error why;
    void (*on_input)(struct fixture *fixture);
};

static void on_input(struct stream *stream)
{
    struct fixture *fixture = stream->owner;
    fixture->inputs++;
    if (fixture->clears) {
        stream_clear(stream);
        return;
    }
    if (fixture->on_input) {
        fixture->on_input(fixture);
        return;
    }
    if (!fixture->eats)
        return;
    buffer_append(&fixture->seen, stream_input(stream));
    stream_consume(stream, stream_input(stream).len);
}

static void on_drained(struct stream *stream)
{
    ((struct fixture *)stream->owner)->drained++;
}

static void on_deadline(struct stream *stream)
{
    ((struct fixture *)stream->owner)->deadlines++;
}

static void on_closed(struct stream *stream, const struct error *why)
{
    struct fixture *fixture = stream->owner;
    fixture->closed++;
    if (why)
        fixture->why = *why;
    stream_clear(stream);
}

static const struct stream_handler handler = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

static const struct stream_limits limits = {
    .input = 10000, .high_water = 65536, .output = 1 << 20, .stalled_ms = 100};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->loop = ev_loop_new(EVFLAG_AUTO);
    turn_init(&fixture->turn, fixture->loop);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    fixture->peer = ends[1];
    stream_init(&fixture->stream, &fixture->turn, ends[0], &handler, &limits);
    fixture->stream.owner = fixture;
    buffer_init(&fixture->seen, 1 << 26);
    fixture->eats = true;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stream_clear(&fixture->stream);
    stream_clear(&fixture->stream);
    turn_clear(&fixture->turn);
    ev_loop_destroy(fixture->loop);
    if (fixture->peer >= 0)
        close(fixture->peer);
    buffer_clear(&fixture->seen);
    free(fixture);
    return 0;
}

static void turns(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++)
        ev_run(fixture->loop, EVRUN_NOWAIT);
}

static void say(struct fixture *fixture, const char *text)
{
    assert_int_equal(write(fixture->peer, text, strlen(text)), (ssize_t)strlen(text));
}

/* All that the peer can read now, while the loop goes on. */
static void hear(struct fixture *fixture, struct buffer *heard)
{
    for (int idle = 0; idle < 3; idle++) {
        turns(fixture, 1);
        ssize_t got;
        do {
            assert_true(buffer_reserve(heard, 65536));
            got = read(fixture->peer, heard->ptr + heard->len, 65536);
            if (got > 0) {
                buffer_commit(heard, (size_t)got);
                idle = -1;
            }
        } while (got > 0);
    }
}

static int temporary_file(size_t octets)
{
    char name[] = "/tmp/stream_test.XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    for (size_t i = 0; i < octets; i++) {
        uint8_t octet = (uint8_t)(i * 31 >> 3);
        assert_int_equal(pwrite(fd, &octet, 1, (off_t)i), 1);
    }
    return fd;
}

static void input_arrives_and_stays_until_consumed(void **state)
{
    struct fixture *fixture = *state;
    fixture->eats = false;
    say(fixture, "one ");
    turns(fixture, 3);
    say(fixture, "two");
    turns(fixture, 3);
    assert_slice_is(stream_input(&fixture->stream), "one two");
    assert_int_equal(fixture->inputs, 2);
    stream_consume(&fixture->stream, 4);
    assert_slice_is(stream_input(&fixture->stream), "two");
    assert_int_equal(stream_discard_input(&fixture->stream), 3);
    turns(fixture, 1);
    assert_null(fixture->stream.input); /* idle: no memory */
}

static void input_is_bounded_and_goes_on_when_consumed(void **state)
{
    struct fixture *fixture = *state;
    fixture->eats = false;
    static const uint8_t block[30000];
    assert_int_equal(write(fixture->peer, block, sizeof(block)), sizeof(block));
    turns(fixture, 20);
    assert_int_equal(stream_input(&fixture->stream).len, limits.input);
    fixture->eats = true;
    stream_consume(&fixture->stream, 9999);
    turns(fixture, 20);
    assert_int_equal(fixture->seen.len, 20001);
}

static void writes_of_a_turn_leave_together_in_order(void **state)
{
    struct fixture *fixture = *state;
    stream_write(&fixture->stream, SLICE("250-"));
    stream_write(&fixture->stream, SLICE("one\r\n"));
    assert_false(stream_output_empty(&fixture->stream));
    turns(fixture, 1);
    assert_true(stream_output_empty(&fixture->stream));
    char got[100];
    assert_int_equal(read(fixture->peer, got, sizeof(got)), 9);
    assert_memory_equal(got, "250-one\r\n", 9);
}

static void files_and_octets_keep_their_order(void **state)
{
    struct fixture *fixture = *state;
    struct buffer expected = BUFFER_WITH_LIMIT(1 << 20);
    struct buffer heard = BUFFER_WITH_LIMIT(1 << 22);
    int fd = temporary_file(100000);
    struct stream_file *file = stream_file_new(&fd);
    assert_int_equal(fd, -1);
    static const size_t sizes[] = {1, 100, 16384, 16385, 50000, 3};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        stream_write(&fixture->stream, SLICE("<"));
        stream_write_file(&fixture->stream, file, i * 7, sizes[i]);
        stream_write(&fixture->stream, SLICE(">"));
        buffer_append(&expected, SLICE("<"));
        for (size_t k = i * 7; k < i * 7 + sizes[i]; k++)
            buffer_append_octet(&expected, (uint8_t)(k * 31 >> 3));
        buffer_append(&expected, SLICE(">"));
    }
    stream_file_release(file);
    hear(fixture, &heard);
    assert_true(slice_equal(buffer_slice(&heard), buffer_slice(&expected)));
    assert_true(stream_output_empty(&fixture->stream));
    assert_int_equal(fixture->stream.octets_out, expected.len);
    buffer_clear(&expected);
    buffer_clear(&heard);
}

static void a_file_that_became_shorter_ends_the_stream(void **state)
{
    for (int large = 0; large < 2; large++) {
        struct fixture *fixture = *state;
        int fd = temporary_file(10);
        struct stream_file *file = stream_file_new(&fd);
        stream_write_file(&fixture->stream, file, 0, large ? 100000 : 11);
        stream_file_release(file);
        turns(fixture, 4);
        assert_int_equal(fixture->closed, 1);
        assert_string_equal(fixture->why.text, "file to be sent became shorter");
        tear_down(state);
        set_up(state);
    }
}

static void a_peer_that_does_not_read_is_not_listened_to(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t block[200000];
    stream_write(&fixture->stream, slice_of(block, sizeof(block)));
    stream_write(&fixture->stream, slice_of(block, sizeof(block)));
    assert_true(stream_output_full(&fixture->stream));
    say(fixture, "more");
    turns(fixture, 5);
    assert_int_equal(fixture->inputs, 0);
    struct buffer heard = BUFFER_WITH_LIMIT(1 << 22);
    hear(fixture, &heard);
    assert_int_equal(heard.len, 2 * sizeof(block));
    assert_int_equal(fixture->drained, 1);
    assert_slice_is(buffer_slice(&fixture->seen), "more");
    buffer_clear(&heard);
}

static void output_past_its_limit_ends_the_stream_once(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t block[400000];
    for (int i = 0; i < 3; i++)
        stream_write(&fixture->stream, slice_of(block, sizeof(block)));
    assert_int_equal(fixture->closed, 0); /* never from inside a call */
    turns(fixture, 3);
    assert_int_equal(fixture->closed, 1);
    assert_int_equal(fixture->why.kind, ERROR_PEER);
    stream_write(&fixture->stream, SLICE("ignored"));
}

static void a_stalled_peer_is_lost(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t block[900000];
    stream_write(&fixture->stream, slice_of(block, sizeof(block)));
    for (int i = 0; i < 30 && fixture->closed == 0; i++)
        ev_run(fixture->loop, EVRUN_ONCE);
    assert_int_equal(fixture->closed, 1);
    assert_string_equal(fixture->why.text, "peer takes no output for 100 ms");
}

static void deadlines_move_and_fire_once(void **state)
{
    struct fixture *fixture = *state;
    stream_set_deadline_ms(&fixture->stream, 10);
    stream_set_deadline_ms(&fixture->stream, 40);
    double start = ev_time();
    while (fixture->deadlines == 0)
        ev_run(fixture->loop, EVRUN_ONCE);
    assert_in_range((unsigned)((ev_time() - start) * 1000), 35, 400);
    stream_set_deadline_ms(&fixture->stream, 5);
    stream_set_deadline_ms(&fixture->stream, 0);
    usleep(10000);
    turns(fixture, 3);
    assert_int_equal(fixture->deadlines, 1);
}

static void finish_sends_all_and_waits_for_the_peer(void **state)
{
    struct fixture *fixture = *state;
    stream_write(&fixture->stream, SLICE("221 bye\r\n"));
    stream_finish(&fixture->stream, 5000);
    stream_write(&fixture->stream, SLICE("too late"));
    say(fixture, "unread"); /* must not turn the last word into a reset */
    turns(fixture, 5);
    assert_int_equal(fixture->closed, 0);
    char got[100];
    assert_int_equal(read(fixture->peer, got, sizeof(got)), 9);
    assert_int_equal(read(fixture->peer, got, sizeof(got)), 0);
    shutdown(fixture->peer, SHUT_WR);
    turns(fixture, 5);
    assert_int_equal(fixture->closed, 1);
    assert_int_equal(fixture->why.kind, ERROR_NONE);
    assert_int_equal(fixture->inputs, 0);
}

static void finish_without_patience_ends_with_the_last_octet(void **state)
{
    struct fixture *fixture = *state;
    stream_write(&fixture->stream, SLICE("221 bye\r\n"));
    stream_finish(&fixture->stream, 0);
    turns(fixture, 1);
    assert_int_equal(fixture->closed, 1);
    assert_int_equal(fixture->why.kind, ERROR_NONE);
    char got[100];
    assert_int_equal(read(fixture->peer, got, sizeof(got)), 9);
    assert_int_equal(read(fixture->peer, got, sizeof(got)), 0);
}

static void finish_without_patience_sends_all(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t block[900000];
    stream_write(&fixture->stream, slice_of(block, sizeof(block)));
    stream_finish(&fixture->stream, 0);
    size_t read_octets = 0;
    ssize_t got;
    turns(fixture, 1);
    assert_int_equal(fixture->closed, 0);
    while ((got = read(fixture->peer, block, sizeof(block))) > 0) {
        read_octets += (size_t)got;
        turns(fixture, 3);
    }
    assert_int_equal(got, 0);
    assert_int_equal(read_octets, sizeof(block));
    assert_int_equal(fixture->closed, 1);
}

static void finish_has_patience_only_so_long(void **state)
{
    struct fixture *fixture = *state;
    stream_finish(&fixture->stream, 20);
    for (int i = 0; i < 20 && fixture->closed == 0; i++)
        ev_run(fixture->loop, EVRUN_ONCE);
    assert_int_equal(fixture->closed, 1);
}

static void a_deadline_cuts_the_end_short(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t block[900000];
    stream_write(&fixture->stream, slice_of(block, sizeof(block)));
    stream_finish(&fixture->stream, 5000);
    stream_set_deadline_ms(&fixture->stream, 20);
    for (int i = 0; i < 20 && fixture->closed == 0; i++)
        ev_run(fixture->loop, EVRUN_ONCE);
    assert_int_equal(fixture->closed, 1);
    assert_int_equal(fixture->deadlines, 0);
    assert_int_equal(fixture->why.kind, ERROR_NONE);
}

static void streams_carry_both_ways_in_bounds(void **state)
{
    struct fixture *fixture = *state;
    struct fixture *far = NULL;
    enum { OCTETS = 2000000 };
    set_up((void **)&far);
    turn_clear(&far->turn);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    stream_clear(&far->stream);
    close(far->peer);
    far->peer = ends[1];
    stream_init(&far->stream, &fixture->turn, ends[0], &handler, &limits);
    far->stream.owner = far;
    stream_carry(&fixture->stream, &far->stream);
    stream_carry(&far->stream, &fixture->stream);
    static uint8_t sent[OCTETS];
    for (size_t i = 0; i < OCTETS; i++)
        sent[i] = (uint8_t)(i * 2654435761U >> 24);
    size_t out = 0, back = 0;
    struct buffer got = BUFFER_WITH_LIMIT(OCTETS + 65536);
    while (got.len < OCTETS || back < OCTETS) {
        ssize_t count = write(fixture->peer, sent + out, OCTETS - out);
        out += count > 0 ? (size_t)count : 0;
        count = write(far->peer, sent + back, OCTETS - back < 5000 ? OCTETS - back : 5000);
        back += count > 0 ? (size_t)count : 0;
        turns(fixture, 1);
        assert_in_range(fixture->stream.output_octets, 0, limits.input);
        assert_in_range(far->stream.output_octets, 0, limits.input);
        buffer_reserve(&got, 50000);
        count = read(far->peer, got.ptr + got.len, 50000);
        buffer_commit(&got, count > 0 ? (size_t)count : 0);
        uint8_t drain[8192];
        while (read(fixture->peer, drain, sizeof(drain)) > 0)
            continue;
    }
    assert_memory_equal(got.ptr, sent, OCTETS);
    assert_int_equal(fixture->inputs + far->inputs, 0);
    shutdown(fixture->peer, SHUT_WR);
    turns(fixture, 3);
    assert_int_equal(fixture->inputs, 1); /* the end */
    assert_int_equal(read(far->peer, got.ptr, 1), -1);
    stream_end_output(&far->stream);
    turns(fixture, 1);
    assert_int_equal(read(far->peer, got.ptr, 1), 0);
    assert_int_equal(write(far->peer, "still", 5), 5);
    turns(fixture, 3);
    assert_int_equal(read(fixture->peer, got.ptr, 10), 5);
    stream_clear(&fixture->stream);
    assert_null(far->stream.sink);
    stream_clear(&far->stream);
    buffer_clear(&got);
    tear_down((void **)&far);
}

static void half_close_still_takes_output(void **state)
{
    struct fixture *fixture = *state;
    say(fixture, "QUIT");
    shutdown(fixture->peer, SHUT_WR);
    turns(fixture, 4);
    assert_true(stream_at_end(&fixture->stream));
    assert_slice_is(buffer_slice(&fixture->seen), "QUIT");
    stream_write(&fixture->stream, SLICE("bye"));
    turns(fixture, 2);
    char got[10];
    assert_int_equal(read(fixture->peer, got, sizeof(got)), 3);
    assert_int_equal(fixture->closed, 0);
}

static void a_lost_peer_is_reported_once(void **state)
{
    struct fixture *fixture = *state;
    close(fixture->peer);
    fixture->peer = -1;
    stream_write(&fixture->stream, SLICE("hello"));
    turns(fixture, 4);
    assert_int_equal(fixture->closed, 1);
    assert_int_equal(fixture->why.code, EPIPE);
}

static void clearing_inside_a_handler_is_allowed(void **state)
{
    struct fixture *fixture = *state;
    fixture->clears = true;
    say(fixture, "x");
    turns(fixture, 4);
    assert_int_equal(fixture->inputs, 1);
    assert_int_equal(fixture->closed, 0);
}

static void detach_gives_descriptor_and_rest(void **state)
{
    struct fixture *fixture = *state;
    struct buffer rest = BUFFER_WITH_LIMIT(100);
    fixture->eats = false;
    say(fixture, "a1 LOGIN\r\na2 SELECT\r\n");
    turns(fixture, 3);
    stream_consume(&fixture->stream, 10);
    stream_write(&fixture->stream, SLICE("x"));
    int fd = -1;
    struct error error = {0};
    assert_false(stream_detach(&fixture->stream, &fd, &rest, &error));
    turns(fixture, 1);
    assert_true(stream_detach(&fixture->stream, &fd, &rest, &error));
    assert_slice_is(buffer_slice(&rest), "a2 SELECT\r\n");
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "y", 1), 1);
    turns(fixture, 2);
    close(fd);
    buffer_clear(&rest);
}

static void what_somebody_else_read_comes_first(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    fixture->eats = false;
    assert_true(stream_put_before(&fixture->stream, SLICE("two "), &error));
    say(fixture, "three");
    turns(fixture, 3);
    assert_true(stream_put_before(&fixture->stream, SLICE("one "), &error));
    assert_slice_is(stream_input(&fixture->stream), "one two three");
    stream_consume(&fixture->stream, 8);
    assert_true(stream_put_before(&fixture->stream, SLICE("two and "), &error));
    assert_slice_is(stream_input(&fixture->stream), "two and three");
}

/* With nothing to be written at once, else behind the last octet; nothing is read. */
static void an_empty_output_can_be_waited_for(void **state)
{
    struct fixture *fixture = *state;
    stream_await_empty(&fixture->stream);
    turns(fixture, 2);
    assert_int_equal(fixture->drained, 1);
    struct buffer large = BUFFER_WITH_LIMIT(1 << 20), heard = BUFFER_WITH_LIMIT(1 << 24);
    while (large.len < 1 << 19)
        buffer_append(&large, SLICE("0123456789abcdef"));
    stream_write(&fixture->stream, buffer_slice(&large));
    stream_await_empty(&fixture->stream);
    say(fixture, "x");
    turns(fixture, 4);
    assert_int_equal(fixture->drained, 1);
    hear(fixture, &heard);
    assert_int_equal(heard.len, large.len);
    assert_int_equal(fixture->drained, 2);
    assert_int_equal(fixture->inputs, 0);
    buffer_clear(&large);
    buffer_clear(&heard);
}

struct counted {
    struct deferred deferred;
    struct turn *turn;
    int runs;
    int again;
};

static void run_counted(struct deferred *deferred)
{
    struct counted *counted = (struct counted *)(void *)deferred;
    counted->runs++;
    if (counted->again-- > 0)
        turn_again(counted->turn, deferred);
}

static void turns_run_what_was_put_off(void **state)
{
    struct fixture *fixture = *state;
    struct counted slices = {.deferred = {.run = run_counted}, .turn = &fixture->turn, .again = 3};
    struct counted once = {.deferred = {.run = run_counted}, .turn = &fixture->turn};
    turn_again(&fixture->turn, &slices.deferred);
    turn_defer(&fixture->turn, &once.deferred);
    turn_defer(&fixture->turn, &once.deferred);
    turns(fixture, 1);
    assert_int_equal(once.runs, 1);
    double start = ev_time();
    for (int i = 0; i < 3; i++)
        ev_run(fixture->loop, EVRUN_ONCE); /* would sleep if turn_again did not prevent it */
    assert_true(ev_time() - start < 1);
    assert_int_equal(slices.runs, 4);
    turn_again(&fixture->turn, &once.deferred);
    turn_cancel(&once.deferred);
    turns(fixture, 2);
    assert_int_equal(once.runs, 1);
}

static void after_quick_answers_the_loop_is_awake_for_a_moment(void **state)
{
    struct fixture *fixture = *state;
    turn_wait_awake_for(&fixture->turn, fixture->stream.fd);
    for (unsigned i = 1; i <= 50; i++) {
        say(fixture, "x");
        while (fixture->inputs < i)
            ev_run(fixture->loop, EVRUN_ONCE);
    }
    stream_set_deadline_ms(&fixture->stream, 200);
    clock_t before = clock();
    while (fixture->deadlines == 0)
        ev_run(fixture->loop, EVRUN_ONCE);
    assert_true(clock() - before < CLOCKS_PER_SEC / 20); /* then it sleeps */
    say(fixture, "x");
    ev_run(fixture->loop, EVRUN_ONCE);
    assert_int_equal(fixture->inputs, 51);
}

#define with_stream(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    static const struct CMUnitTest tests[] = {
        with_stream(input_arrives_and_stays_until_consumed),
        with_stream(input_is_bounded_and_goes_on_when_consumed),
        with_stream(writes_of_a_turn_leave_together_in_order),
        with_stream(files_and_octets_keep_their_order),
        with_stream(a_file_that_became_shorter_ends_the_stream),
        with_stream(a_peer_that_does_not_read_is_not_listened_to),
        with_stream(output_past_its_limit_ends_the_stream_once),
        with_stream(a_stalled_peer_is_lost),
        with_stream(deadlines_move_and_fire_once),
        with_stream(finish_sends_all_and_waits_for_the_peer),
        with_stream(finish_without_patience_ends_with_the_last_octet),
        with_stream(finish_without_patience_sends_all),
        with_stream(finish_has_patience_only_so_long),
        with_stream(a_deadline_cuts_the_end_short),
        with_stream(streams_carry_both_ways_in_bounds),
        with_stream(half_close_still_takes_output),
        with_stream(a_lost_peer_is_reported_once),
        with_stream(clearing_inside_a_handler_is_allowed),
        with_stream(detach_gives_descriptor_and_rest),
        with_stream(what_somebody_else_read_comes_first),
        with_stream(an_empty_output_can_be_waited_for),
        with_stream(turns_run_what_was_put_off),
        with_stream(after_quick_answers_the_loop_is_awake_for_a_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
