/*
 * One connection as a stream of octets in each direction, on an event loop. Nothing blocks, nothing
 * grows without bound, and every wait can have a deadline. Any process. TLS is a transport of its
 * own (common/tls/tls_stream), so that only processes that use it link OpenSSL.
 *
 *     peer ──read──> input (bounded) ──stream_input, stream_consume──> owner
 *     peer <──write── output (bounded: octets, pieces of files) <──stream_write── owner
 *
 * The loop calls the owner through its stream_handler, never from inside a stream_* call, so a
 * handler may call any function here, even stream_clear(). It must not free the struct stream, or
 * the object that contains it, before the end of the turn: see common/role/turn.h.
 *
 * Failure is sticky: after it every call does nothing, and on_closed is called once. So writes need
 * no check.
 *
 * Reading stops by itself while the input is full, while the output is above its high-water mark
 * (the peer does not read its replies), and at the end of input. Output is sent at the end of the
 * turn in which it was written, in as few system calls as possible.
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
    /* New octets have come, or the end of input. Unconsumed octets stay in the input. */
    void (*on_input)(struct stream *stream);
    /* The output was above its high-water mark and is now below half of it. Optional. An owner that
     * left octets in the input because the output was full goes on with them here. */
    void (*on_drained)(struct stream *stream);
    /* The transport's handshake is done (common/tls/tls_stream.h). Optional. */
    void (*on_secured)(struct stream *stream);
    /* The deadline set with stream_set_deadline_ms() has passed; none is set now. */
    void (*on_deadline)(struct stream *stream);
    /* The connection has ended; the last call, made once. `why`: NULL after stream_finish(), else
     * the reason. The owner must end its session and call stream_clear(). */
    void (*on_closed)(struct stream *stream, const struct error *why);
};

struct stream_limits {
    size_t input;        /* octets held unconsumed; at least the longest line the owner reads */
    size_t high_water;   /* output octets above which reading stops, see stream_output_full() */
    size_t output;       /* output octets that end the connection; above high_water + one reply */
    unsigned stalled_ms; /* the stream fails if the peer takes no output for this long */
};

enum transport_result {
    TRANSPORT_DONE,
    TRANSPORT_WANT_READ,  /* again when the descriptor is readable */
    TRANSPORT_WANT_WRITE, /* again when it is writable */
    TRANSPORT_END,        /* read only: the peer will send no more */
    TRANSPORT_FAILED,     /* *error says why */
};

/* Moves octets between the stream and the descriptor; stream.c has that of a plain socket.
 * Functions may be NULL where the comment says so. stream->state belongs to the transport. */
struct stream_transport {
    /* Until DONE nothing is read or written. NULL: no handshake. */
    enum transport_result (*handshake)(struct stream *stream, struct error *error);
    bool peer_begins; /* the peer sends first: the handshake needs no memory before that */
    /* DONE: *got is 1..size octets. */
    enum transport_result (*read)(struct stream *stream, void *octets, size_t size, size_t *got,
                                  struct error *error);
    /* DONE: *taken is at least one octet. After WANT_* the next call has the same octets, possibly
     * followed by more. `more`: another write follows at once. */
    enum transport_result (*write)(struct stream *stream, const struct iovec *pieces, int count,
                                   bool more, size_t *taken, struct error *error);
    /* As write, with octets of a file. DONE with *taken 0: the file ends at `offset`. NULL: the
     * stream reads the file and calls write. */
    enum transport_result (*send_file)(struct stream *stream, int fd, uint64_t offset,
                                       size_t octets, size_t *taken, struct error *error);
    /* Tells the peer that nothing follows. Tried once; failure is ignored. */
    void (*end_output)(struct stream *stream);
    /* Whether octets can be read though the descriptor is not readable. NULL: never. */
    bool (*pending)(const struct stream *stream);
    /* Frees `state`. NULL: there is none. */
    void (*clear)(struct stream *stream);
};

/* A file to send pieces of. Closed when all pieces have been sent and its maker has released it. */
struct stream_file;
struct stream_segment;

struct stream {
    void *owner; /* for the owner's use; NULL after stream_init() */

    /* Private to stream.c, except `fd`, `state` and `transport`, which transports use too. */
    int fd; /* -1 once closed */
    struct turn *turn;
    const struct stream_handler *handler;
    const struct stream_transport *transport;
    const struct stream_transport *next_transport; /* takes over when the output has been sent */
    void *state;
    void *next_state;
    struct stream_limits limits;

    uint8_t *input;
    size_t input_start; /* offset of the first octet not yet consumed */
    size_t input_end;
    size_t input_capacity;
    size_t read_size; /* size of the next read; grows when the peer fills it */

    struct stream_segment *output; /* a list, oldest first */
    size_t output_octets;          /* octets in memory */
    unsigned output_files;         /* pieces of files not sent yet */

    ev_io reader;
    ev_io writer;
    int read_wants;  /* EV_READ, EV_WRITE: event to wait for before the next read; 0: none */
    int write_wants; /* EV_READ, EV_WRITE: event to wait for before the next write; 0: none */

    /* CLOCK_MONOTONIC in milliseconds, 0: none. Checked when the timer fires; setting one does not
     * touch the timer unless it would fire too late. */
    ev_timer timer;
    uint64_t timer_at;
    uint64_t deadline;      /* set by the owner */
    uint64_t stalled_since; /* output is waiting, and the peer has taken none since then */
    uint64_t linger_until;  /* the output has ended; the connection is closed then at the latest */
    unsigned linger_ms;

    struct deferred at_turn_end;
    struct deferred in_next_turn;

    struct stream *sink;   /* the stream that our input is carried to; NULL: to the owner */
    struct stream *source; /* the stream that is carried to us; NULL: none */

    uint64_t octets_in;  /* received, for the log: as the owner sees them, without TLS overhead */
    uint64_t octets_out; /* sent, for the log: as the owner sees them, without TLS overhead */

    bool handshaking;
    bool input_ended;
    bool paused; /* by stream_await_empty() */
    bool above_high_water;
    bool drained_due; /* on_drained is to be called */
    bool ending;      /* the owner will write nothing more */
    bool output_ended;
    bool finishing;
    bool failed;
    struct error error; /* why it failed; valid if `failed` */
};

/* Takes the connected, non-blocking socket, whether it succeeds or not; reading begins in the next
 * turn. No deadline is set. The stream runs on the turn's loop. */
void stream_init(struct stream *stream, struct turn *turn, int fd,
                 const struct stream_handler *handler, const struct stream_limits *limits);

/* Right after stream_init(): puts octets of the peer that were read elsewhere into the input,
 * however many there are. Does not cause on_input. */
bool stream_begin_with(struct stream *stream, struct slice octets, struct error *error);

/* Closes the connection at once, without a call to the handler; unsent output is lost. May run
 * twice, and on a zeroed struct. */
void stream_clear(struct stream *stream);

/* ---- input ---- */

/* The octets received and not yet consumed. Borrowed until the end of the turn, even if they are
 * consumed meanwhile. */
struct slice stream_input(const struct stream *stream);
/* Puts octets of the peer that were read elsewhere before those in the input, however many there
 * are. Invalidates what stream_input() has returned. */
bool stream_put_before(struct stream *stream, struct slice octets, struct error *error);
void stream_consume(struct stream *stream, size_t octets);

/* The peer will send nothing more than stream_input() holds now. */
static inline bool stream_at_end(const struct stream *stream)
{
    return stream->input_ended;
}

/* Zeroes the consumed octets, if they held a secret; slices of them are invalid afterwards. */
void stream_wipe_consumed(struct stream *stream);

/* Discards unread octets; returns their number. A server does so between its answer to STARTTLS and
 * stream_start_transport(): plaintext sent after that command must not be taken for protected input
 * (RFC 3207 6, CVE-2011-0411). */
size_t stream_discard_input(struct stream *stream);

/* ---- output ---- */

/* Copies the octets to the output; never blocks. The stream fails if more than limits.output
 * wait. */
void stream_write(struct stream *stream, struct slice octets);

/* If the output queue is empty, writes directly to the transport. Returns the number of octets
 * taken; the caller must then stream_write() the rest, which a transport may need to see again. */
size_t stream_write_through(struct stream *stream, struct slice octets);

/* Takes *fd, a regular file, and sets it to -1. NULL: no memory, *fd is unchanged. */
struct stream_file *stream_file_new(int *fd);
void stream_file_release(struct stream_file *file); /* by its maker; NULL is fine */

/* Writes octets of a file, without copying them if the transport can. If the file is shorter the
 * stream fails, since the peer was promised that many. */
void stream_write_file(struct stream *stream, struct stream_file *file, uint64_t offset,
                       uint64_t octets);

/* Whether the owner should write nothing more until on_drained. */
bool stream_output_full(const struct stream *stream);

/* Stops reading until the output is empty; on_drained is called then. */
void stream_await_empty(struct stream *stream);

/* Whether all output has been sent. */
static inline bool stream_output_empty(const struct stream *stream)
{
    return stream->output == NULL;
}

/* Ends the output once it has been sent; the input stays open. */
void stream_end_output(struct stream *stream);

/* From now on the input of `from` becomes output of `to`, with one copy; no more is read than `to`
 * takes. from's on_input is called only at the end of input. The other direction needs another
 * call. Ends when either stream is cleared or has closed. */
void stream_carry(struct stream *from, struct stream *to);
/* From now on the input of `from` goes to its owner again; octets already carried are still
 * sent. */
void stream_carry_no_more(struct stream *from);

/* ---- the rest ---- */

/* Calls on_deadline in that many milliseconds; replaces the previous deadline; 0: none. Cheap
 * enough to be called for every command. */
void stream_set_deadline_ms(struct stream *stream, unsigned milliseconds);

/* Closes the connection gracefully: sends the output, ends it, discards input until the peer ends
 * too or linger_ms have passed (closing earlier could cause a reset that destroys our last octets),
 * then calls on_closed(NULL). linger_ms 0, for a peer that has ended already: closes as soon as all
 * is sent. No other handler is called any more. A deadline set after this call cuts it short. */
void stream_finish(struct stream *stream, unsigned linger_ms);

/* Tries once to send the output, then does as stream_clear(). Not from a handler of this stream. */
void stream_end_now(struct stream *stream);

/* Failed, finishing or closed: further output is pointless. */
static inline bool stream_is_over(const struct stream *stream)
{
    return stream->failed || stream->finishing || stream->fd < 0;
}

/* Takes the descriptor out of the stream: *fd is the caller's, unconsumed input is in *rest (which
 * the caller initialised), and the stream is cleared. False, and nothing is changed: output still
 * waits, the transport is not the plain one, or *rest has no room. */
bool stream_detach(struct stream *stream, int *fd, struct buffer *rest, struct error *error);

/* For transports: `transport` takes over once the waiting output has been sent, at once if there is
 * none. The input must be empty (stream_discard_input) and the plain transport in use. If output
 * was waiting the owner must write nothing until on_secured (without a handshake: while
 * stream_is_changing()); else what it writes goes through the new transport. */
void stream_start_transport(struct stream *stream, const struct stream_transport *transport,
                            void *state);

/* Another transport will take over when the output has been sent; nothing is read until then. */
static inline bool stream_is_changing(const struct stream *stream)
{
    return stream->next_transport != NULL;
}

/* Changes back to the plain transport in the same way. */
void stream_use_plain(struct stream *stream);

/* Makes the stream fail, for transports and for owners after a fatal error of their own: on_closed
 * is called at the end of the turn. */
void stream_fail(struct stream *stream, const struct error *why);

#endif
