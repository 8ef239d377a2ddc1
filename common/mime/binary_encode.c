/*
 * The encoder of binary_encode.h. The scan says where headers and parts end; it is fed line by
 * line, so that what goes out can follow it:
 *
 *     header   held until it has ended: then its encoding is known, and replaced if it is binary
 *     body     copied, or base64 in a binary part; a line that may be a boundary is held, and in a
 *              binary part the line end before it, which belongs to the boundary (RFC 2046 5.1.1)
 */
#include "common/mime/binary_encode.h"

#include <string.h>

#include "common/mime/content.h"
#include "common/mime/header.h"
#include "common/text/base64.h"

void binary_encode_init(struct binary_encode *encode, const struct mime_limits *limits)
{
    *encode = (struct binary_encode){
        .header = BUFFER_WITH_LIMIT(BINARY_ENCODE_HEADER_LIMIT),
        .held = BUFFER_WITH_LIMIT(BINARY_ENCODE_BOUNDARY_LIMIT + 2),
    };
    arena_init(&encode->arena, mime_arena_limit(limits));
    mime_scan_init(&encode->scan, &encode->arena, limits);
}

void binary_encode_clear(struct binary_encode *encode)
{
    mime_scan_clear(&encode->scan);
    buffer_clear(&encode->header);
    buffer_clear(&encode->held);
    arena_clear(&encode->arena);
}

/* ---- base64 ---- */

static void write_line(struct binary_encode *encode, struct buffer *out)
{
    if (encode->any_line)
        buffer_append(out, SLICE("\r\n"));
    base64_encode(slice_of(encode->rest, encode->rest_octets), out);
    encode->any_line = true;
    encode->rest_octets = 0;
}

static void write_base64(struct binary_encode *encode, struct slice octets, struct buffer *out)
{
    while (octets.len > 0) {
        size_t room = BINARY_ENCODE_LINE_OCTETS - encode->rest_octets;
        struct slice taken = slice_range(octets, 0, room);
        memcpy(encode->rest + encode->rest_octets, taken.ptr, taken.len);
        encode->rest_octets += taken.len;
        octets = slice_from(octets, taken.len);
        if (encode->rest_octets == BINARY_ENCODE_LINE_OCTETS)
            write_line(encode, out);
    }
}

static void release_line_end(struct binary_encode *encode, struct buffer *out)
{
    write_base64(encode, slice_of(encode->line_end, encode->line_end_octets), out);
    encode->line_end_octets = 0;
}

/* Ends the part; the line end before the boundary belongs to the boundary. */
static void end_base64(struct binary_encode *encode, struct buffer *out)
{
    if (encode->rest_octets > 0)
        write_line(encode, out);
    buffer_append(out, slice_of(encode->line_end, encode->line_end_octets));
    encode->line_end_octets = 0;
    encode->encoding = false;
}

/* ---- headers ---- */

static void note_nul(struct binary_encode *encode, struct slice octets)
{
    if (slice_find_octet(octets, 0) < octets.len)
        encode->problem = BINARY_NUL;
}

static bool is_binary(const struct mime_part *part)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_TRANSFER_ENCODING);
    struct slice word, rest;
    return field && content_word_parse(field->body, &word, &rest)
           && slice_equal_nocase(word, SLICE("binary"));
}

static bool is_encoding_field(struct slice line)
{
    struct slice name, body;
    return header_split_line(line, &name, &body)
           && slice_equal_nocase(name, SLICE("Content-Transfer-Encoding"));
}

/* Writes the header with its encoding replaced, dropping the field's continuation lines too. */
static void write_header(struct slice header, struct slice encoding, struct buffer *out)
{
    bool in_field = false;
    while (header.len > 0) {
        size_t end = slice_find_octet(header, '\n');
        struct slice line = slice_range(header, 0, end < header.len ? end + 1 : end);
        bool continues = line.ptr[0] == ' ' || line.ptr[0] == '\t';
        header = slice_from(header, line.len);
        in_field = continues ? in_field : is_encoding_field(slice_range(line, 0, end));
        if (!in_field) {
            buffer_append(out, line);
        } else if (!continues) {
            buffer_append(out, SLICE("Content-Transfer-Encoding: "));
            buffer_append(out, encoding);
            buffer_append(out, SLICE("\r\n"));
        }
    }
}

/* `part` has its header, all of which lies in encode->header. */
static void end_header(struct binary_encode *encode, const struct mime_part *part,
                       struct buffer *out)
{
    struct slice header = buffer_slice(&encode->header);
    bool holds_others = part->kind != MIME_LEAF;
    if (!is_binary(part))
        buffer_append(out, header);
    else
        write_header(header, holds_others ? SLICE("8bit") : SLICE("base64"), out);
    encode->encoding = is_binary(part) && !holds_others;
    encode->any_line = false;
    buffer_reset(&encode->header);
    encode->header_line = 0;
}

/* A whole line has been added to the header; it may be the boundary that cuts it off. */
static void on_header_line(struct binary_encode *encode, struct buffer *out)
{
    struct mime_scan *scan = &encode->scan;
    const struct mime_part *part = scan->innermost;
    mime_scan_feed(scan, slice_from(buffer_slice(&encode->header), encode->header_line));
    encode->header_line = encode->header.len;
    if (scan->innermost == part && scan->in_header)
        return;
    end_header(encode, part, out);
    if (scan->innermost != part) /* it has no body, or its body is a message with its own header */
        encode->encoding = false;
}

static void on_header_run(struct binary_encode *encode, struct slice run, bool ends,
                          struct buffer *out)
{
    note_nul(encode, run);
    buffer_append(&encode->header, run);
    if (encode->header.failed)
        encode->problem = encode->header.len + run.len > BINARY_ENCODE_HEADER_LIMIT
                              ? BINARY_HEADER_TOO_LONG
                              : BINARY_NO_MEMORY;
    else if (ends)
        on_header_line(encode, out);
}

/* ---- bodies ---- */

/* Writes up to the end of a line at most. The line end is held, however it was split. */
static void write_content(struct binary_encode *encode, struct slice octets, struct buffer *out)
{
    if (!encode->encoding) {
        note_nul(encode, octets);
        buffer_append(out, octets);
        return;
    }
    if (octets.len == 0 || !octets.ptr)
        return;
    bool behind_cr = encode->line_end_octets == 1 && encode->line_end[0] == '\r';
    if (behind_cr && slice_equal(octets, SLICE("\n"))) {
        encode->line_end[encode->line_end_octets++] = '\n';
        return;
    }
    release_line_end(encode, out);
    size_t end = octets.len;
    end -= end > 0 && octets.ptr[end - 1] == '\n';
    end -= end > 0 && octets.ptr[end - 1] == '\r';
    write_base64(encode, slice_range(octets, 0, end), out);
    encode->line_end_octets = octets.len - end;
    memcpy(encode->line_end, octets.ptr + end, encode->line_end_octets);
}

/* A whole line: it is a boundary if the scan leaves the part with it. */
static void on_held_line(struct binary_encode *encode, struct buffer *out)
{
    const struct mime_part *part = encode->scan.innermost;
    mime_scan_feed(&encode->scan, buffer_slice(&encode->held));
    if (encode->encoding && encode->scan.innermost != part)
        end_base64(encode, out);
    write_content(encode, buffer_slice(&encode->held), out);
    buffer_reset(&encode->held);
}

/* Octets of a line that cannot be a boundary, since it is too long. */
static void on_content(struct binary_encode *encode, struct slice octets, struct buffer *out)
{
    const struct mime_part *part = encode->scan.innermost;
    mime_scan_feed(&encode->scan, octets);
    if (encode->encoding && encode->scan.innermost != part)
        encode->problem = BINARY_BOUNDARY_TOO_LONG;
    write_content(encode, octets, out);
}

/* Whether the held part of a line may begin a boundary. */
static bool may_be_boundary(struct slice held)
{
    return held.len <= BINARY_ENCODE_BOUNDARY_LIMIT
           && slice_starts_with(SLICE("--"), slice_range(held, 0, 2));
}

static void on_body_run(struct binary_encode *encode, struct slice run, bool ends,
                        struct buffer *out)
{
    if (!encode->in_line) {
        size_t room = BINARY_ENCODE_BOUNDARY_LIMIT + 1 - encode->held.len;
        buffer_append(&encode->held, slice_range(run, 0, room));
        run = slice_from(run, room < run.len ? room : run.len);
        if (may_be_boundary(buffer_slice(&encode->held))) {
            if (ends)
                on_held_line(encode, out);
            return;
        }
        on_content(encode, buffer_slice(&encode->held), out);
        buffer_reset(&encode->held);
    }
    if (run.len > 0)
        on_content(encode, run, out);
    encode->in_line = !ends;
}

/* ---- all ---- */

static enum binary_problem problem_of(struct binary_encode *encode)
{
    if (encode->scan.failed || encode->held.failed)
        encode->problem = BINARY_NO_MEMORY;
    return encode->problem;
}

enum binary_problem binary_encode_feed(struct binary_encode *encode, struct slice piece,
                                       struct buffer *out)
{
    while (piece.len > 0 && problem_of(encode) == BINARY_FINE) {
        size_t end = slice_find_octet(piece, '\n');
        bool ends = end < piece.len;
        struct slice run = slice_range(piece, 0, ends ? end + 1 : end);
        piece = slice_from(piece, run.len);
        if (encode->scan.in_header)
            on_header_run(encode, run, ends, out);
        else
            on_body_run(encode, run, ends, out);
    }
    return problem_of(encode);
}

/* The last line may have no end: for the scan it has one, so that a boundary is seen. */
static void end_last_line(struct binary_encode *encode, struct buffer *out)
{
    struct mime_scan *scan = &encode->scan;
    const struct mime_part *part = scan->innermost;
    mime_scan_feed(scan, slice_from(buffer_slice(&encode->header), encode->header_line));
    mime_scan_feed(scan, buffer_slice(&encode->held));
    mime_scan_feed(scan, SLICE("\r\n"));
    if (encode->encoding && scan->innermost != part)
        end_base64(encode, out);
    write_content(encode, buffer_slice(&encode->held), out);
    mime_scan_finish(scan);
    if (encode->header.len > 0)
        end_header(encode, part, out);
}

enum binary_problem binary_encode_finish(struct binary_encode *encode, struct buffer *out)
{
    if (problem_of(encode) != BINARY_FINE)
        return encode->problem;
    end_last_line(encode, out);
    if (encode->encoding) { /* no boundary follows: the last line end is content */
        release_line_end(encode, out);
        end_base64(encode, out);
        buffer_append_string(out, encode->any_line ? "\r\n" : "");
    }
    return problem_of(encode);
}

const char *binary_problem_text(enum binary_problem problem)
{
    static const char *const texts[] = {
        [BINARY_FINE] = "Fine",
        [BINARY_NUL] = "A NUL can only stand in a part whose Content-Transfer-Encoding is binary",
        [BINARY_HEADER_TOO_LONG] = "A header of the message is too long",
        [BINARY_BOUNDARY_TOO_LONG] = "A boundary stands in a line that is too long",
        [BINARY_NO_MEMORY] = "Out of memory, try again later",
    };
    return texts[problem];
}
