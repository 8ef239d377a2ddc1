/*
 * Streams on the event loop; see stream.h. The output's queue is in stream_output.c. Any process.
 *
 * Calls of the owner only change the struct and ask for settle() at the end of the turn, the one
 * place that writes, changes over to another transport, decides what to wait for and reports
 * failure:
 *
 *     event ──> on_ready ────────────────┐
 *     owner ──> stream_write, _consume … ┴─> (end of turn) settle ──> (next turn) on_drained, rest
 */
#include "common/net/stream_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "common/disk/fd.h"

enum { SMALLEST_READ = 4096 };

/* ---- the plain transport ---- */

static enum transport_result plain_failure(const char *call, enum transport_result would_block,
                                           struct error *error)
{
    if (errno == EAGAIN || errno == EINTR)
        return would_block;
    error_errno(error, "%s", call);
    return TRANSPORT_FAILED;
}

static enum transport_result plain_read(struct stream *stream, void *octets, size_t size,
                                        size_t *got, struct error *error)
{
    ssize_t count = recv(stream->fd, octets, size, 0);
    if (count < 0)
        return plain_failure("receive", TRANSPORT_WANT_READ, error);
    *got = (size_t)count;
    return count == 0 ? TRANSPORT_END : TRANSPORT_DONE;
}

static enum transport_result plain_write(struct stream *stream, const struct iovec *pieces,
                                         int count, bool more, size_t *taken, struct error *error)
{
    struct iovec copy[STREAM_PIECES];
    memcpy(copy, pieces, (size_t)count * sizeof(copy[0]));
    struct msghdr message = {.msg_iov = copy, .msg_iovlen = (size_t)count};
    ssize_t sent = sendmsg(stream->fd, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (sent < 0)
        return plain_failure("send", TRANSPORT_WANT_WRITE, error);
    *taken = (size_t)sent;
    return TRANSPORT_DONE;
}

static enum transport_result plain_send_file(struct stream *stream, int fd, uint64_t offset,
                                             size_t octets, size_t *taken, struct error *error)
{
    off_t position = (off_t)offset;
    ssize_t sent = sendfile(stream->fd, fd, &position, octets);
    if (sent < 0)
        return plain_failure("send file", TRANSPORT_WANT_WRITE, error);
    *taken = (size_t)sent;
    return TRANSPORT_DONE;
}

static void plain_end_output(struct stream *stream)
{
    shutdown(stream->fd, SHUT_WR);
}

static const struct stream_transport plain_transport = {
    .read = plain_read,
    .write = plain_write,
    .send_file = plain_send_file,
    .end_output = plain_end_output,
};

/* ---- waiting ---- */

void stream_settle_later(struct stream *stream)
{
    if (stream->fd >= 0)
        turn_defer(stream->turn, &stream->at_turn_end);
}

static void wait_for(struct stream *stream, ev_io *watcher, bool wanted)
{
    if (wanted && !ev_is_active(watcher))
        ev_io_start(stream->turn->loop, watcher);
    else if (!wanted && ev_is_active(watcher))
        ev_io_stop(stream->turn->loop, watcher);
}

void stream_arm_timer(struct stream *stream, uint64_t at)
{
    if (ev_is_active(&stream->timer) && stream->timer_at <= at)
        return;
    uint64_t now = turn_now_ms();
    uint64_t after = at > now ? at - now : 0;
    ev_timer_stop(stream->turn->loop, &stream->timer);
    ev_timer_set(&stream->timer, (double)after / 1000.0, 0.0);
    ev_timer_start(stream->turn->loop, &stream->timer);
    stream->timer_at = at;
}

static bool wants_input(const struct stream *stream)
{
    if (stream->input_ended || stream->handshaking || stream->next_transport)
        return false;
    if (stream->finishing)
        return true;
    /* Carried octets wait in the kernel until the other side has taken those before them, whatever
     * this side's own output does: else two full outputs would wait for each other. */
    if (stream->sink)
        return !stream->sink->output && !stream->sink->handshaking;
    return !stream->paused && !stream->above_high_water
           && stream->input_end - stream->input_start < stream->limits.input;
}

static bool has_pending_input(const struct stream *stream)
{
    return stream->read_wants == 0 && stream->transport->pending
           && stream->transport->pending(stream);
}

/* ---- input ---- */

/* Room after the input for one read, by moving it to the front or by growth up to the limit. */
static bool make_room(struct stream *stream)
{
    size_t held = stream->input_end - stream->input_start;
    size_t wanted = held + stream->read_size;
    if (wanted > stream->limits.input)
        wanted = stream->limits.input;
    if (stream->input_capacity - stream->input_end >= wanted - held && stream->input)
        return true;
    if (stream->input && stream->input_start > 0) {
        memmove(stream->input, stream->input + stream->input_start, held);
        stream->input_start = 0;
        stream->input_end = held;
    }
    if (wanted <= stream->input_capacity)
        return true;
    uint8_t *grown = realloc(stream->input, wanted);
    if (!grown)
        return error_memory(&stream->error);
    stream->input = grown;
    stream->input_capacity = wanted;
    return true;
}

/* An idle stream holds no memory for input. */
static void release_input(struct stream *stream)
{
    free(stream->input);
    stream->input = NULL;
    stream->input_start = stream->input_end = stream->input_capacity = 0;
}

static enum transport_result read_once(struct stream *stream)
{
    if (!make_room(stream))
        return TRANSPORT_FAILED;
    size_t room = stream->input_capacity - stream->input_end;
    if (room > stream->read_size)
        room = stream->read_size;
    size_t got = 0;
    enum transport_result result = stream->transport->read(
        stream, stream->input + stream->input_end, room, &got, &stream->error);
    if (result != TRANSPORT_DONE)
        return result;
    stream->input_end += got;
    stream->octets_in += got;
    if (got == room && stream->read_size < stream->limits.input)
        stream->read_size *= 2;
    else if (got < room / 4)
        stream->read_size = SMALLEST_READ;
    return result;
}

/* One read, and more only of what the transport has decrypted already. True if the owner has
 * something new to see. */
static bool fill(struct stream *stream)
{
    uint64_t before = stream->octets_in;
    enum transport_result result;
    do {
        if (stream->finishing)
            stream->input_start = stream->input_end = 0;
        result = read_once(stream);
        stream->read_wants = 0;
    } while (result == TRANSPORT_DONE && wants_input(stream) && has_pending_input(stream)
             && stream->octets_in - before < STREAM_TURN_OCTETS);
    if (result == TRANSPORT_FAILED)
        stream->failed = true;
    if (result == TRANSPORT_END)
        stream->input_ended = true;
    if (result == TRANSPORT_WANT_WRITE)
        stream->read_wants = EV_WRITE;
    else if (result != TRANSPORT_DONE || !has_pending_input(stream))
        stream->read_wants = EV_READ;
    return stream->octets_in != before || stream->input_ended;
}

/* Hands the input to the other stream: at once if nothing waits there, the rest to its output. */
static void carry_input(struct stream *stream)
{
    struct slice input = stream_input(stream);
    struct slice rest = slice_from(input, stream_write_through(stream->sink, input));
    stream_write(stream->sink, rest);
    stream_consume(stream, input.len);
}

static void read_input(struct stream *stream)
{
    stream_settle_later(stream);
    if (!wants_input(stream) || stream->failed || stream->read_wants != 0)
        return;
    if (!fill(stream) || stream->failed || stream->finishing)
        return;
    if (stream->sink)
        carry_input(stream);
    if (!stream->sink || stream->input_ended)
        stream->handler->on_input(stream);
}

/* ---- settling ---- */

static void release(struct stream *stream)
{
    turn_cancel(&stream->at_turn_end);
    turn_cancel(&stream->in_next_turn);
    ev_io_stop(stream->turn->loop, &stream->reader);
    ev_io_stop(stream->turn->loop, &stream->writer);
    ev_timer_stop(stream->turn->loop, &stream->timer);
    stream_drop_output(stream);
    release_input(stream);
    if (stream->sink)
        stream->sink->source = NULL;
    if (stream->source)
        stream->source->sink = NULL;
    stream->sink = stream->source = NULL;
    if (stream->transport->clear)
        stream->transport->clear(stream);
    if (stream->next_transport && stream->next_transport->clear) {
        stream->state = stream->next_state;
        stream->next_transport->clear(stream);
    }
    stream->transport = &plain_transport;
    stream->next_transport = NULL;
    stream->state = stream->next_state = NULL;
}

static void report_closed(struct stream *stream, const struct error *why)
{
    release(stream);
    fd_discard(&stream->fd);
    stream->handler->on_closed(stream, why);
}

static void change_transport(struct stream *stream)
{
    if (stream->transport->clear)
        stream->transport->clear(stream);
    stream->transport = stream->next_transport;
    stream->state = stream->next_state;
    stream->next_transport = NULL;
    stream->next_state = NULL;
    stream->handshaking = stream->transport->handshake != NULL;
    stream->read_wants = stream->handshaking && stream->transport->peer_begins ? EV_READ : 0;
    stream->write_wants = 0;
}

static void step_handshake(struct stream *stream)
{
    if (stream->read_wants != 0)
        return;
    switch (stream->transport->handshake(stream, &stream->error)) {
    case TRANSPORT_DONE:
        stream->handshaking = false;
        stream_settle_later(stream);
        if (stream->handler->on_secured)
            stream->handler->on_secured(stream);
        break;
    case TRANSPORT_WANT_READ:
        stream->read_wants = EV_READ;
        break;
    case TRANSPORT_WANT_WRITE:
        stream->read_wants = EV_WRITE;
        break;
    default:
        stream->failed = true;
    }
}

static void end_output(struct stream *stream)
{
    if (!stream->ending || stream->output || stream->output_ended || stream->handshaking)
        return;
    stream->output_ended = true;
    if (!stream->finishing || stream->linger_ms > 0 || stream->transport != &plain_transport)
        stream->transport->end_output(stream); /* else close(2) does it */
}

/* After stream_finish: all is written, and then the input has ended or the patience. */
static bool is_finished(struct stream *stream)
{
    if (!stream->finishing)
        return false;
    uint64_t now = turn_now_ms();
    if (stream->deadline > 0 && now >= stream->deadline)
        return true;
    if (stream->output)
        return false;
    if (stream->linger_ms == 0)
        return true;
    if (stream->linger_until == 0) {
        stream->linger_until = now + stream->linger_ms;
        stream_arm_timer(stream, stream->linger_until);
    }
    return stream->input_ended || stream->handshaking || now >= stream->linger_until;
}

static void choose_events(struct stream *stream)
{
    bool reading = stream->handshaking || wants_input(stream);
    bool writing = stream->output && !stream->handshaking;
    int wants = 0;
    if (reading)
        wants |= stream->read_wants;
    if (writing)
        wants |= stream->write_wants != 0 ? stream->write_wants : EV_WRITE;
    wait_for(stream, &stream->reader, (wants & EV_READ) != 0);
    wait_for(stream, &stream->writer, (wants & EV_WRITE) != 0);
    if (stream->drained_due || (reading && stream->read_wants == 0))
        turn_again(stream->turn, &stream->in_next_turn);
}

static void settle(struct stream *stream)
{
    if (!stream->handshaking && !stream->failed)
        stream_flush(stream);
    if (stream->next_transport && !stream->output && !stream->failed)
        change_transport(stream);
    if (stream->handshaking && !stream->failed && !stream->finishing)
        step_handshake(stream);
    if (stream->fd < 0)
        return;
    if (!stream->failed)
        end_output(stream);
    if (stream->failed)
        report_closed(stream, &stream->error);
    else if (is_finished(stream))
        report_closed(stream, NULL);
    else
        choose_events(stream);
    if (stream->input_start == stream->input_end)
        release_input(stream);
}

static struct stream *stream_at_turn_end(struct deferred *deferred)
{
    return (struct stream *)(void *)((uint8_t *)deferred - offsetof(struct stream, at_turn_end));
}

static struct stream *stream_in_next_turn(struct deferred *deferred)
{
    return (struct stream *)(void *)((uint8_t *)deferred - offsetof(struct stream, in_next_turn));
}

static void on_turn_end(struct deferred *deferred)
{
    settle(stream_at_turn_end(deferred));
}

static void on_next_turn(struct deferred *deferred)
{
    struct stream *stream = stream_in_next_turn(deferred);
    bool drained = stream->drained_due;
    stream->drained_due = false;
    stream_settle_later(stream);
    if (drained && stream->handler->on_drained && !stream_is_over(stream))
        stream->handler->on_drained(stream);
    if (stream->fd >= 0)
        read_input(stream);
}

static void on_ready(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct stream *stream = watcher->data;
    if ((stream->read_wants & events) != 0)
        stream->read_wants = 0;
    if ((stream->write_wants & events) != 0)
        stream->write_wants = 0;
    read_input(stream);
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct stream *stream = watcher->data;
    uint64_t now = turn_now_ms();
    stream_settle_later(stream); /* looks at linger_until */
    uint64_t stalled_until = stream->stalled_since + stream->limits.stalled_ms;
    if (stream->stalled_since > 0 && now >= stalled_until) {
        error_set(&stream->error, ERROR_PEER, "peer takes no output for %u ms",
                  stream->limits.stalled_ms);
        stream->failed = true;
        return;
    }
    if (stream->stalled_since > 0)
        stream_arm_timer(stream, stalled_until);
    if (stream->linger_until > now)
        stream_arm_timer(stream, stream->linger_until);
    if (stream->deadline > now) {
        stream_arm_timer(stream, stream->deadline);
    } else if (stream->deadline > 0 && !stream_is_over(stream)) {
        stream->deadline = 0;
        stream->handler->on_deadline(stream);
    }
}

/* ---- what the owner calls ---- */

void stream_init(struct stream *stream, struct turn *turn, int fd,
                 const struct stream_handler *handler, const struct stream_limits *limits)
{
    *stream = (struct stream){
        .fd = fd,
        .turn = turn,
        .handler = handler,
        .transport = &plain_transport,
        .limits = *limits,
        .read_size = SMALLEST_READ,
        .read_wants = EV_READ,
        .at_turn_end = {.run = on_turn_end},
        .in_next_turn = {.run = on_next_turn},
    };
    ev_io_init(&stream->reader, on_ready, fd, EV_READ);
    ev_io_init(&stream->writer, on_ready, fd, EV_WRITE);
    ev_timer_init(&stream->timer, on_timer, 0.0, 0.0);
    stream->reader.data = stream->writer.data = stream->timer.data = stream;
    stream_settle_later(stream);
}

bool stream_begin_with(struct stream *stream, struct slice octets, struct error *error)
{
    assert(!stream->input);
    if (octets.len == 0)
        return true;
    stream->input = malloc(octets.len);
    if (!stream->input)
        return error_memory(error);
    memcpy(stream->input, octets.ptr, octets.len);
    stream->input_end = stream->input_capacity = octets.len;
    stream->octets_in = octets.len;
    return true;
}

bool stream_put_before(struct stream *stream, struct slice octets, struct error *error)
{
    struct slice held = stream_input(stream);
    if (octets.len == 0)
        return true;
    uint8_t *joined = malloc(octets.len + held.len);
    if (!joined)
        return error_memory(error);
    memcpy(joined, octets.ptr, octets.len);
    if (held.len > 0)
        memcpy(joined + octets.len, held.ptr, held.len);
    release_input(stream);
    stream->input = joined;
    stream->input_end = stream->input_capacity = octets.len + held.len;
    stream_settle_later(stream);
    return true;
}

void stream_clear(struct stream *stream)
{
    if (!stream->turn)
        return;
    release(stream);
    fd_discard(&stream->fd);
    stream->turn = NULL;
}

struct slice stream_input(const struct stream *stream)
{
    if (!stream->input)
        return SLICE("");
    return slice_of(stream->input + stream->input_start, stream->input_end - stream->input_start);
}

void stream_consume(struct stream *stream, size_t octets)
{
    assert(octets <= stream->input_end - stream->input_start);
    stream->input_start += octets;
    stream_settle_later(stream);
}

void stream_wipe_consumed(struct stream *stream)
{
    if (stream->input)
        explicit_bzero(stream->input, stream->input_start);
}

size_t stream_discard_input(struct stream *stream)
{
    size_t octets = stream->input_end - stream->input_start;
    stream_consume(stream, octets);
    return octets;
}

void stream_await_empty(struct stream *stream)
{
    stream->paused = true;
    stream->limits.high_water = 1;
    stream->above_high_water = stream->output != NULL;
    stream->drained_due = !stream->above_high_water;
    stream_settle_later(stream);
}

void stream_set_deadline_ms(struct stream *stream, unsigned milliseconds)
{
    stream->deadline = milliseconds > 0 ? turn_now_ms() + milliseconds : 0;
    if (stream->deadline > 0 && stream->fd >= 0)
        stream_arm_timer(stream, stream->deadline);
}

void stream_end_output(struct stream *stream)
{
    stream->ending = true;
    stream_settle_later(stream);
}

void stream_carry(struct stream *from, struct stream *to)
{
    if (from->fd < 0 || to->fd < 0)
        return;
    from->sink = to;
    to->source = from;
    carry_input(from);
    stream_settle_later(from);
}

void stream_carry_no_more(struct stream *from)
{
    if (from->sink)
        from->sink->source = NULL;
    from->sink = NULL;
    stream_settle_later(from);
}

void stream_finish(struct stream *stream, unsigned linger_ms)
{
    if (stream_is_over(stream))
        return;
    stream->finishing = stream->ending = true;
    stream->linger_ms = linger_ms;
    stream->deadline = 0;
    stream->drained_due = false;
    stream_settle_later(stream);
}

void stream_end_now(struct stream *stream)
{
    if (stream->fd >= 0 && !stream->handshaking && !stream->failed) {
        stream->ending = true;
        stream_flush(stream);
    }
    if (stream->fd >= 0 && !stream->failed)
        end_output(stream);
    stream_clear(stream);
}

bool stream_detach(struct stream *stream, int *fd, struct buffer *rest, struct error *error)
{
    if (stream_is_over(stream) || stream->output || stream->next_transport
        || stream->transport != &plain_transport)
        return error_set(error, ERROR_PERMANENT, "connection cannot be handed over");
    if (!buffer_reserve(rest, stream->input_end - stream->input_start))
        return error_memory(error);
    buffer_append(rest, stream_input(stream));
    *fd = stream->fd;
    stream->fd = -1;
    release(stream);
    stream->turn = NULL;
    return true;
}

void stream_start_transport(struct stream *stream, const struct stream_transport *transport,
                            void *state)
{
    assert(stream->input_start == stream->input_end && !stream->next_transport && stream->fd >= 0);
    stream->next_transport = transport;
    stream->next_state = state;
    /* Nothing waits: change now, so that a greeting written next goes out protected. */
    if (!stream->output)
        change_transport(stream);
    stream_settle_later(stream);
}

void stream_use_plain(struct stream *stream)
{
    stream_start_transport(stream, &plain_transport, NULL);
}

void stream_fail(struct stream *stream, const struct error *why)
{
    if (stream->failed || stream->fd < 0)
        return;
    stream->failed = true;
    stream->error = *why;
    stream_settle_later(stream);
}
