/*
 * Finds what libconfuse would silently misread, before it sees the text. Its line numbers go wrong
 * after comments (3.3 counts their ends twice), so these become spaces; it expands ${NAME} from the
 * environment, takes C comments, and drops octets that fit nowhere, so these are refused. Pure.
 */
#include "common/config/config_internal.h"

enum place { PLACE_PLAIN, PLACE_COMMENT, PLACE_DOUBLE_QUOTES, PLACE_SINGLE_QUOTES };

struct scan {
    struct slice text;
    size_t at;
    enum place place;
    bool escaped; /* the octet follows a backslash, in quotes */
    unsigned line;
    unsigned opened;       /* the line of the quotes that are open */
    size_t braces;         /* how many are open */
    unsigned brace_opened; /* the line of the outermost */
    struct config_mistakes *mistakes;
};

static bool next_is(const struct scan *scan, struct slice what)
{
    return slice_starts_with(slice_from(scan->text, scan->at), what);
}

static bool refuse(struct scan *scan, const char *what)
{
    config_mistakes_add(scan->mistakes, CONFIG_MISTAKE, scan->line, "%s", what);
    return false;
}

static bool at_word_start(const struct scan *scan)
{
    return scan->at == 0
           || slice_find_octet(SLICE(" \t\n\r={},"), scan->text.ptr[scan->at - 1]) < 8;
}

static bool check_octet(struct scan *scan, uint8_t octet)
{
    if (octet == 0x7f || (octet < ' ' && octet != '\t' && octet != '\n' && octet != '\r'))
        return refuse(scan, "a control character: write printable text");
    if (scan->place == PLACE_COMMENT || scan->place == PLACE_SINGLE_QUOTES)
        return true;
    if (next_is(scan, SLICE("${")))
        return refuse(scan, "nothing is expanded here: write the value itself instead of ${...}");
    if (scan->place == PLACE_DOUBLE_QUOTES)
        return true;
    if (next_is(scan, SLICE("/*")) || (next_is(scan, SLICE("//")) && at_word_start(scan)))
        return refuse(scan, "write # before each line of a comment");
    if (octet == '*' || octet == '|')
        return refuse(scan, "write values with * or | between quotes");
    if (octet == '+' && !next_is(scan, SLICE("+=")))
        return refuse(scan, "write values with + between quotes");
    return true;
}

static void open_quotes(struct scan *scan, enum place place)
{
    scan->place = place;
    scan->opened = scan->line;
}

/* libconfuse takes the end of the text for any number of closing braces. */
static void count_brace(struct scan *scan, uint8_t octet)
{
    if (octet == '{' && scan->braces++ == 0)
        scan->brace_opened = scan->line;
    if (octet == '}' && scan->braces > 0)
        scan->braces--;
}

/* Updates the state at this octet, which does not follow a backslash. */
static void step(struct scan *scan, uint8_t octet)
{
    switch (scan->place) {
    case PLACE_PLAIN:
        if (octet == '#')
            scan->place = PLACE_COMMENT;
        else if (octet == '"')
            open_quotes(scan, PLACE_DOUBLE_QUOTES);
        else if (octet == '\'')
            open_quotes(scan, PLACE_SINGLE_QUOTES);
        count_brace(scan, octet);
        break;
    case PLACE_COMMENT:
        if (octet == '\n')
            scan->place = PLACE_PLAIN;
        break;
    case PLACE_DOUBLE_QUOTES:
        if (octet == '"')
            scan->place = PLACE_PLAIN;
        break;
    case PLACE_SINGLE_QUOTES:
        if (octet == '\'')
            scan->place = PLACE_PLAIN;
        break;
    }
}

static bool is_quoted(const struct scan *scan)
{
    return scan->place == PLACE_DOUBLE_QUOTES || scan->place == PLACE_SINGLE_QUOTES;
}

static bool scan_octet(struct scan *scan, char *copy)
{
    uint8_t octet = scan->text.ptr[scan->at];
    if (!check_octet(scan, octet))
        return false;
    if (scan->escaped)
        scan->escaped = false;
    else if (is_quoted(scan) && octet == '\\')
        scan->escaped = true;
    else
        step(scan, octet);
    copy[scan->at] = scan->place == PLACE_COMMENT ? ' ' : (char)octet;
    if (octet == '\n')
        scan->line++;
    scan->at++;
    return true;
}

static bool check_closed(struct scan *scan)
{
    if (is_quoted(scan)) {
        scan->line = scan->opened;
        return refuse(scan, "the quotes that open here are not closed: write the second one");
    }
    if (scan->braces > 0) {
        scan->line = scan->brace_opened;
        return refuse(scan, "the { that opens here is not closed: write the }");
    }
    return true;
}

bool config_scan(struct slice text, char *copy, struct config_mistakes *mistakes)
{
    struct scan scan = {.text = text, .line = 1, .mistakes = mistakes};
    while (scan.at < text.len)
        if (!scan_octet(&scan, copy))
            return false;
    copy[scan.at] = '\0';
    return check_closed(&scan);
}
