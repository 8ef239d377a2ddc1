/* Cutting lines; see line.h. */
#include "pop3d/line.h"

/* Whether the line, which ends in LF, conforms to RFC 1939. */
static bool is_clean(struct slice line)
{
    return line.len >= 2 && slice_find_octet(line, '\r') == line.len - 2
           && slice_find_octet(line, '\0') == line.len;
}

/* Steps over the rest of a line that was too long. False: its end has not come yet. */
static bool skip_rest(struct pop3_line_reader *reader, struct cursor *input)
{
    struct slice rest = cursor_rest(input);
    size_t end = slice_find_octet(rest, '\n');
    reader->skipping = end == rest.len;
    input->at += end == rest.len ? end : end + 1;
    return !reader->skipping;
}

enum pop3_line_result pop3_line_read(struct pop3_line_reader *reader, struct cursor *input,
                                     size_t limit, struct slice *line)
{
    if (reader->skipping && !skip_rest(reader, input))
        return POP3_LINE_MORE;
    struct slice rest = cursor_rest(input);
    size_t end = slice_find_octet(rest, '\n');
    if (end >= limit) {
        reader->skipping = true;
        skip_rest(reader, input);
        return POP3_LINE_TOO_LONG;
    }
    if (end == rest.len)
        return POP3_LINE_MORE;
    struct slice whole = slice_range(rest, 0, end + 1);
    input->at += whole.len;
    *line = slice_range(rest, 0, end > 0 ? end - 1 : 0);
    return is_clean(whole) ? POP3_LINE_READY : POP3_LINE_BARE;
}
