/*
 * Compression of a stream (common/net/stream.h) in both directions: raw DEFLATE (RFC 1951) on its
 * descriptor, which leads to a client or to the process that carries the client's TLS. Only
 * processes that use this link zlib.
 *
 * The output of each turn ends with a sync flush, so that the peer can read all of it. A stream
 * costs up to 140 KiB: the peer's window of 32 KiB, ours of 8 KiB (it compresses mail to 36 %; 32
 * KiB would reach 33 %), their tables, and 16 KiB of compressed octets each way. Input is never
 * expanded beyond the room in the stream's input, whatever its ratio.
 */
#ifndef COMMON_NET_DEFLATE_STREAM_H
#define COMMON_NET_DEFLATE_STREAM_H

#include "common/net/stream.h"

struct deflate_state;

/* The state for deflate_stream_start(). NULL: no memory. */
struct deflate_state *deflate_state_new(void);

/* Takes the state. Compresses all output after what waits already, and expands all input from now
 * on; the input must be empty. The owner must write nothing while stream_is_changing(). Input that
 * is not DEFLATE makes the stream fail with ERROR_PEER. stream_use_plain() ends compression. */
void deflate_stream_start(struct stream *stream, struct deflate_state *state);

/* Whether compression was started and has not ended since. */
bool deflate_stream_is_active(const struct stream *stream);

/* Whether the peer may switch to uncompressed octets now: all input so far has been expanded, and
 * ended with a sync flush or the last block. */
bool deflate_stream_is_at_rest(const struct stream *stream);

#endif
