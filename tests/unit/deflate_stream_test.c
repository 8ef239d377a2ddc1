/* Promises of common/net/deflate_stream.h over a socket pair, with zlib at the other end. */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zlib.h>

#include "common/net/deflate_stream.h"
#include "common/size.h"

enum { INPUT = 8192, LARGE = 300000 };

struct fixture {
    struct ev_loop *loop;
    struct turn turn;
    struct stream stream;
    int peer;
    z_stream packing;   /* the peer's */
    z_stream expanding; /* the peer's */
    uint64_t seen;      /* octets consumed */
    size_t most_held;
    bool holds;
    uint8_t last;
    struct buffer heard; /* what the peer expanded */
    bool closed;
    struct error why;
};

static void on_input(struct stream *stream)
{
    struct fixture *fixture = stream->owner;
    struct slice input = stream_input(stream);
    if (input.len > fixture->most_held)
        fixture->most_held = input.len;
    if (fixture->holds || input.len == 0)
        return;
    fixture->seen += input.len;
    fixture->last = input.ptr[input.len - 1];
    stream_consume(stream, input.len);
}

static void on_deadline(struct stream *stream)
{
    (void)stream;
}

static void on_closed(struct stream *stream, const struct error *why)
{
    struct fixture *fixture = stream->owner;
    fixture->closed = true;
    if (why)
        fixture->why = *why;
    stream_clear(stream);
}

static const struct stream_handler handler = {
    .on_input = on_input, .on_deadline = on_deadline, .on_closed = on_closed};

static const struct stream_limits limits = {
    .input = INPUT, .high_water = 65536, .output = 1 << 20, .stalled_ms = 10000};

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
    assert_int_equal(deflateInit2(&fixture->packing, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    assert_int_equal(inflateInit2(&fixture->expanding, -15), Z_OK);
    buffer_init(&fixture->heard, 1 << 22);
    struct deflate_state *deflate_state = deflate_state_new();
    assert_non_null(deflate_state);
    deflate_stream_start(&fixture->stream, deflate_state);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stream_clear(&fixture->stream);
    turn_clear(&fixture->turn);
    ev_loop_destroy(fixture->loop);
    close(fixture->peer);
    deflateEnd(&fixture->packing);
    inflateEnd(&fixture->expanding);
    buffer_clear(&fixture->heard);
    free(fixture);
    return 0;
}

static void turns(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++)
        ev_run(fixture->loop, EVRUN_NOWAIT);
}

/* The octets as the peer would send them. */
static void pack(struct fixture *fixture, struct slice octets, int flush, struct buffer *packed)
{
    size_t most = deflateBound(&fixture->packing, octets.len) + 65536; /* what was held back */
    assert_true(buffer_reserve(packed, most));
    fixture->packing.next_in = (z_const Bytef *)(uintptr_t)octets.ptr;
    fixture->packing.avail_in = (unsigned)octets.len;
    fixture->packing.next_out = packed->ptr + packed->len;
    fixture->packing.avail_out = (unsigned)most;
    deflate(&fixture->packing, flush);
    buffer_commit(packed, most - fixture->packing.avail_out);
}

/* All that the peer can read, expanded; so many octets a read. */
static void hear(struct fixture *fixture, size_t at_once)
{
    uint8_t packed[4096];
    for (int idle = 0; idle < 3; idle++) {
        turns(fixture, 1);
        ssize_t got = read(fixture->peer, packed, at_once);
        if (got <= 0)
            continue;
        idle = -1;
        fixture->expanding.next_in = packed;
        fixture->expanding.avail_in = (unsigned)got;
        do {
            assert_true(buffer_reserve(&fixture->heard, 65536));
            fixture->expanding.next_out = fixture->heard.ptr + fixture->heard.len;
            fixture->expanding.avail_out = 65536;
            int code = inflate(&fixture->expanding, Z_SYNC_FLUSH);
            assert_true(code == Z_OK || code == Z_BUF_ERROR);
            buffer_commit(&fixture->heard, 65536 - fixture->expanding.avail_out);
        } while (fixture->expanding.avail_out == 0);
    }
}

static uint8_t octet_at(size_t i)
{
    return (uint8_t)(i * i >> 7 ^ i * 2654435761U >> 24); /* hardly to be compressed */
}

static void what_a_turn_wrote_can_be_read(void **state)
{
    struct fixture *fixture = *state;
    stream_write(&fixture->stream, SLICE("* 1 EXISTS\r\n"));
    stream_write(&fixture->stream, SLICE("a OK Done\r\n"));
    hear(fixture, 4096);
    assert_slice_is(buffer_slice(&fixture->heard), "* 1 EXISTS\r\na OK Done\r\n");
    assert_true(stream_output_empty(&fixture->stream));
}

static void a_peer_that_reads_slowly_gets_all(void **state)
{
    struct fixture *fixture = *state;
    int small = 4096;
    setsockopt(fixture->stream.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    char name[] = "/tmp/deflate_stream_test.XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    uint8_t *octets = malloc(LARGE);
    assert_non_null(octets);
    for (size_t i = 0; i < LARGE; i++)
        octets[i] = octet_at(i);
    assert_int_equal(write(fd, octets, LARGE), LARGE);
    struct stream_file *file = stream_file_new(&fd);
    stream_write(&fixture->stream, slice_of(octets, LARGE / 2));
    stream_write_file(&fixture->stream, file, LARGE / 2, LARGE / 2);
    stream_write(&fixture->stream, SLICE("end"));
    stream_file_release(file);
    for (int i = 0; i < 20; i++) { /* more comes while a write waits */
        hear(fixture, 100);
        stream_write(&fixture->stream, SLICE("."));
    }
    hear(fixture, 4096);
    assert_int_equal(fixture->heard.len, LARGE + 3 + 20);
    assert_memory_equal(fixture->heard.ptr, octets, LARGE);
    assert_slice_is(slice_from(buffer_slice(&fixture->heard), LARGE), "end....................");
    free(octets);
}

static void every_split_of_the_input_is_understood(void **state)
{
    struct fixture *fixture = *state;
    struct buffer packed = BUFFER_WITH_LIMIT(1 << 20);
    pack(fixture, SLICE("a1 NOOP\r\n"), Z_SYNC_FLUSH, &packed);
    pack(fixture, SLICE("a2 NOOP\r\n"), Z_FULL_FLUSH, &packed);
    for (size_t i = 0; i < packed.len; i++) {
        assert_int_equal(write(fixture->peer, packed.ptr + i, 1), 1);
        turns(fixture, 2);
    }
    assert_int_equal(fixture->seen, 18);
    assert_int_equal(fixture->last, '\n');
    buffer_clear(&packed);
}

/* 64 MiB in 64 KiB: no more is expanded than is consumed, and nobody waits for it. */
static void a_bomb_is_expanded_as_it_is_consumed(void **state)
{
    struct fixture *fixture = *state;
    struct buffer packed = BUFFER_WITH_LIMIT(1 << 22);
    uint8_t *zeroes = calloc(1, 1 << 20);
    assert_non_null(zeroes);
    for (int i = 0; i < 64; i++)
        pack(fixture, slice_of(zeroes, 1 << 20), Z_NO_FLUSH, &packed);
    pack(fixture, SLICE("!"), Z_SYNC_FLUSH, &packed);
    free(zeroes);
    fixture->holds = true;
    size_t sent = 0;
    while (sent < packed.len) {
        ssize_t written = write(fixture->peer, packed.ptr + sent, packed.len - sent);
        if (written < 0)
            break;
        sent += (size_t)written;
    }
    turns(fixture, 20);
    assert_int_equal(fixture->most_held, INPUT);
    assert_int_equal(stream_input(&fixture->stream).len, INPUT);
    fixture->holds = false;
    stream_consume(&fixture->stream, INPUT);
    fixture->seen = INPUT;
    uint64_t before = fixture->seen;
    turns(fixture, 1);
    assert_true(fixture->seen - before <= 1 << 19); /* a turn's share, others have theirs */
    for (int i = 0; i < 100000 && fixture->last != '!'; i++) {
        turns(fixture, 1);
        if (sent < packed.len) {
            ssize_t written = write(fixture->peer, packed.ptr + sent, packed.len - sent);
            sent += written > 0 ? (size_t)written : 0;
        }
    }
    assert_int_equal(fixture->seen, (64 << 20) + 1);
    assert_true(fixture->most_held <= INPUT);
    buffer_clear(&packed);
}

static void what_is_no_deflate_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(write(fixture->peer, "a1 NOOP\r\n", 9), 9);
    turns(fixture, 3);
    assert_true(fixture->closed);
    assert_int_equal(fixture->why.kind, ERROR_PEER);
    assert_int_equal(fixture->seen, 0);
}

static void the_last_block_is_the_end_of_the_input(void **state)
{
    struct fixture *fixture = *state;
    struct buffer packed = BUFFER_WITH_LIMIT(1 << 20);
    pack(fixture, SLICE("a LOGOUT\r\n"), Z_FINISH, &packed);
    assert_int_equal(write(fixture->peer, packed.ptr, packed.len), (ssize_t)packed.len);
    turns(fixture, 4);
    assert_int_equal(fixture->seen, 10);
    assert_true(stream_at_end(&fixture->stream));
    assert_false(fixture->closed);
    buffer_clear(&packed);
}

/* RFC 8437 4.1 */
static void the_plain_transport_comes_back(void **state)
{
    struct fixture *fixture = *state;
    assert_true(deflate_stream_is_active(&fixture->stream));
    stream_write(&fixture->stream, SLICE("a OK\r\n"));
    stream_use_plain(&fixture->stream);
    assert_false(deflate_stream_is_active(&fixture->stream));
    assert_true(stream_is_changing(&fixture->stream));
    hear(fixture, 4096);
    assert_slice_is(buffer_slice(&fixture->heard), "a OK\r\n");
    assert_false(stream_is_changing(&fixture->stream));
    stream_write(&fixture->stream, SLICE("plain"));
    turns(fixture, 2);
    char octets[10];
    assert_int_equal(read(fixture->peer, octets, sizeof(octets)), 5);
    assert_memory_equal(octets, "plain", 5);
}

/* RFC 8437 4.1: only behind the last octet of a sync flush, or of the peer's last block, can the
 * next one be plain. */
static void where_a_flush_ends_is_rest(void **state)
{
    struct fixture *fixture = *state;
    struct buffer packed = BUFFER_WITH_LIMIT(1 << 20);
    static const int flushes[] = {Z_SYNC_FLUSH, Z_FULL_FLUSH, Z_FINISH};
    for (size_t kind = 0; kind < ARRAY_LENGTH(flushes); kind++) {
        buffer_reset(&packed);
        pack(fixture, SLICE("a UNAUTHENTICATE\r\n"), flushes[kind], &packed);
        for (size_t i = 0; i < packed.len; i++) {
            assert_int_equal(write(fixture->peer, packed.ptr + i, 1), 1);
            turns(fixture, 2);
            assert_int_equal(deflate_stream_is_at_rest(&fixture->stream), i + 1 == packed.len);
        }
    }
    buffer_clear(&packed);
}

int main(void)
{
#define with_stream(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        with_stream(what_a_turn_wrote_can_be_read),
        with_stream(a_peer_that_reads_slowly_gets_all),
        with_stream(every_split_of_the_input_is_understood),
        with_stream(a_bomb_is_expanded_as_it_is_consumed),
        with_stream(what_is_no_deflate_ends_the_stream),
        with_stream(the_last_block_is_the_end_of_the_input),
        with_stream(the_plain_transport_comes_back),
        with_stream(where_a_flush_ends_is_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
