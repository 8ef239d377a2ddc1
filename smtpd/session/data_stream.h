/*
 * The text of a message as DATA (RFC 5321 4.1.1.4, 4.5.2) or BDAT (RFC 3030) bring it, decoded as
 * it comes: dots unstuffed, the end found, one set of rules for the lines of both. The same
 * whatever the split of the input. Holds no octet of it: what comes out are pieces of the input.
 * Pure; sessions.
 *
 *     smtp_data_begin(&stream, &rules);
 *     while ((result = smtp_data_next(&stream, &in, &piece)) == PARSE_MORE && piece.len > 0)
 *         keep(piece);
 *     PARSE_DONE: the end; look at stream.fault.     PARSE_MORE: all of the input is used up.
 *
 * After a fault no piece comes any more, but the end is still looked for, so that the reply goes
 * out where the client waits for one and nothing of the message is taken for commands.
 *
 * Only CRLF ends a line and only CRLF "." CRLF the message, whatever the rules. A CR or LF alone
 * is a fault, or kept as an octet like any other; that is how the receivers of this message and we
 * never disagree where it ends (SMTP smuggling). NUL is always a fault.
 */
#ifndef SMTPD_SESSION_DATA_STREAM_H
#define SMTPD_SESSION_DATA_STREAM_H

#include "common/text/cursor.h"
#include "smtpd/session/reply.h"

struct smtp_data_rules {
    uint64_t size_limit; /* octets of the message, as decoded; at most UINT64_MAX - 1 */
    uint64_t line_limit; /* octets of a line with its CRLF, as decoded; at least 2 */
    bool keep_bare;      /* a CR or LF alone is kept, not refused */
};

/* The first in the message wins. */
enum smtp_data_fault {
    SMTP_DATA_FINE = 0,
    SMTP_DATA_BARE_LINE_END,
    SMTP_DATA_NUL,
    SMTP_DATA_LINE_TOO_LONG,
    SMTP_DATA_TOO_LARGE,
};

enum smtp_data_position {
    SMTP_DATA_LINE_START,
    SMTP_DATA_IN_LINE,
    SMTP_DATA_AFTER_CR,
    SMTP_DATA_AFTER_DOT,    /* the dot at the start of a line is not part of the message */
    SMTP_DATA_AFTER_DOT_CR, /* nor is, perhaps, the CR after it */
};

struct smtp_data_stream {
    enum smtp_data_fault fault; /* the caller's to read */
    uint64_t octets;            /* handed out, or to be handed out with the last piece */

    struct smtp_data_rules rules; /* the rest is data_stream.c's */
    enum smtp_data_position position;
    bool chunked;         /* BDAT: no dots, the chunk's size is the end */
    uint64_t chunk_left;  /* octets */
    uint64_t line_octets; /* of the line at hand */
};

/* Starts a message of DATA. */
void smtp_data_begin(struct smtp_data_stream *stream, const struct smtp_data_rules *rules);

/* Starts a message of BDAT; then, for each chunk, begin_chunk and smtp_data_next until PARSE_DONE.
 * Lines go on from chunk to chunk. */
void smtp_data_begin_chunked(struct smtp_data_stream *stream, const struct smtp_data_rules *rules);
void smtp_data_begin_chunk(struct smtp_data_stream *stream, uint64_t octets);

/* Behind the last chunk: the CRLF that completes a last line which has none, else empty. A CR at
 * the very end is a bare one. Look at `fault` after it. */
struct slice smtp_data_end_chunks(struct smtp_data_stream *stream);

/* PARSE_DONE, with an empty piece: the end of the message, or of the chunk; the cursor stands
 * after it. PARSE_MORE with a piece: it belongs to the message (it lies in the input, or is
 * static); call again. PARSE_MORE without one: the input is used up. Never PARSE_BAD. */
enum parse_result smtp_data_next(struct smtp_data_stream *stream, struct cursor *in,
                                 struct slice *piece);

/* The reply to a message with that fault. `text` holds the words and must outlive the reply. */
struct smtp_reply smtp_data_fault_reply(const struct smtp_data_stream *stream, struct buffer *text);

#endif
