/* The splitter of line.h. Each octet is looked at once, however the input comes. Pure. */
#include "smtpd/session/line.h"

/* What no line end is in, but for a CR at its end, which may be half of one. */
static void drop(struct smtp_line_splitter *splitter, struct cursor *in)
{
    bool ends_with_cr = !cursor_at_end(in) && in->end[-1] == '\r';
    in->at = in->end - (ends_with_cr ? 1 : 0);
    splitter->scanned = cursor_left(in);
}

static const uint8_t *find_lf(const struct smtp_line_splitter *splitter, const struct cursor *in)
{
    const uint8_t *at = in->at + splitter->scanned;
    return at == in->end ? NULL : memchr(at, '\n', (size_t)(in->end - at));
}

static bool is_behind_cr(const uint8_t *lf, const struct cursor *in)
{
    return lf != in->at && lf[-1] == '\r';
}

/* The rest of a line that has been handed out. False: its end is still to come. */
static bool drop_rest(struct smtp_line_splitter *splitter, struct cursor *in)
{
    const uint8_t *lf = NULL;
    while (splitter->told && (lf = find_lf(splitter, in))) {
        splitter->told = !is_behind_cr(lf, in);
        splitter->scanned = 0;
        in->at = lf + 1;
    }
    if (splitter->told)
        drop(splitter, in);
    return !splitter->told;
}

enum parse_result smtp_line_next(struct smtp_line_splitter *splitter, size_t limit,
                                 struct cursor *in, struct slice *line)
{
    if (!drop_rest(splitter, in))
        return PARSE_MORE;
    const uint8_t *lf = find_lf(splitter, in);
    if (lf) {
        size_t octets = (size_t)(lf + 1 - in->at);
        bool ends = is_behind_cr(lf, in);
        bool fits = !splitter->overlong && octets <= limit;
        *line = slice_of(in->at, ends ? octets - 2 : octets);
        in->at = lf + 1;
        *splitter = (struct smtp_line_splitter){.told = !ends};
        return fits ? PARSE_DONE : PARSE_BAD;
    }
    splitter->scanned = cursor_left(in);
    if (splitter->overlong || cursor_left(in) >= limit) {
        splitter->overlong = true;
        drop(splitter, in);
    }
    return PARSE_MORE;
}
