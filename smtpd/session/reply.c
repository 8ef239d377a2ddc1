/* The formatter of reply.h. Pure. */
#include "smtpd/session/reply.h"

static bool is_enhanced_code(struct slice word, uint8_t class)
{
    if (word.len < 5 || word.len > 8 || word.ptr[0] != class || word.ptr[1] != '.')
        return false;
    size_t dot = 2 + slice_find_octet(slice_from(word, 2), '.');
    uint64_t ignored;
    return slice_parse_number(slice_range(word, 2, dot), &ignored)
           && slice_parse_number(slice_from(word, dot + 1), &ignored);
}

static struct slice default_enhanced(uint8_t class)
{
    switch (class) {
    case '2':
        return SLICE("2.0.0");
    case '4':
        return SLICE("4.0.0");
    default:
        return SLICE("5.0.0");
    }
}

struct smtp_reply smtp_reply_of_words(uint16_t code, struct slice words)
{
    uint8_t class = (uint8_t)('0' + code / 100);
    size_t space = slice_find_octet(words, ' ');
    struct slice first = slice_range(words, 0, space);
    if (is_enhanced_code(first, class))
        return (struct smtp_reply){code, first, slice_from(words, space + 1)};
    return (struct smtp_reply){code, default_enhanced(class), words};
}

static void append_printable(struct slice text, struct buffer *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        buffer_append_octet(out, octet < ' ' || octet > '~' ? '?' : octet);
    }
}

/* How much of the text goes into a line of so many octets. */
static size_t measure_line(struct slice text, size_t room)
{
    size_t end = slice_find_octet(text, '\n');
    if (end <= room)
        return end;
    size_t at = room;
    while (at > 0 && text.ptr[at] != ' ')
        at--;
    return at > 0 ? at : room;
}

void smtp_reply_format(const struct smtp_reply *reply, struct buffer *out)
{
    size_t before_text = 4 + (reply->enhanced.len > 0 ? reply->enhanced.len + 1 : 0);
    size_t room = SMTP_REPLY_LINE_LIMIT - 2 - before_text;
    struct slice rest = reply->text;
    bool last;
    do {
        size_t length = measure_line(rest, room);
        last = length == rest.len;
        buffer_append_number(out, reply->code);
        buffer_append_octet(out, last ? ' ' : '-');
        if (reply->enhanced.len > 0) {
            buffer_append(out, reply->enhanced);
            buffer_append_octet(out, ' ');
        }
        append_printable(slice_range(rest, 0, length), out);
        buffer_append(out, SLICE("\r\n"));
        rest = slice_from(rest, length);
        /* What separates the lines, "\n" or a space, is in neither of them. */
        if (slice_starts_with(rest, SLICE("\n")) || slice_starts_with(rest, SLICE(" ")))
            rest = slice_from(rest, 1);
    } while (!last);
}
