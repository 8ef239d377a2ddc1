/* DEFLATE below a stream; see deflate_stream.h. `state` of the stream is a struct deflate_state. */
#include "common/net/deflate_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <zlib.h>

enum {
    LEVEL = 3,               /* 55 MB/s of mail; 6 makes it 7 % smaller, at 40 MB/s */
    OUR_WINDOW_BITS = -13,   /* below zero: raw */
    THEIR_WINDOW_BITS = -15, /* whatever the peer chose */
    MEMORY_LEVEL = 6,
    PACKED_OCTETS = 16384, /* compressed octets held, each way */
};

struct deflate_state {
    z_stream in;
    z_stream out;
    bool in_goes_on; /* more, or the end, can be had without another octet */
    bool in_ended;   /* the last block was read */

    /* The write under way: it comes again until the last of its octets has left. */
    size_t offered; /* 0: there is none */
    size_t eaten;   /* of those, by `out` */
    int flush;      /* after them */
    bool squeezed;  /* all of it is in `packed_out` or gone */
    size_t out_start;
    size_t out_end;

    uint8_t packed_in[PACKED_OCTETS];
    uint8_t packed_out[PACKED_OCTETS];
};

static enum transport_result call_failed(const char *call, enum transport_result would_block,
                                         struct error *error)
{
    if (errno == EAGAIN || errno == EINTR)
        return would_block;
    error_errno(error, "%s", call);
    return TRANSPORT_FAILED;
}

/* ---- reading ---- */

static enum transport_result receive_packed(struct stream *stream, struct deflate_state *state,
                                            struct error *error)
{
    ssize_t got = recv(stream->fd, state->packed_in, sizeof(state->packed_in), 0);
    if (got < 0)
        return call_failed("receive", TRANSPORT_WANT_READ, error);
    state->in.next_in = state->packed_in;
    state->in.avail_in = (unsigned)got;
    return got == 0 ? TRANSPORT_END : TRANSPORT_DONE;
}

/* Z_STREAM_END: the peer said its last word. Z_BUF_ERROR: it takes more octets to go on. */
static enum transport_result expand(struct deflate_state *state, size_t *got, struct error *error)
{
    unsigned room = state->in.avail_out;
    int code = inflate(&state->in, Z_SYNC_FLUSH);
    *got = room - state->in.avail_out;
    state->in_ended = code == Z_STREAM_END;
    state->in_goes_on = state->in.avail_out == 0 || state->in_ended;
    if (*got > 0)
        return TRANSPORT_DONE;
    if (code == Z_STREAM_END)
        return TRANSPORT_END;
    if (code == Z_OK || code == Z_BUF_ERROR)
        return TRANSPORT_WANT_READ;
    error_set(error, code == Z_MEM_ERROR ? ERROR_TEMPORARY : ERROR_PEER, "DEFLATE: %s",
              state->in.msg ? state->in.msg : zError(code));
    return TRANSPORT_FAILED;
}

static enum transport_result deflate_read(struct stream *stream, void *octets, size_t size,
                                          size_t *got, struct error *error)
{
    struct deflate_state *state = stream->state;
    state->in.next_out = octets;
    state->in.avail_out = size < UINT32_MAX ? (unsigned)size : UINT32_MAX;
    for (;;) {
        bool may_hold = state->in.avail_in > 0 || state->in_goes_on;
        enum transport_result result = may_hold ? expand(state, got, error) : TRANSPORT_WANT_READ;
        if (result != TRANSPORT_WANT_READ)
            return result;
        result = receive_packed(stream, state, error);
        if (result != TRANSPORT_DONE)
            return result;
    }
}

static bool deflate_pending(const struct stream *stream)
{
    const struct deflate_state *state = stream->state;
    return state->in.avail_in > 0 || state->in_goes_on;
}

/* ---- writing ---- */

static enum transport_result send_packed(struct stream *stream, struct deflate_state *state,
                                         struct error *error)
{
    while (state->out_start < state->out_end) {
        ssize_t sent = send(stream->fd, state->packed_out + state->out_start,
                            state->out_end - state->out_start, MSG_NOSIGNAL);
        if (sent < 0)
            return call_failed("send", TRANSPORT_WANT_WRITE, error);
        state->out_start += (size_t)sent;
    }
    return TRANSPORT_DONE;
}

/* Z_BUF_ERROR: nothing was left to do. */
static void deflate_some(struct deflate_state *state, struct slice octets, int flush)
{
    z_stream *out = &state->out;
    out->next_in = (z_const Bytef *)(uintptr_t)octets.ptr;
    out->avail_in = (unsigned)octets.len;
    deflate(out, flush);
    state->eaten += octets.len - out->avail_in;
}

/* Fills `packed_out`, which is empty, from what is left of the write under way. */
static void squeeze(struct deflate_state *state, const struct iovec *pieces, int count)
{
    size_t passed = 0;
    state->out.next_out = state->packed_out;
    state->out.avail_out = sizeof(state->packed_out);
    for (int i = 0; i < count && state->out.avail_out > 0; i++) {
        struct slice piece = slice_of(pieces[i].iov_base, pieces[i].iov_len);
        if (piece.len > state->offered - passed)
            piece.len = state->offered - passed;
        if (state->eaten < passed + piece.len)
            deflate_some(state, slice_from(piece, state->eaten - passed), Z_NO_FLUSH);
        passed += piece.len;
    }
    if (state->eaten == state->offered && state->out.avail_out > 0) {
        deflate_some(state, SLICE(""), state->flush);
        state->squeezed = state->out.avail_out > 0;
    }
    state->out_start = 0;
    state->out_end = sizeof(state->packed_out) - state->out.avail_out;
}

static size_t sum_of(const struct iovec *pieces, int count)
{
    size_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += pieces[i].iov_len;
    return sum;
}

static enum transport_result deflate_write(struct stream *stream, const struct iovec *pieces,
                                           int count, bool more, size_t *taken, struct error *error)
{
    struct deflate_state *state = stream->state;
    if (state->offered == 0) {
        state->offered = sum_of(pieces, count);
        state->flush = more ? Z_NO_FLUSH : Z_SYNC_FLUSH;
    }
    for (;;) {
        enum transport_result result = send_packed(stream, state, error);
        if (result != TRANSPORT_DONE)
            return result;
        if (state->squeezed)
            break;
        squeeze(state, pieces, count);
    }
    *taken = state->offered;
    state->offered = state->eaten = 0;
    state->squeezed = false;
    return TRANSPORT_DONE;
}

static void deflate_end_output(struct stream *stream)
{
    shutdown(stream->fd, SHUT_WR);
}

/* ---- life ---- */

static void free_state(struct deflate_state *state)
{
    inflateEnd(&state->in);
    deflateEnd(&state->out);
    free(state);
}

static void deflate_clear(struct stream *stream)
{
    free_state(stream->state);
    stream->state = NULL;
}

static const struct stream_transport deflate_transport = {
    .read = deflate_read,
    .write = deflate_write,
    .end_output = deflate_end_output,
    .pending = deflate_pending,
    .clear = deflate_clear,
};

struct deflate_state *deflate_state_new(void)
{
    struct deflate_state *state = calloc(1, sizeof(*state));
    if (!state)
        return NULL;
    if (inflateInit2(&state->in, THEIR_WINDOW_BITS) == Z_OK
        && deflateInit2(&state->out, LEVEL, Z_DEFLATED, OUR_WINDOW_BITS, MEMORY_LEVEL,
                        Z_DEFAULT_STRATEGY)
               == Z_OK)
        return state;
    free_state(state); /* zlib's ends take one that was not begun */
    return NULL;
}

void deflate_stream_start(struct stream *stream, struct deflate_state *state)
{
    stream_start_transport(stream, &deflate_transport, state);
}

bool deflate_stream_is_active(const struct stream *stream)
{
    const struct stream_transport *last =
        stream->next_transport ? stream->next_transport : stream->transport;
    return last == &deflate_transport;
}

/* zlib.h, inflate(): 128 is the end of a block, the bits below count those of the last octet that
 * are still unused. */
bool deflate_stream_is_at_rest(const struct stream *stream)
{
    enum { BLOCK_HAS_ENDED = 128, LAST_BLOCK = 64 };
    const struct deflate_state *state = stream->state;
    if (state->in.avail_in > 0)
        return false;
    return state->in_ended
           || (!state->in_goes_on && (state->in.data_type & ~LAST_BLOCK) == BLOCK_HAS_ENDED);
}
