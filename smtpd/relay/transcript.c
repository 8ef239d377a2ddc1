/* Records the dialogue on a connection; see transcript.h. Pure; relay. */
#include "smtpd/relay/transcript.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text/printable.h"

void transcript_clear(struct transcript *transcript)
{
    buffer_clear(&transcript->text);
    transcript->head = transcript->omitted = 0;
}

void transcript_reset(struct transcript *transcript)
{
    buffer_reset(&transcript->text);
    transcript->head = transcript->omitted = 0;
}

/* ---- room ---- */

/* Drops the oldest lines after the head until `octets` more have room. */
static void make_room(struct transcript *transcript, size_t octets)
{
    struct buffer *text = &transcript->text;
    struct slice tail = slice_from(buffer_slice(text), transcript->head);
    size_t needed = text->len + octets - TRANSCRIPT_MAX, dropped = 0;
    while (dropped < needed && dropped < tail.len)
        dropped += slice_find_octet(slice_from(tail, dropped), '\n') + 1;
    dropped = dropped < tail.len ? dropped : tail.len;
    memmove(text->ptr + transcript->head, tail.ptr + dropped, tail.len - dropped);
    buffer_truncate(text, text->len - dropped);
    transcript->omitted += dropped;
}

static size_t end_of_head(const struct buffer *text)
{
    size_t end = text->len < TRANSCRIPT_HEAD ? text->len : TRANSCRIPT_HEAD;
    while (end > 0 && text->ptr[end - 1] != '\n')
        end--;
    return end;
}

/* Puts a whole line including its LF; at most TRANSCRIPT_LINE_MAX and some. */
static void put_line(struct transcript *transcript, struct slice line)
{
    struct buffer *text = &transcript->text;
    text->limit = TRANSCRIPT_MAX;
    if (text->len + line.len > TRANSCRIPT_MAX) {
        if (transcript->omitted == 0)
            transcript->head = end_of_head(text);
        make_room(transcript, line.len);
    }
    buffer_append(text, line);
    if (text->failed) {
        text->failed = false;
        transcript->omitted += line.len;
    }
}

/* ---- what a line looks like ---- */

static bool is_plain(uint8_t octet)
{
    return octet >= ' ' && octet < 0x7f && octet != '\\';
}

/* Takes from the front of *text a run of plain octets, or one item that may need escaping. */
static void append_visible(struct buffer *out, struct slice *text, size_t room)
{
    size_t plain = 0;
    while (plain < text->len && plain < room && is_plain(text->ptr[plain]))
        plain++;
    size_t octets = plain > 0 ? plain : printable_character(*text);
    if (plain == 0 && text->ptr[0] == '\\')
        buffer_append(out, SLICE("\\\\"));
    else if (octets > 0)
        buffer_append(out, slice_range(*text, 0, octets));
    else
        buffer_append_format(out, "\\x%02x", text->ptr[0]);
    *text = slice_from(*text, octets > 0 ? octets : 1);
}

/* Strips a correct line end. */
static struct slice content_of(struct slice line)
{
    if (slice_ends_with(line, SLICE("\r\n")))
        line.len -= 2;
    return line;
}

void transcript_add(struct transcript *transcript, enum transcript_side side, struct slice octets)
{
    uint8_t room[TRANSCRIPT_LINE_MAX + 64];
    while (octets.len > 0) {
        struct buffer line = {.ptr = room, .capacity = sizeof(room), .limit = sizeof(room)};
        struct slice rest = slice_range(octets, 0, slice_find_octet(octets, '\n') + 1);
        octets = slice_from(octets, rest.len);
        rest = content_of(rest);
        buffer_append_octet(&line, (uint8_t)side);
        buffer_append_octet(&line, ' ');
        while (rest.len > 0 && line.len + 4 <= TRANSCRIPT_LINE_MAX)
            append_visible(&line, &rest, TRANSCRIPT_LINE_MAX - line.len);
        if (rest.len > 0)
            buffer_append_format(&line, " [and %zu octets more]", rest.len);
        buffer_append_octet(&line, '\n');
        put_line(transcript, buffer_slice(&line));
    }
}

void transcript_add_event(struct transcript *transcript, const char *format, ...)
{
    char words[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    transcript_add(transcript, TRANSCRIPT_EVENT, slice_of_string(words));
}

/* ---- the whole ---- */

static void format_mark(const struct transcript *transcript, struct buffer *out)
{
    if (transcript->omitted > 0)
        buffer_append_format(out, "= %zu octets of the conversation are left out here\n",
                             transcript->omitted);
}

static void put_lines(struct transcript *transcript, struct slice lines)
{
    while (lines.len > 0) {
        struct slice line = slice_range(lines, 0, slice_find_octet(lines, '\n') + 1);
        put_line(transcript, line);
        lines = slice_from(lines, line.len);
    }
}

void transcript_join(struct transcript *transcript, const struct transcript *other)
{
    uint8_t room[TRANSCRIPT_MARK_MAX];
    struct buffer mark = {.ptr = room, .capacity = sizeof(room), .limit = sizeof(room)};
    struct slice text = buffer_slice(&other->text);
    format_mark(other, &mark);
    put_lines(transcript, slice_range(text, 0, other->head));
    put_lines(transcript, buffer_slice(&mark));
    put_lines(transcript, slice_from(text, other->head));
}

void transcript_format(const struct transcript *transcript, struct buffer *out)
{
    struct slice text = buffer_slice(&transcript->text);
    buffer_append(out, slice_range(text, 0, transcript->head));
    format_mark(transcript, out);
    buffer_append(out, slice_from(text, transcript->head));
}
