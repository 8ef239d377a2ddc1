/* The grammar functions of parser.h. */
#include "imapd/syntax/parser.h"

#include <unistr.h>

#include "common/size.h"
#include "storage/maildir_name.h"

const uint8_t imap_classes[256] = {
    0,  16, 16, 16, 16, 16, 16, 16, 16, 16, 0,  16, 16, 0,  16, 16, 16, 16, 16, 16, 16, 16,
    16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 31, 0,  31, 31, 20, 31, 31, 16, 16, 20, 23,
    31, 63, 63, 31, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 31, 31, 31, 31, 31, 31, 31, 63,
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
    63, 63, 63, 31, 0,  30, 31, 31, 31, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 16, 31, 31, 31, 16,
};

void imap_parser_init(struct imap_parser *parser, struct slice text, struct arena *arena)
{
    *parser = (struct imap_parser){.in = cursor_of(text), .begin = text.ptr, .arena = arena};
}

bool imap_parser_fail(struct imap_parser *parser, const char *expected)
{
    parser->expected = expected;
    return false;
}

bool imap_parser_exhaust(struct imap_parser *parser)
{
    parser->exhausted = true;
    return imap_parser_fail(parser, "a shorter command");
}

/* Back to where a rule began. */
static bool give_up(struct imap_parser *parser, struct cursor start)
{
    parser->in = start;
    return false;
}

static bool take_class(struct imap_parser *parser, enum imap_class class, struct slice *run,
                       const char *expected)
{
    *run = cursor_take_class(&parser->in, imap_classes, (uint8_t) class);
    return run->len > 0 || imap_parser_fail(parser, expected);
}

bool imap_parse_tag(struct imap_parser *parser, struct slice *tag)
{
    return take_class(parser, IMAP_TAG, tag, "a tag");
}

bool imap_skip_octet(struct imap_parser *parser, uint8_t octet)
{
    return cursor_skip(&parser->in, octet);
}

bool imap_peek_octet(const struct imap_parser *parser, uint8_t octet)
{
    uint8_t next;
    return cursor_peek(&parser->in, &next) && next == octet;
}

bool imap_parse_octet(struct imap_parser *parser, uint8_t octet, const char *expected)
{
    return cursor_skip(&parser->in, octet) || imap_parser_fail(parser, expected);
}

bool imap_parse_space(struct imap_parser *parser)
{
    return imap_parse_octet(parser, ' ', "a space");
}

bool imap_parser_at_end(const struct imap_parser *parser)
{
    return cursor_at_end(&parser->in);
}

bool imap_parse_end(struct imap_parser *parser)
{
    return imap_parser_at_end(parser) || imap_parser_fail(parser, "nothing more");
}

bool imap_parse_word(struct imap_parser *parser, struct slice *word)
{
    return take_class(parser, IMAP_WORD, word, "a word");
}

bool imap_skip_word(struct imap_parser *parser, struct slice word)
{
    struct cursor start = parser->in;
    struct slice found = cursor_take_class(&parser->in, imap_classes, IMAP_WORD);
    return slice_equal_nocase(found, word) || give_up(parser, start);
}

bool imap_parse_atom(struct imap_parser *parser, struct slice *atom)
{
    return take_class(parser, IMAP_ATOM, atom, "an atom");
}

/* "{" number ["+"] "}" CRLF    RFC 3501 9, RFC 7888 8 */
static bool parse_announcement(struct cursor *in, uint64_t *octets)
{
    struct cursor start = *in;
    if (cursor_skip(in, '{') && cursor_take_number(in, octets)) {
        cursor_skip(in, '+');
        if (cursor_skip(in, '}') && cursor_skip(in, '\r') && cursor_skip(in, '\n'))
            return true;
    }
    *in = start;
    return false;
}

bool imap_parse_announcement(struct imap_parser *parser, uint64_t *octets)
{
    struct cursor start = parser->in;
    if (parse_announcement(&parser->in, octets) && cursor_at_end(&parser->in))
        return true;
    parser->in = start;
    return imap_parser_fail(parser, "a literal");
}

/* "{" number ["+"] "}" CRLF and so many octets */
static bool take_literal(struct imap_parser *parser, struct slice *string)
{
    struct cursor start = parser->in;
    uint64_t octets;
    if (!parse_announcement(&parser->in, &octets) || octets > cursor_left(&parser->in)) {
        parser->in = start;
        return imap_parser_fail(parser, "a literal");
    }
    *string = slice_of(parser->in.at, (size_t)octets);
    parser->in.at += octets;
    return true;
}

/* literal = "{" number "}" CRLF *CHAR8; CHAR8 is any octet but NUL */
static bool parse_literal(struct imap_parser *parser, struct slice *string)
{
    struct cursor start = parser->in;
    if (!take_literal(parser, string))
        return false;
    if (slice_find_octet(*string, 0) == string->len)
        return true;
    parser->in = start;
    return imap_parser_fail(parser, "a literal without NUL");
}

bool imap_parse_literal8(struct imap_parser *parser, struct slice *octets)
{
    struct cursor start = parser->in;
    if (imap_skip_octet(parser, '~') && take_literal(parser, octets))
        return true;
    parser->in = start;
    return imap_parser_fail(parser, "a literal8");
}

static bool unescape(struct imap_parser *parser, struct slice escaped, struct slice *string)
{
    uint8_t *octets = arena_alloc(parser->arena, escaped.len);
    size_t len = 0;
    if (!octets)
        return imap_parser_exhaust(parser);
    for (size_t i = 0; i < escaped.len; i++) {
        if (escaped.ptr[i] == '\\')
            i++;
        octets[len++] = escaped.ptr[i];
    }
    *string = slice_of(octets, len);
    return true;
}

/* A run of octets above ASCII, if UTF-8 is allowed; it is validated at the end. */
static bool skip_above_ascii(struct imap_parser *parser)
{
    const uint8_t *start = parser->in.at;
    while (parser->utf8 && parser->in.at != parser->in.end && *parser->in.at >= 0x80)
        parser->in.at++;
    return parser->in.at != start;
}

/* quoted = DQUOTE *QUOTED-CHAR DQUOTE
 * QUOTED-CHAR = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials
 *               / UTF8-2 / UTF8-3 / UTF8-4 */
static bool parse_quoted(struct imap_parser *parser, struct slice *string)
{
    struct cursor start = parser->in;
    bool escapes = false;
    cursor_skip(&parser->in, '"');
    struct cursor text = parser->in;
    for (;;) {
        cursor_take_class(&parser->in, imap_classes, IMAP_QUOTED);
        if (skip_above_ascii(parser))
            continue;
        if (!cursor_skip(&parser->in, '\\'))
            break;
        if (!cursor_skip(&parser->in, '"') && !cursor_skip(&parser->in, '\\')) {
            imap_parser_fail(parser, "a quote or a backslash after the backslash");
            return give_up(parser, start);
        }
        escapes = true;
    }
    *string = cursor_since(&parser->in, &text);
    if (!cursor_skip(&parser->in, '"')) {
        imap_parser_fail(parser, "the end of the quoted string");
        return give_up(parser, start);
    }
    if (string->len > 0 && u8_check(string->ptr, string->len)) {
        imap_parser_fail(parser, "UTF-8 in the quoted string");
        return give_up(parser, start);
    }
    return !escapes || unescape(parser, *string, string) || give_up(parser, start);
}

bool imap_parse_string(struct imap_parser *parser, struct slice *string)
{
    uint8_t first;
    if (!cursor_peek(&parser->in, &first) || (first != '"' && first != '{'))
        return imap_parser_fail(parser, "a quoted string or a literal");
    return first == '"' ? parse_quoted(parser, string) : parse_literal(parser, string);
}

static bool parse_run_or_string(struct imap_parser *parser, enum imap_class class,
                                struct slice *string, const char *expected)
{
    *string = cursor_take_class(&parser->in, imap_classes, (uint8_t) class);
    if (string->len > 0)
        return true;
    uint8_t first;
    if (cursor_peek(&parser->in, &first) && (first == '"' || first == '{'))
        return imap_parse_string(parser, string);
    return imap_parser_fail(parser, expected);
}

bool imap_parse_astring(struct imap_parser *parser, struct slice *string)
{
    return parse_run_or_string(parser, IMAP_ASTRING, string, "an atom or a string");
}

bool imap_parse_list_mailbox(struct imap_parser *parser, struct slice *pattern)
{
    return parse_run_or_string(parser, IMAP_LIST, pattern, "a mailbox name or a pattern");
}

bool imap_parse_nstring(struct imap_parser *parser, struct slice *string)
{
    *string = (struct slice){NULL, 0};
    return imap_skip_word(parser, SLICE("NIL")) || imap_parse_string(parser, string);
}

bool imap_parse_number(struct imap_parser *parser, uint32_t *number)
{
    struct cursor start = parser->in;
    uint64_t value;
    if (cursor_take_number(&parser->in, &value) && value <= UINT32_MAX) {
        *number = (uint32_t)value;
        return true;
    }
    parser->in = start;
    return imap_parser_fail(parser, "a number below 4294967296");
}

/* digit-nz, not consumed */
static bool begins_above_zero(struct imap_parser *parser)
{
    uint8_t first;
    if (!cursor_peek(&parser->in, &first) || first == '0')
        return imap_parser_fail(parser, "a number above 0");
    return true;
}

/* nz-number = digit-nz *DIGIT */
bool imap_parse_nz_number(struct imap_parser *parser, uint32_t *number)
{
    return begins_above_zero(parser) && imap_parse_number(parser, number);
}

static bool parse_63_bits(struct imap_parser *parser, uint64_t *number, const char *expected)
{
    struct cursor start = parser->in;
    if (cursor_take_number(&parser->in, number) && *number <= INT64_MAX)
        return true;
    parser->in = start;
    return imap_parser_fail(parser, expected);
}

bool imap_parse_number64(struct imap_parser *parser, uint64_t *number)
{
    return parse_63_bits(parser, number, "a number below 9223372036854775808");
}

/* nz-number64 = digit-nz *DIGIT */
bool imap_parse_nz_number64(struct imap_parser *parser, uint64_t *number)
{
    return begins_above_zero(parser) && imap_parse_number64(parser, number);
}

bool imap_parse_modseq(struct imap_parser *parser, uint64_t *modseq)
{
    return parse_63_bits(parser, modseq, "a mod-sequence");
}

bool imap_parse_sequence_set(struct imap_parser *parser, struct sequence_set *set)
{
    if (sequence_set_parse(&parser->in, parser->arena, set))
        return true;
    if (set->full)
        return imap_parser_exhaust(parser);
    return imap_parser_fail(parser, "a set of message numbers");
}

/* date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE */
bool imap_parse_date_time(struct imap_parser *parser, struct date *date)
{
    struct cursor start = parser->in;
    uint8_t first;
    struct slice text;
    if (cursor_peek(&parser->in, &first) && first == '"' && parse_quoted(parser, &text)
        && date_parse_internal(text, date))
        return true;
    parser->in = start;
    return imap_parser_fail(parser, "a date such as \"17-Jul-1996 02:44:25 -0700\"");
}

/* date = date-text / DQUOTE date-text DQUOTE */
bool imap_parse_date(struct imap_parser *parser, int32_t *day)
{
    struct cursor start = parser->in;
    uint8_t first;
    struct slice text;
    bool quoted = cursor_peek(&parser->in, &first) && first == '"';
    bool read = quoted ? parse_quoted(parser, &text) : imap_parse_word(parser, &text);
    if (read && date_parse_day(text, day))
        return true;
    parser->in = start;
    return imap_parser_fail(parser, "a date such as 1-Feb-1994");
}

static const struct flag_name {
    struct slice name;
    uint32_t flag;
} flag_names[] = {
    {SLICE("Answered"), MAILDIR_ANSWERED}, {SLICE("Flagged"), MAILDIR_FLAGGED},
    {SLICE("Deleted"), MAILDIR_TRASHED},   {SLICE("Seen"), MAILDIR_SEEN},
    {SLICE("Draft"), MAILDIR_DRAFT},
};

/* "\" atom: a system flag, or one that is ignored */
static bool parse_system_flag(struct imap_parser *parser, struct imap_flags *flags)
{
    struct slice name;
    if (!imap_parse_atom(parser, &name))
        return imap_parser_fail(parser, "a flag");
    if (slice_equal_nocase(name, SLICE("Recent")))
        return imap_parser_fail(parser, "a flag other than \\Recent, which only the server sets");
    for (size_t i = 0; i < ARRAY_LENGTH(flag_names); i++) {
        if (slice_equal_nocase(name, flag_names[i].name))
            flags->flags |= flag_names[i].flag;
    }
    return true;
}

static bool append_keyword(struct imap_parser *parser, struct imap_flags *flags,
                           struct slice keyword)
{
    size_t count = flags->keyword_count;
    if ((count & (count - 1)) == 0) { /* full: 0, 1, 2, 4, 8 and so on */
        struct slice *more = arena_alloc_array(parser->arena, count ? count * 2 : 1, sizeof(*more));
        if (!more)
            return imap_parser_exhaust(parser);
        if (count)
            memcpy(more, flags->keywords, count * sizeof(*more));
        flags->keywords = more;
    }
    flags->keywords[flags->keyword_count++] = keyword;
    return true;
}

/* flag = "\Answered" / ... / flag-keyword / flag-extension */
static bool parse_flag(struct imap_parser *parser, struct imap_flags *flags)
{
    struct cursor start = parser->in;
    struct slice keyword;
    if (imap_skip_octet(parser, '\\'))
        return parse_system_flag(parser, flags) || give_up(parser, start);
    if (!imap_parse_atom(parser, &keyword))
        return imap_parser_fail(parser, "a flag");
    /* Maildir has its own letter for this keyword, "passed". */
    if (slice_equal_nocase(keyword, SLICE("$Forwarded"))) {
        flags->flags |= MAILDIR_PASSED;
        return true;
    }
    return append_keyword(parser, flags, keyword) || give_up(parser, start);
}

/* flag *(SP flag) */
static bool parse_flags(struct imap_parser *parser, struct imap_flags *flags)
{
    struct cursor start = parser->in;
    do {
        if (!parse_flag(parser, flags))
            return give_up(parser, start);
    } while (imap_skip_octet(parser, ' '));
    return true;
}

bool imap_parse_flag_list(struct imap_parser *parser, struct imap_flags *flags)
{
    struct cursor start = parser->in;
    *flags = (struct imap_flags){.flags = 0};
    if (!imap_parse_octet(parser, '(', "a list of flags in parentheses"))
        return false;
    if (imap_skip_octet(parser, ')'))
        return true;
    if (parse_flags(parser, flags) && imap_parse_octet(parser, ')', "a flag or \")\""))
        return true;
    return give_up(parser, start);
}

void imap_append_flag_list(const struct imap_flags *flags, struct buffer *text)
{
    const char *separator = "(";
    for (size_t i = 0; i < ARRAY_LENGTH(flag_names); i++) {
        if (!(flags->flags & flag_names[i].flag))
            continue;
        buffer_append_string(text, separator);
        buffer_append_octet(text, '\\');
        buffer_append(text, flag_names[i].name);
        separator = " ";
    }
    if (flags->flags & MAILDIR_PASSED) {
        buffer_append_format(text, "%s$Forwarded", separator);
        separator = " ";
    }
    for (size_t i = 0; i < flags->keyword_count; i++) {
        buffer_append_string(text, separator);
        buffer_append(text, flags->keywords[i]);
        separator = " ";
    }
    buffer_append_string(text, *separator == '(' ? "()" : ")");
}

bool imap_parse_store_flags(struct imap_parser *parser, struct imap_flags *flags)
{
    uint8_t first;
    if (cursor_peek(&parser->in, &first) && first == '(')
        return imap_parse_flag_list(parser, flags);
    *flags = (struct imap_flags){.flags = 0};
    return parse_flags(parser, flags);
}

static const struct status_name {
    struct slice name;
    enum imap_status_item item;
} status_names[] = {
    {SLICE("MESSAGES"), STATUS_MESSAGES},
    {SLICE("RECENT"), STATUS_RECENT},
    {SLICE("UIDNEXT"), STATUS_UIDNEXT},
    {SLICE("UIDVALIDITY"), STATUS_UIDVALIDITY},
    {SLICE("UNSEEN"), STATUS_UNSEEN},
    {SLICE("HIGHESTMODSEQ"), STATUS_HIGHESTMODSEQ},
    {SLICE("SIZE"), STATUS_SIZE},
    {SLICE("DELETED"), STATUS_DELETED},
    {SLICE("DELETED-STORAGE"), STATUS_DELETED_STORAGE},
    {SLICE("APPENDLIMIT"), STATUS_APPENDLIMIT},
    {SLICE("MAILBOXID"), STATUS_MAILBOXID},
};

/* status-att = "MESSAGES" / "RECENT" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" / ... */
static bool parse_status_item(struct imap_parser *parser, unsigned *items)
{
    for (size_t i = 0; i < ARRAY_LENGTH(status_names); i++) {
        if (imap_skip_word(parser, status_names[i].name)) {
            *items |= status_names[i].item;
            return true;
        }
    }
    return imap_parser_fail(parser, "MESSAGES, UIDNEXT, UIDVALIDITY, UNSEEN or their like");
}

bool imap_parse_status_items(struct imap_parser *parser, unsigned *items)
{
    struct cursor start = parser->in;
    *items = 0;
    if (!imap_parse_octet(parser, '(', "a list of status items in parentheses"))
        return false;
    do {
        if (!parse_status_item(parser, items))
            return give_up(parser, start);
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "a status item or \")\"") || give_up(parser, start);
}
