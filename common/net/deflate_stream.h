/*
 * A stream (common/net/stream.h) whose octets are compressed both ways: raw DEFLATE (RFC 1951) over
 * the descriptor that the stream has, which may lead to a client or to who carries its TLS. Only
 * who calls this links zlib.
 *
 * What is written in a turn ends in a sync flush, so that the peer can read all of it. A stream
 * costs up to 140 KiB: the peer's window of 32 KiB, ours of 8 KiB, which compresses mail to 36 %
 * where 32 KiB come to 33 %, their tables, and 16 KiB of packed octets each way. However much a few
 * octets expand to, no more of them is expanded than the input has room for.
 */
#ifndef COMMON_NET_DEFLATE_STREAM_H
#define COMMON_NET_DEFLATE_STREAM_H

#include "common/net/stream.h"

struct deflate_state;

/* What a stream needs to be compressed, for deflate_stream_start(). NULL: no memory. */
struct deflate_state *deflate_state_new(void);

/* Takes the state. Compresses from behind what waits to be written, and expands what comes from now
 * on: the input must be empty. While stream_is_changing(), nothing more is written. Octets that are
 * no DEFLATE end the stream: ERROR_PEER. stream_use_plain() ends it. */
void deflate_stream_start(struct stream *stream, struct deflate_state *state);

/* Started, and not ended since. */
bool deflate_stream_is_active(const struct stream *stream);

/* The peer's next octet may be one that is not compressed: all that came is expanded, and ends
 * where a sync flush or the peer's last block does. */
bool deflate_stream_is_at_rest(const struct stream *stream);

#endif
