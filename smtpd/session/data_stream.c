/*
 * The decoder of data_stream.h. Its common path is three memchr() a line. Pure.
 *
 *                    ┌────────────── LF ──────────────┐
 *                    v                                │
 *   begin ──> LINE_START ──> IN_LINE ──── CR ──> AFTER_CR
 *                 │             ^ ^                   │
 *                "."            │ └── another octet ──┘ fault, or a bare CR kept
 *                 v             │
 *             AFTER_DOT ────────┤
 *                 │             │
 *                CR             │ fault, or the CR kept
 *                 v             │
 *           AFTER_DOT_CR ───────┘
 *                 └── LF ──> the end
 *
 * Octets go out as soon as they are seen. Held back is only what may be the end of the message: a
 * dot at the start of a line, which is never part of it, and a CR after it.
 */
#include "smtpd/session/data_stream.h"

void smtp_data_begin(struct smtp_data_stream *stream, const struct smtp_data_rules *rules)
{
    *stream = (struct smtp_data_stream){.rules = *rules, .position = SMTP_DATA_LINE_START};
}

void smtp_data_begin_chunked(struct smtp_data_stream *stream, const struct smtp_data_rules *rules)
{
    smtp_data_begin(stream, rules);
    stream->chunked = true;
}

void smtp_data_begin_chunk(struct smtp_data_stream *stream, uint64_t octets)
{
    stream->chunk_left = octets;
}

/* Which of the octets of a line is the first that may not be there: octet by octet, once. */
static enum smtp_data_fault find_first_fault(const struct smtp_data_stream *stream,
                                             struct slice run)
{
    uint64_t room = stream->rules.line_limit - 2 - stream->line_octets;
    for (size_t i = 0; i < run.len; i++) {
        if (run.ptr[i] == '\0')
            return SMTP_DATA_NUL;
        if (run.ptr[i] == '\n' && !stream->rules.keep_bare)
            return SMTP_DATA_BARE_LINE_END;
        if (i >= room)
            return SMTP_DATA_LINE_TOO_LONG;
    }
    return SMTP_DATA_FINE;
}

/* Takes octets of a line, none of them a CR that ends it. */
static void take_run(struct smtp_data_stream *stream, struct slice run)
{
    if (stream->fault != SMTP_DATA_FINE || run.len == 0)
        return;
    if (memchr(run.ptr, '\n', run.len) || memchr(run.ptr, '\0', run.len)
        || run.len > stream->rules.line_limit - 2 - stream->line_octets)
        stream->fault = find_first_fault(stream, run);
    stream->line_octets += run.len;
}

/* A CR that did not end the line it stands in. */
static void take_bare_cr(struct smtp_data_stream *stream)
{
    if (stream->fault == SMTP_DATA_FINE && !stream->rules.keep_bare)
        stream->fault = SMTP_DATA_BARE_LINE_END;
    take_run(stream, SLICE("\r"));
    stream->position = SMTP_DATA_IN_LINE;
}

/* Up to a CR, or the end of the input. */
static void take_line(struct smtp_data_stream *stream, struct cursor *in)
{
    const uint8_t *cr = memchr(in->at, '\r', cursor_left(in));
    const uint8_t *end = cr ? cr : in->end;
    take_run(stream, slice_of(in->at, (size_t)(end - in->at)));
    in->at = cr ? cr + 1 : end;
    stream->position = cr ? SMTP_DATA_AFTER_CR : SMTP_DATA_IN_LINE;
}

static void take_after_cr(struct smtp_data_stream *stream, struct cursor *in)
{
    if (!cursor_skip(in, '\n')) {
        take_bare_cr(stream);
        return;
    }
    stream->position = SMTP_DATA_LINE_START;
    stream->line_octets = 0;
}

/* Behind a line start, a dot and a CR. */
static enum parse_result take_after_dot_cr(struct smtp_data_stream *stream, struct cursor *in,
                                           struct slice *piece)
{
    if (cursor_skip(in, '\n'))
        return PARSE_DONE;
    take_bare_cr(stream);
    *piece = SLICE("\r"); /* the CR held back may be in an input long gone */
    return PARSE_MORE;
}

/* The longest run of octets that lie together in the input and in the message. */
static void take_together(struct smtp_data_stream *stream, struct cursor *in)
{
    while (!cursor_at_end(in)) {
        if (stream->position == SMTP_DATA_AFTER_CR)
            take_after_cr(stream, in);
        else if (stream->position == SMTP_DATA_LINE_START && !stream->chunked && *in->at == '.')
            return;
        else
            take_line(stream, in);
    }
}

static enum parse_result take_piece(struct smtp_data_stream *stream, struct cursor *in,
                                    struct slice *piece)
{
    if (stream->position == SMTP_DATA_AFTER_DOT)
        stream->position = cursor_skip(in, '\r') ? SMTP_DATA_AFTER_DOT_CR : SMTP_DATA_IN_LINE;
    if (stream->position == SMTP_DATA_AFTER_DOT_CR)
        return cursor_at_end(in) ? PARSE_MORE : take_after_dot_cr(stream, in, piece);
    struct cursor start = *in;
    take_together(stream, in);
    *piece = cursor_since(in, &start);
    if (piece->len == 0 && cursor_skip(in, '.'))
        stream->position = SMTP_DATA_AFTER_DOT;
    return PARSE_MORE;
}

/* The input up to the chunk's end and to the first octet that is too many, so that the fault which
 * comes first in the message is met first. */
static struct cursor cut_input(const struct smtp_data_stream *stream, const struct cursor *in)
{
    uint64_t left = cursor_left(in);
    if (stream->chunked && stream->chunk_left < left)
        left = stream->chunk_left;
    uint64_t room = stream->rules.size_limit - stream->octets + 1;
    if (stream->fault == SMTP_DATA_FINE && room < left)
        left = room;
    return (struct cursor){in->at, in->at + left};
}

static void count_piece(struct smtp_data_stream *stream, struct slice *piece)
{
    if (stream->fault == SMTP_DATA_FINE && piece->len > stream->rules.size_limit - stream->octets)
        stream->fault = SMTP_DATA_TOO_LARGE;
    if (stream->fault != SMTP_DATA_FINE)
        *piece = SLICE("");
    stream->octets += piece->len;
}

enum parse_result smtp_data_next(struct smtp_data_stream *stream, struct cursor *in,
                                 struct slice *piece)
{
    *piece = SLICE("");
    while (!cursor_at_end(in) && (!stream->chunked || stream->chunk_left > 0)) {
        struct cursor window = cut_input(stream, in);
        enum parse_result result = take_piece(stream, &window, piece);
        if (stream->chunked)
            stream->chunk_left -= cursor_since(&window, in).len;
        in->at = window.at;
        count_piece(stream, piece);
        if (result == PARSE_DONE || piece->len > 0)
            return result;
    }
    return stream->chunked && stream->chunk_left == 0 ? PARSE_DONE : PARSE_MORE;
}

struct slice smtp_data_end_chunks(struct smtp_data_stream *stream)
{
    if (stream->position == SMTP_DATA_LINE_START || stream->fault != SMTP_DATA_FINE)
        return SLICE("");
    if (stream->position == SMTP_DATA_AFTER_CR)
        take_bare_cr(stream);
    struct slice piece = SLICE("\r\n");
    stream->position = SMTP_DATA_LINE_START;
    count_piece(stream, &piece);
    return piece;
}

struct smtp_reply smtp_data_fault_reply(const struct smtp_data_stream *stream, struct buffer *text)
{
    switch (stream->fault) {
    case SMTP_DATA_BARE_LINE_END:
        return SMTP_REPLY(550, "5.6.11",
                          "The message has a CR or LF that is not part of a CRLF (RFC 5321 2.3.8)");
    case SMTP_DATA_NUL:
        return SMTP_REPLY(550, "5.6.11", "The message has a NUL octet (RFC 5321 4.5.2)");
    case SMTP_DATA_LINE_TOO_LONG:
        buffer_append_format(text,
                             "The message has a line of more than %llu octets"
                             " (limits.text-line)",
                             (unsigned long long)stream->rules.line_limit);
        return (struct smtp_reply){554, SLICE("5.6.0"), buffer_slice(text)};
    default:
        buffer_append_format(text, "The message is larger than %llu octets (limits.message-size)",
                             (unsigned long long)stream->rules.size_limit);
        return (struct smtp_reply){552, SLICE("5.3.4"), buffer_slice(text)};
    }
}
