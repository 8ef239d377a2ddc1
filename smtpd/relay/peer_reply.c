/* Replies of servers; see peer_reply.h. Pure; relay. */
#include "smtpd/relay/peer_reply.h"

enum { CODE_OCTETS = 3 };

/* ---- lines ---- */

/* Reply-code = %x32-35 %x30-35 %x30-39; servers use second digits above 5 as well. */
static bool take_code(struct cursor *in, unsigned *code)
{
    struct slice digits = slice_range(cursor_rest(in), 0, CODE_OCTETS);
    uint64_t number;
    if (digits.len < CODE_OCTETS || !slice_parse_number(digits, &number) || number < 200
        || number > 599)
        return false;
    *code = (unsigned)number;
    in->at += CODE_OCTETS;
    return true;
}

static struct slice without_line_end(struct slice line)
{
    if (slice_ends_with(line, SLICE("\n")))
        line.len--;
    if (slice_ends_with(line, SLICE("\r")))
        line.len--;
    return line;
}

/* One line with its end, off the front of *rest. */
static struct slice take_line(struct slice *rest)
{
    struct slice line = slice_range(*rest, 0, slice_find_octet(*rest, '\n') + 1);
    *rest = slice_from(*rest, line.len);
    return line;
}

static bool read_line(struct slice line, unsigned *code, bool *is_last)
{
    struct cursor in = cursor_of(without_line_end(line));
    if (!take_code(&in, code))
        return false;
    *is_last = cursor_at_end(&in) || cursor_skip(&in, ' ');
    return *is_last || cursor_skip(&in, '-');
}

/* ---- the enhanced status code ---- */

static bool skip_number(struct cursor *in)
{
    uint64_t number;
    struct cursor start = *in;
    return cursor_take_number(in, &number) && number <= 999 && in->at - start.at <= 3;
}

/* status-code = class "." subject "." detail    RFC 3463 2; RFC 2034 4: a space after it */
static struct slice take_enhanced(struct slice text, unsigned code)
{
    struct slice none = {NULL, 0};
    struct cursor in = cursor_of(text);
    struct cursor start = in;
    if (!cursor_skip(&in, (uint8_t)('0' + code / 100)) || !cursor_skip(&in, '.')
        || !skip_number(&in) || !cursor_skip(&in, '.') || !skip_number(&in))
        return none;
    struct slice enhanced = cursor_since(&in, &start);
    return cursor_at_end(&in) || cursor_skip(&in, ' ') ? enhanced : none;
}

/* RFC 2034 4 wants it in each line; servers whose words come from elsewhere have it in one. */
static struct slice find_enhanced(struct slice lines, unsigned code)
{
    struct slice text, enhanced = {NULL, 0};
    while (enhanced.len == 0 && peer_reply_next_line(&lines, &text))
        enhanced = take_enhanced(text, code);
    return enhanced;
}

/* ---- the reply ---- */

static enum parse_result finish(struct peer_reply_reader *reader, struct cursor *in,
                                struct peer_reply *reply)
{
    struct slice lines = slice_range(cursor_rest(in), 0, reader->octets);
    *reply = (struct peer_reply){
        .code = reader->code, .lines = lines, .enhanced = find_enhanced(lines, reader->code)};
    in->at += lines.len;
    *reader = (struct peer_reply_reader){.octets = 0};
    return PARSE_DONE;
}

enum parse_result peer_reply_read(struct peer_reply_reader *reader, struct cursor *in,
                                  struct peer_reply *reply)
{
    struct slice input = cursor_rest(in);
    for (;;) {
        struct slice rest = slice_from(input, reader->octets);
        struct slice line = take_line(&rest);
        bool is_whole = slice_ends_with(line, SLICE("\n"));
        if (line.len > PEER_REPLY_LINE_MAX || reader->octets + line.len > PEER_REPLY_MAX)
            return PARSE_BAD;
        if (!is_whole)
            return PARSE_MORE;
        unsigned code;
        bool is_last;
        if (!read_line(line, &code, &is_last) || (reader->octets > 0 && code != reader->code))
            return PARSE_BAD;
        reader->code = code;
        reader->octets += line.len;
        if (is_last)
            return finish(reader, in, reply);
    }
}

bool peer_reply_next_line(struct slice *rest, struct slice *text)
{
    if (rest->len == 0)
        return false;
    *text = slice_from(without_line_end(take_line(rest)), CODE_OCTETS + 1);
    return true;
}
