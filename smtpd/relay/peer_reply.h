/*
 * Replies of an SMTP or LMTP server, RFC 5321 4.2:
 *
 *     Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP [ textstring ] ] CRLF
 *
 * What servers say in practice is taken: LF alone as the end of a line, text of any octets. What
 * could be read in two ways is not: another code in the middle of a reply, another sign after it.
 * Pure; relay.
 */
#ifndef SMTPD_RELAY_PEER_REPLY_H
#define SMTPD_RELAY_PEER_REPLY_H

#include "common/text/cursor.h"

enum {
    PEER_REPLY_LINE_MAX = 4096, /* octets with the line end; RFC 5321 4.5.3.1.5 asks for 512 */
    PEER_REPLY_MAX = 65536,     /* octets of all lines of a reply */
};

/* Borrows from the input. */
struct peer_reply {
    unsigned code;         /* 200..599 */
    struct slice lines;    /* as they came */
    struct slice enhanced; /* "5.1.1" of the first line, RFC 2034; empty: none of code's class */
};

/* How far a reply is known whose end has not come yet. Zeroed before the first. */
struct peer_reply_reader {
    size_t octets; /* of whole lines */
    unsigned code;
};

/* Takes a reply off the front of *in, which moves with PARSE_DONE alone. After PARSE_MORE the next
 * call has the same octets and more. PARSE_BAD: no reply, or beyond the limits. */
enum parse_result peer_reply_read(struct peer_reply_reader *reader, struct cursor *in,
                                  struct peer_reply *reply);

/* The text of each line, without code, sign and line end, off the front of *rest, which begins as
 * reply->lines. False at the end. */
bool peer_reply_next_line(struct slice *rest, struct slice *text);

static inline bool peer_reply_is(const struct peer_reply *reply, unsigned class)
{
    return reply->code / 100 == class;
}

#endif
