/* The splitter of line.h. Each octet is looked at once, however the input comes. Pure. */
#include "smtpd/session/line.h"

/* The LF of the first CRLF, or NULL. */
static const uint8_t *find_line_end(const struct cursor *in, size_t scanned)
{
    const uint8_t *at = in->at + scanned;
    while (at != in->end) {
        const uint8_t *lf = memchr(at, '\n', (size_t)(in->end - at));
        if (!lf)
            return NULL;
        if (lf != in->at && lf[-1] == '\r')
            return lf;
        at = lf + 1;
    }
    return NULL;
}

enum parse_result smtp_line_next(struct smtp_line_splitter *splitter, size_t limit,
                                 struct cursor *in, struct slice *line)
{
    const uint8_t *lf = find_line_end(in, splitter->scanned);
    if (lf) {
        *line = slice_of(in->at, (size_t)(lf - 1 - in->at));
        bool fits = !splitter->overlong && line->len + 2 <= limit;
        in->at = lf + 1;
        *splitter = (struct smtp_line_splitter){.scanned = 0};
        return fits ? PARSE_DONE : PARSE_BAD;
    }
    if (splitter->overlong || cursor_left(in) >= limit) {
        /* Too long already, the LF not counted. A CR at the end may be half of the line end. */
        splitter->overlong = true;
        bool ends_with_cr = !cursor_at_end(in) && in->end[-1] == '\r';
        in->at = in->end - (ends_with_cr ? 1 : 0);
    }
    splitter->scanned = cursor_left(in);
    return PARSE_MORE;
}
