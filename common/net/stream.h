/*
 * One connection as a stream of octets in each direction, on an event loop. Nothing blocks, nothing
 * grows without bound, and every wait can have a deadline. Any process; carries TLS through
 * common/tls/tls_stream, which only who calls it links.
 *
 *     peer ──read──> input (bounded) ──stream_input, stream_consume──> owner
 *     peer <──write── output (bounded: octets, pieces of files) <──stream_write── owner
 *
 * The owner is called by the loop through its stream_handler, never from inside a stream_* call, so
 * a handler may call what it likes, stream_clear among it. It must not free the struct stream (or
 * what it is a part of) before the end of the turn: see common/role/turn.h.
 *
 * Failure is sticky: a stream that lost its peer takes every call, does nothing, and says so once
 * with on_closed. So replies need no check.
 *
 * Reading stops by itself while the input is full, while the output stands above its high-water
 * mark (a peer that does not read is not listened to), and at the end of input.
 * What the owner wrote in a turn leaves at the end of that turn, in as few calls as possible.
 *
 * The process ignores SIGPIPE.
 */
#ifndef COMMON_NET_STREAM_H
#define COMMON_NET_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>

#include <ev.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/role/turn.h"
#include "common/slice.h"

struct stream;

/* Optional ones may be NULL. */
struct stream_handler {
    /* New octets have come, or the end of input. What is not consumed stays. */
    void (*on_input)(struct stream *stream);
    /* The output was above its high-water mark and is now below the half of it. Optional. Whoever
     * left octets in the input because the output was full takes them up again here. */
    void (*on_drained)(struct stream *stream);
    /* The transport's handshake is done (common/tls/tls_stream.h). Optional. */
    void (*on_secured)(struct stream *stream);
    /* The deadline set with stream_set_deadline_ms has passed; none is set now. */
    void (*on_deadline)(struct stream *stream);
    /* Once, the last call: the connection is no more. `why` is NULL after stream_finish, else what
     * happened. The owner ends its session and calls stream_clear. */
    void (*on_closed)(struct stream *stream, const struct error *why);
};

struct stream_limits {
    size_t input;      /* octets held unconsumed; at least the longest line the owner reads */
    size_t high_water; /* output octets from which on the peer is not read and the owner waits */
    size_t output;     /* output octets that end the connection: more than high_water + one reply */
    unsigned stalled_ms; /* the peer takes no octet of waiting output for so long: it is lost */
};

enum transport_result {
    TRANSPORT_DONE,
    TRANSPORT_WANT_READ,  /* again when the descriptor is readable */
    TRANSPORT_WANT_WRITE, /* again when it is writable */
    TRANSPORT_END,        /* read only: the peer will send no more */
    TRANSPORT_FAILED,     /* *error says why */
};

/* How octets get to the descriptor and back: a plain socket's is in stream.c. Functions may be NULL
 * where said. `state` of the stream is theirs. */
struct stream_transport {
    /* Until DONE nothing is read or written. NULL: nothing to do. */
    enum transport_result (*handshake)(struct stream *stream, struct error *error);
    bool peer_begins; /* the handshake, which needs no memory before the peer's first octet */
    /* 1..size octets when DONE. */
    enum transport_result (*read)(struct stream *stream, void *octets, size_t size, size_t *got,
                                  struct error *error);
    /* Takes at least one octet when DONE. After WANT_* the same octets come again, possibly with
     * others behind them. `more`: others follow at once. */
    enum transport_result (*write)(struct stream *stream, const struct iovec *pieces, int count,
                                   bool more, size_t *taken, struct error *error);
    /* The same with octets of a file; *taken is 0 when DONE only if the file ends there. NULL: they
     * are read and given to write. */
    enum transport_result (*send_file)(struct stream *stream, int fd, uint64_t offset,
                                       size_t octets, size_t *taken, struct error *error);
    /* Tells the peer that nothing follows. One try; it may fail. */
    void (*end_output)(struct stream *stream);
    /* There are octets that a readable descriptor would not announce. NULL: never. */
    bool (*pending)(const struct stream *stream);
    /* Frees `state`. NULL: there is none. */
    void (*clear)(struct stream *stream);
};

/* A file that pieces of are to be sent, closed when the last piece is gone and the maker let go. */
struct stream_file;
struct stream_segment;

struct stream {
    void *owner; /* the caller's; NULL after stream_init */

    /* The rest is stream.c's, and `fd`, `state` and `transport` the transport's; owners use the
     * functions. */
    int fd; /* -1 once closed */
    struct turn *turn;
    const struct stream_handler *handler;
    const struct stream_transport *transport;
    const struct stream_transport *next_transport; /* takes over when the output has left */
    void *state;
    void *next_state;
    struct stream_limits limits;

    uint8_t *input;
    size_t input_start; /* consumed octets before the first that is not */
    size_t input_end;
    size_t input_capacity;
    size_t read_size; /* room for the next read: grows with a peer that fills it */

    struct stream_segment *output; /* a list, oldest first */
    size_t output_octets;          /* in memory */
    unsigned output_files;         /* pieces of files that wait */

    ev_io reader;
    ev_io writer;
    int read_wants; /* EV_READ, EV_WRITE: what must happen before the next try; 0: nothing */
    int write_wants;

    /* CLOCK_MONOTONIC in milliseconds, 0: none. Looked at when the timer goes off; setting one does
     * not touch the timer unless it would go off too late. */
    ev_timer timer;
    uint64_t timer_at;
    uint64_t deadline;      /* the owner's */
    uint64_t stalled_since; /* output waits for the peer, which took nothing since then */
    uint64_t linger_until;  /* the output has ended; the peer has until then */
    unsigned linger_ms;

    struct deferred at_turn_end;
    struct deferred in_next_turn;

    struct stream *sink;   /* where the input is carried, instead of to the owner */
    struct stream *source; /* the other way round */

    uint64_t octets_in; /* for the log; as the owner sees them, without TLS's own */
    uint64_t octets_out;

    bool handshaking;
    bool input_ended;
    bool paused; /* by stream_await_empty() */
    bool above_high_water;
    bool drained_due; /* on_drained is to be called */
    bool ending;      /* nothing will be written behind what waits */
    bool output_ended;
    bool finishing;
    bool failed;
    struct error error; /* why, where failed */
};

/* Takes the connected, non-blocking socket on success and failure alike; reading begins in the
 * next turn. Deadlines: none. The turn's loop is the stream's. */
void stream_init(struct stream *stream, struct turn *turn, int fd,
                 const struct stream_handler *handler, const struct stream_limits *limits);

/* The peer's first octets, read by somebody else before this stream was made: right after
 * stream_init they are put into the input, however many there are. No on_input for them alone. */
bool stream_begin_with(struct stream *stream, struct slice octets, struct error *error);

/* Closes the connection at once, without another word or call; output that waits is lost. May run
 * twice, and on a zeroed struct. */
void stream_clear(struct stream *stream);

/* ---- input ---- */

/* What has come and was not consumed. Borrowed until the end of the turn, whatever is consumed
 * meanwhile. */
struct slice stream_input(const struct stream *stream);
/* The peer's octets, read by somebody else before those that are in the input: they are put there
 * before these, however many there are. What was borrowed is gone. */
bool stream_put_before(struct stream *stream, struct slice octets, struct error *error);
void stream_consume(struct stream *stream, size_t octets);

/* The peer will send no more than what stream_input still holds. */
static inline bool stream_at_end(const struct stream *stream)
{
    return stream->input_ended;
}

/* Zeroes the consumed octets, where they held a secret; they are no longer to be used. */
void stream_wipe_consumed(struct stream *stream);

/* Forgets unread octets and says how many they were. A server does so between its answer to
 * STARTTLS and stream_start_transport: what came in the clear behind that command must not be taken
 * for what comes protected (RFC 3207 6, CVE-2011-0411). */
size_t stream_discard_input(struct stream *stream);

/* ---- output ---- */

/* Copies the octets; never blocks; more than limits.output waiting is a failure. */
void stream_write(struct stream *stream, struct slice octets);

/* Writes past the empty output queue; how many octets were taken. A transport that wants them again
 * gets them from the queue, where the caller puts the rest. */
size_t stream_write_through(struct stream *stream, struct slice octets);

/* Takes *fd, a regular file, and sets it to -1; NULL where there is no memory (*fd stays). */
struct stream_file *stream_file_new(int *fd);
void stream_file_release(struct stream_file *file); /* the maker's share; NULL is fine */

/* Octets of a file, without copying them where the transport can. A file that turns out shorter
 * fails the stream: the peer was promised them. */
void stream_write_file(struct stream *stream, struct stream_file *file, uint64_t offset,
                       uint64_t octets);

/* The owner produces no more until on_drained. */
bool stream_output_full(const struct stream *stream);

/* Nothing more is read, and on_drained is called as soon as all is written. */
void stream_await_empty(struct stream *stream);

/* Nothing waits to be written. */
static inline bool stream_output_empty(const struct stream *stream)
{
    return stream->output == NULL;
}

/* The last word is written, but the peer may go on to speak and be listened to: ends the output
 * once it has left. */
void stream_end_output(struct stream *stream);

/* From now on what comes in on `from` goes out on `to`, with one copy, and no more is read than
 * `to` takes; from's on_input is called for its end alone. The other direction is another call.
 * Ends when either is cleared or has closed. */
void stream_carry(struct stream *from, struct stream *to);
/* What comes in on `from` is its owner's again; what is carried already still goes out. */
void stream_carry_no_more(struct stream *from);

/* ---- the rest ---- */

/* on_deadline is called in so many milliseconds; replaces the one before; 0: none. Costs a few
 * stores: call it for every command. */
void stream_set_deadline_ms(struct stream *stream, unsigned milliseconds);

/* The last word is written: sends what waits, ends the output, discards what still comes until the
 * peer ends too or linger_ms have passed (or its answer to our last words would be a reset that
 * destroys them), then on_closed(NULL). With 0, for a peer that has said its last word too, it is
 * closed at once when all is sent. No other handler is called any more. A deadline set after this
 * call cuts all of it short. */
void stream_finish(struct stream *stream, unsigned linger_ms);

/* The last word is written, and nobody waits until it is read: one try to send what waits, then as
 * stream_clear. Not from a handler of this stream. */
void stream_end_now(struct stream *stream);

/* Failed, finishing or closed: there is no point in computing another reply. */
static inline bool stream_is_over(const struct stream *stream)
{
    return stream->failed || stream->finishing || stream->fd < 0;
}

/* Gives the connection away: *fd is the caller's, the stream is as cleared, and the input that was
 * read but not consumed is in *rest (which the caller initialised). False, and nothing is changed,
 * if output still waits, the transport is not the plain one, or *rest has no room. */
bool stream_detach(struct stream *stream, int *fd, struct buffer *rest, struct error *error);

/* For transports: takes over once the output that waits has left, at once if none does. The input
 * must be empty (stream_discard_input), the plain transport in use; until on_secured (which one
 * without a handshake has no call of: while stream_is_changing) the owner writes only what is to go
 * protected if nothing waited, else nothing. */
void stream_start_transport(struct stream *stream, const struct stream_transport *transport,
                            void *state);

/* The output still waits behind which another transport takes over; nothing is read. */
static inline bool stream_is_changing(const struct stream *stream)
{
    return stream->next_transport != NULL;
}

/* The plain transport takes over in the same way. */
void stream_use_plain(struct stream *stream);

/* For transports and for owners that met a fatal error of their own: the stream fails, and says so
 * with on_closed at the end of the turn. */
void stream_fail(struct stream *stream, const struct error *why);

#endif
