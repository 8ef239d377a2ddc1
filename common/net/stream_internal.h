/* What the files of common/net/stream.h share. */
#ifndef COMMON_NET_STREAM_INTERNAL_H
#define COMMON_NET_STREAM_INTERNAL_H

#include "common/net/stream.h"

enum {
    STREAM_TURN_OCTETS = 1 << 18, /* read or written in a turn; then others have theirs */
    STREAM_PIECES = 16,           /* given to one write of a transport, at most */
};

/* At the end of the turn the stream is written, watched and reported as it then stands. */
void stream_settle_later(struct stream *stream);

/* The timer goes off no later than at that time. */
void stream_arm_timer(struct stream *stream, uint64_t at);

/* Writes until the output is empty, the peer takes no more, or the turn's share is used up. */
void stream_flush(struct stream *stream);

void stream_drop_output(struct stream *stream);

#endif
