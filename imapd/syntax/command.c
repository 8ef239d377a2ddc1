/* The reader of command.h: a state machine over lines, one function for each state. */
#include "imapd/syntax/command.h"

#include "common/size.h"

/*
 *            CRLF: READY
 *           +---------+
 *           v         |     {n}: LITERAL    accept
 *          LINE ------+--------------------------> COLLECT --> LINE
 *           |                               stream
 *           | problem, refuse, skip        ------> STREAM  --> LINE
 *           v
 *       SKIP_LINE <--> SKIP_LITERAL     until a line ends without {n+}, then LINE
 *
 * ANSWER is one raw line. CLOSED is final.
 */
enum state {
    STATE_LINE,
    STATE_COLLECT,
    STATE_STREAM,
    STATE_SKIP_LINE,
    STATE_SKIP_LITERAL,
    STATE_ANSWER,
    STATE_CLOSED,
};

/* Position within a line. A literal is announced by "{" 1*DIGIT ["+"] "}" before its CRLF, outside
 * quotes. Inside unclosed quotes it may still be one, if a stray quote opened them: with LITERAL+
 * its octets follow, and these (a message, say) must not be read as commands. */
enum line {
    LINE_TEXT,
    LINE_BRACE,   /* "{" */
    LINE_DIGITS,  /* "{" 1*DIGIT */
    LINE_PLUS,    /* "{" 1*DIGIT "+" */
    LINE_LITERAL, /* the whole announcement */
    LINE_QUOTED,
    LINE_ESCAPED, /* after "\" in quotes */
    LINE_CR,
    LINE_LITERAL_CR,
    LINE_QUOTED_CR,
};

enum verdict {
    GOES_ON,
    ENDS,
    ENDS_IN_LITERAL,
    ENDS_IN_QUOTES,
    ENDS_IN_QUOTED_LITERAL,
    BREAKS, /* a bare CR or LF */
};

void command_reader_init(struct command_reader *reader, struct command_limits limits)
{
    *reader = (struct command_reader){.limits = limits, .state = STATE_LINE, .line = LINE_TEXT};
    buffer_init(&reader->text, limits.text);
}

void command_reader_clear(struct command_reader *reader)
{
    buffer_clear(&reader->text);
    command_reader_init(reader, reader->limits);
}

bool command_reader_is_idle(const struct command_reader *reader)
{
    return reader->state == STATE_LINE && reader->line == LINE_TEXT
           && (reader->stale || reader->text.len == 0);
}

static void count_digit(struct command_literal *literal, uint8_t digit)
{
    uint64_t tens;
    if (!u64_mul(literal->octets, 10, &tens)
        || !u64_add(tens, (uint64_t)(digit - '0'), &literal->octets))
        literal->octets = UINT64_MAX;
}

static enum line after_text(struct command_literal *literal, uint8_t octet)
{
    if (octet == '"')
        return LINE_QUOTED;
    if (octet != '{')
        return octet == '\r' ? LINE_CR : LINE_TEXT;
    *literal = (struct command_literal){.octets = 0, .synchronising = true};
    return LINE_BRACE;
}

static enum line after_announcement(enum line line, struct command_literal *literal, uint8_t octet)
{
    if (ascii_is_digit(octet) && (line == LINE_BRACE || line == LINE_DIGITS)) {
        count_digit(literal, octet);
        return LINE_DIGITS;
    }
    if (octet == '+' && line == LINE_DIGITS) {
        literal->synchronising = false;
        return LINE_PLUS;
    }
    if (octet == '}' && (line == LINE_DIGITS || line == LINE_PLUS))
        return LINE_LITERAL;
    if (octet == '\r' && line == LINE_LITERAL)
        return LINE_LITERAL_CR;
    return after_text(literal, octet);
}

static enum line after_quoted(uint8_t octet)
{
    switch (octet) {
    case '"':
        return LINE_TEXT;
    case '\\':
        return LINE_ESCAPED;
    case '\r':
        return LINE_QUOTED_CR;
    default:
        return LINE_QUOTED;
    }
}

static enum line after(enum line line, struct command_literal *literal, uint8_t octet)
{
    switch (line) {
    case LINE_QUOTED:
        return after_quoted(octet);
    case LINE_ESCAPED:
        return octet == '\r' ? LINE_QUOTED_CR : LINE_QUOTED;
    case LINE_BRACE:
    case LINE_DIGITS:
    case LINE_PLUS:
    case LINE_LITERAL:
        return after_announcement(line, literal, octet);
    default:
        return after_text(literal, octet);
    }
}

static enum verdict end_of_line(enum line line, enum line unquoted)
{
    switch (line) {
    case LINE_CR:
        return ENDS;
    case LINE_LITERAL_CR:
        return ENDS_IN_LITERAL;
    case LINE_QUOTED_CR:
        return unquoted == LINE_LITERAL_CR ? ENDS_IN_QUOTED_LITERAL : ENDS_IN_QUOTES;
    default:
        return BREAKS;
    }
}

static enum verdict step(struct command_reader *reader, uint8_t octet)
{
    enum line line = reader->line;
    bool behind_cr = line == LINE_CR || line == LINE_LITERAL_CR || line == LINE_QUOTED_CR;
    if (octet == '\n' && behind_cr) {
        reader->line = LINE_TEXT;
        return end_of_line(line, reader->unquoted);
    }
    if (octet == '\n')
        return BREAKS;
    if (line == LINE_QUOTED_CR)
        line = LINE_QUOTED;
    reader->line = (uint8_t)after(line, &reader->literal, octet);
    if (line == LINE_QUOTED || line == LINE_ESCAPED)
        reader->unquoted = (uint8_t)after_announcement(reader->unquoted, &reader->literal, octet);
    else
        reader->unquoted = LINE_TEXT;
    return behind_cr ? BREAKS : GOES_ON;
}

/* Reads up to the end of the line or an invalid octet, `most` octets at most. */
static enum verdict step_through(struct command_reader *reader, struct cursor *in, size_t most,
                                 struct slice *run)
{
    struct cursor start = *in;
    const uint8_t *end = cursor_left(in) > most ? in->at + most : in->end;
    enum verdict verdict = GOES_ON;
    while (verdict == GOES_ON && in->at != end)
        verdict = step(reader, *in->at++);
    *run = cursor_since(in, &start);
    return verdict;
}

/* Octets that the limits still allow for this line. */
static size_t room(const struct command_reader *reader)
{
    size_t in_text = reader->limits.text - reader->text.len;
    size_t in_lines = reader->limits.lines - reader->lines;
    return in_text < in_lines ? in_text : in_lines;
}

/* Appends what fits: the tag is needed even if the command is too long. */
static bool collect(struct command_reader *reader, struct slice run)
{
    struct slice fitting = slice_range(run, 0, room(reader));
    buffer_append(&reader->text, fitting);
    reader->lines += fitting.len;
    if (fitting.len < run.len)
        reader->problem = COMMAND_TOO_LONG;
    else if (reader->text.failed)
        reader->problem = COMMAND_NO_MEMORY;
    return reader->problem == COMMAND_FINE;
}

static enum command_event close_reader(struct command_reader *reader)
{
    reader->state = STATE_CLOSED;
    return COMMAND_CLOSE;
}

static bool skip(struct command_reader *reader, uint64_t octets)
{
    return u64_add(reader->skipped, octets, &reader->skipped)
           && reader->skipped <= reader->limits.skip;
}

/* The state after a line, or a part of one, that is skipped. False if too much follows it. */
static bool skip_behind(struct command_reader *reader, enum verdict verdict)
{
    reader->state = STATE_LINE;
    if (verdict == GOES_ON || verdict == BREAKS)
        reader->state = STATE_SKIP_LINE;
    if ((verdict != ENDS_IN_LITERAL && verdict != ENDS_IN_QUOTED_LITERAL)
        || reader->literal.synchronising)
        return true;
    reader->literal.left = reader->literal.octets;
    reader->state = reader->literal.left ? STATE_SKIP_LITERAL : STATE_SKIP_LINE;
    return skip(reader, reader->literal.octets);
}

static enum command_event refuse(struct command_reader *reader, enum verdict verdict)
{
    reader->stale = true;
    reader->skipped = 0;
    return skip_behind(reader, verdict) ? COMMAND_BAD : close_reader(reader);
}

static enum command_event ready(struct command_reader *reader)
{
    buffer_truncate(&reader->text, reader->text.len - 2);
    reader->state = STATE_LINE;
    reader->stale = true;
    return COMMAND_READY;
}

static enum command_event read_line(struct command_reader *reader, struct cursor *in,
                                    struct slice *octets)
{
    struct slice run;
    /* One octet more than fits: where a line proves too long must not depend on how it is split. */
    enum verdict verdict = step_through(reader, in, room(reader) + 1, &run);
    (void)octets;
    if (!collect(reader, run))
        return refuse(reader, verdict);
    switch (verdict) {
    case GOES_ON:
        return COMMAND_MORE;
    case ENDS:
        return ready(reader);
    case ENDS_IN_LITERAL:
        reader->literal.left = reader->literal.octets;
        return COMMAND_LITERAL;
    case ENDS_IN_QUOTES:
    case ENDS_IN_QUOTED_LITERAL:
        reader->problem = COMMAND_OPEN_QUOTE;
        return refuse(reader, verdict);
    case BREAKS:
        reader->problem = COMMAND_BARE_CR_OR_LF;
        return refuse(reader, verdict);
    }
    return COMMAND_MORE;
}

static struct slice take_literal(struct command_reader *reader, struct cursor *in)
{
    struct slice run = cursor_rest(in);
    if (run.len > reader->literal.left)
        run.len = (size_t)reader->literal.left;
    in->at += run.len;
    reader->literal.left -= run.len;
    return run;
}

static enum command_event read_collect(struct command_reader *reader, struct cursor *in,
                                       struct slice *octets)
{
    (void)octets;
    buffer_append(&reader->text, take_literal(reader, in)); /* room was reserved */
    if (reader->literal.left == 0)
        reader->state = STATE_LINE;
    return COMMAND_MORE;
}

static enum command_event read_stream(struct command_reader *reader, struct cursor *in,
                                      struct slice *octets)
{
    if (reader->literal.left > 0 && cursor_at_end(in))
        return COMMAND_MORE;
    *octets = take_literal(reader, in);
    if (reader->literal.left == 0)
        reader->state = STATE_LINE;
    return COMMAND_OCTETS;
}

static enum command_event read_skip_line(struct command_reader *reader, struct cursor *in,
                                         struct slice *octets)
{
    enum verdict verdict;
    struct slice run;
    (void)octets;
    do {
        verdict = step_through(reader, in, SIZE_MAX, &run);
        if (!skip(reader, run.len))
            return close_reader(reader);
    } while (verdict == BREAKS);
    return skip_behind(reader, verdict) ? COMMAND_MORE : close_reader(reader);
}

static enum command_event read_skip_literal(struct command_reader *reader, struct cursor *in,
                                            struct slice *octets)
{
    (void)octets;
    take_literal(reader, in);
    if (reader->literal.left == 0)
        reader->state = STATE_SKIP_LINE;
    return COMMAND_MORE;
}

/* Without quotes and literals; only CRLF ends it. */
static enum command_event read_answer(struct command_reader *reader, struct cursor *in,
                                      struct slice *octets)
{
    struct slice rest = cursor_rest(in);
    size_t lf = slice_find_octet(rest, '\n');
    struct slice run = slice_range(rest, 0, lf < rest.len ? lf + 1 : lf);
    (void)octets;
    in->at += run.len;
    if (!collect(reader, run))
        return close_reader(reader);
    if (lf == rest.len)
        return COMMAND_MORE;
    struct slice text = buffer_slice(&reader->text);
    if (text.len >= 2 && slice_find_octet(text, '\r') == text.len - 2)
        return ready(reader);
    reader->problem = COMMAND_BARE_CR_OR_LF;
    reader->state = STATE_LINE;
    reader->stale = true;
    return COMMAND_BAD;
}

static enum command_event read_closed(struct command_reader *reader, struct cursor *in,
                                      struct slice *octets)
{
    (void)reader;
    (void)octets;
    in->at = in->end;
    return COMMAND_CLOSE;
}

static enum command_event (*const readers[])(struct command_reader *, struct cursor *,
                                             struct slice *) = {
    [STATE_LINE] = read_line,
    [STATE_COLLECT] = read_collect,
    [STATE_STREAM] = read_stream,
    [STATE_SKIP_LINE] = read_skip_line,
    [STATE_SKIP_LITERAL] = read_skip_literal,
    [STATE_ANSWER] = read_answer,
    [STATE_CLOSED] = read_closed,
};

/* Drops a command's text only now, because its handler borrowed from it. A long one is freed: most
 * connections are idle most of the time. */
static void begin_command(struct command_reader *reader)
{
    enum { WORTH_KEEPING = 1024 };
    if (reader->text.capacity > WORTH_KEEPING)
        buffer_clear(&reader->text);
    buffer_reset(&reader->text);
    reader->lines = 0;
    reader->problem = COMMAND_FINE;
    reader->stale = false;
}

enum command_event command_read(struct command_reader *reader, struct cursor *input,
                                struct slice *octets)
{
    enum command_event event;
    if (reader->stale && reader->state != STATE_CLOSED)
        begin_command(reader);
    do
        event = readers[reader->state](reader, input, octets);
    while (event == COMMAND_MORE && !cursor_at_end(input));
    return event;
}

bool command_accept_literal(struct command_reader *reader)
{
    reader->problem = COMMAND_LITERAL_TOO_LONG;
    if (reader->literal.octets > reader->limits.literal
        || reader->literal.octets > reader->limits.text - reader->text.len)
        return false;
    reader->problem = COMMAND_NO_MEMORY;
    if (!buffer_reserve(&reader->text, (size_t)reader->literal.octets))
        return false;
    reader->problem = COMMAND_FINE;
    reader->state = reader->literal.octets ? STATE_COLLECT : STATE_LINE;
    return true;
}

void command_stream_literal(struct command_reader *reader)
{
    buffer_reset(&reader->text);
    reader->lines = 0;
    reader->state = STATE_STREAM;
}

bool command_refuse_literal(struct command_reader *reader)
{
    return refuse(reader, ENDS_IN_LITERAL) == COMMAND_BAD;
}

bool command_skip_rest(struct command_reader *reader)
{
    if (reader->state != STATE_STREAM)
        return refuse(reader, GOES_ON) == COMMAND_BAD;
    reader->stale = true;
    reader->skipped = 0;
    reader->state = reader->literal.left ? STATE_SKIP_LITERAL : STATE_SKIP_LINE;
    if (skip(reader, reader->literal.left))
        return true;
    close_reader(reader);
    return false;
}

void command_expect_line(struct command_reader *reader)
{
    reader->state = STATE_ANSWER;
}

bool command_reader_awaits_line(const struct command_reader *reader)
{
    return reader->state == STATE_ANSWER && reader->line == LINE_TEXT
           && (reader->stale || reader->text.len == 0);
}

const char *command_problem_text(enum command_problem problem)
{
    static const char *const texts[] = {
        [COMMAND_FINE] = "Fine",
        [COMMAND_BARE_CR_OR_LF] = "Lines end with CR LF; a CR or LF alone is not allowed",
        [COMMAND_OPEN_QUOTE] = "The quoted string is not closed on its line",
        [COMMAND_TOO_LONG] = "The command is too long",
        [COMMAND_LITERAL_TOO_LONG] = "The literal is too long",
        [COMMAND_NO_MEMORY] = "Out of memory, try again later",
    };
    return texts[problem];
}
