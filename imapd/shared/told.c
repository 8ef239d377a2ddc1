/* The responses of told.h. */
#include "imapd/shared/told.h"

#include "imapd/syntax/parser.h"

/* Both forms of a name must match the later comparison. */
static bool parse_mailbox(struct imap_parser *parser, enum mailbox_name_form form,
                          struct buffer *name)
{
    struct slice wire;
    const char *problem;
    buffer_reset(name);
    return imap_parse_astring(parser, &wire) && mailbox_name_parse(wire, form, name, &problem)
           && !name->failed;
}

/* status-att-val: number and mod-sequence-valzer are digits; "MAILBOXID" SP "(" objectid ")" */
static bool parse_status_value(struct imap_parser *parser)
{
    struct slice word;
    uint64_t number;
    if (!imap_parse_word(parser, &word) || !imap_parse_space(parser))
        return false;
    if (imap_skip_octet(parser, '('))
        return imap_parse_atom(parser, &word) && imap_skip_octet(parser, ')');
    return cursor_take_number(&parser->in, &number);
}

static bool parse_status(struct imap_parser *parser)
{
    if (!imap_skip_octet(parser, '('))
        return false;
    if (imap_skip_octet(parser, ')'))
        return true;
    do {
        if (!parse_status_value(parser))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_skip_octet(parser, ')');
}

static bool parse_metadata_value(struct imap_parser *parser)
{
    struct slice entry, value;
    return imap_parse_astring(parser, &entry) && imap_parse_space(parser)
           && (imap_parse_literal8(parser, &value) || imap_parse_nstring(parser, &value));
}

/* metadata-resp: entry-values / entry-list */
static bool parse_metadata(struct imap_parser *parser)
{
    struct slice entry;
    bool has_values = imap_skip_octet(parser, '(');
    do {
        if (has_values ? !parse_metadata_value(parser) : !imap_parse_astring(parser, &entry))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return !has_values || imap_skip_octet(parser, ')');
}

/* mbx-list-flags: none, or that it is gone. With "\Sent" (RFC 6154) a client would file its sent
 * mail there. */
static bool parse_attributes(struct imap_parser *parser)
{
    if (!imap_skip_octet(parser, '('))
        return false;
    if (imap_skip_octet(parser, '\\') && !imap_skip_word(parser, SLICE("NonExistent")))
        return false;
    return imap_skip_octet(parser, ')');
}

/* "Shared/alice@example.org/" of what is below it */
static struct slice account_level(struct slice name)
{
    size_t top = slice_find_octet(name, '/') + 1;
    return slice_range(name, 0, top + slice_find_octet(slice_from(name, top), '/') + 1);
}

/* oldname-extended-item (RFC 5465 8), or the end. A mailbox of nobody else was renamed to it. */
static bool parse_old_name(struct imap_parser *parser, enum mailbox_name_form form,
                           struct slice name)
{
    struct buffer old = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    struct slice tag;
    if (!imap_skip_octet(parser, ' '))
        return true;
    bool parsed = imap_skip_octet(parser, '(') && imap_parse_astring(parser, &tag)
                  && slice_equal_nocase(tag, SLICE("OLDNAME")) && imap_skip_octet(parser, ' ')
                  && imap_skip_octet(parser, '(') && parse_mailbox(parser, form, &old)
                  && slice_starts_with(buffer_slice(&old), account_level(name))
                  && imap_skip_octet(parser, ')') && imap_skip_octet(parser, ')');
    buffer_clear(&old);
    return parsed;
}

static enum told_kind parse_response(struct imap_parser *parser, enum mailbox_name_form form,
                                     struct buffer *name)
{
    struct slice separator;
    if (imap_skip_word(parser, SLICE("STATUS")))
        return imap_skip_octet(parser, ' ') && parse_mailbox(parser, form, name)
                       && imap_skip_octet(parser, ' ') && parse_status(parser)
                   ? TOLD_STATUS
                   : TOLD_OTHER;
    if (imap_skip_word(parser, SLICE("METADATA")))
        return imap_skip_octet(parser, ' ') && parse_mailbox(parser, form, name)
                       && imap_skip_octet(parser, ' ') && parse_metadata(parser)
                   ? TOLD_METADATA
                   : TOLD_OTHER;
    if (imap_skip_word(parser, SLICE("LIST")))
        return imap_skip_octet(parser, ' ') && parse_attributes(parser)
                       && imap_skip_octet(parser, ' ') && imap_parse_string(parser, &separator)
                       && slice_equal(separator, SLICE("/")) && imap_skip_octet(parser, ' ')
                       && parse_mailbox(parser, form, name)
                       && parse_old_name(parser, form, buffer_slice(name))
                   ? TOLD_LIST
                   : TOLD_OTHER;
    return TOLD_OTHER;
}

/* Moves the parser after "* "; false: there is none. */
static bool begin(struct imap_parser *parser, struct slice text, enum mailbox_name_form form,
                  struct arena *arena)
{
    if (!slice_ends_with(text, SLICE("\r\n")))
        return false;
    imap_parser_init(parser, slice_range(text, 0, text.len - 2), arena);
    parser->utf8 = form == MAILBOX_NAME_UTF8;
    return imap_skip_octet(parser, '*') && imap_skip_octet(parser, ' ');
}

enum told_kind told_parse(struct slice text, enum mailbox_name_form form, struct arena *arena,
                          struct buffer *name)
{
    struct imap_parser parser;
    if (!begin(&parser, text, form, arena))
        return TOLD_OTHER;
    enum told_kind kind = parse_response(&parser, form, name);
    return kind != TOLD_OTHER && imap_parser_at_end(&parser) ? kind : TOLD_OTHER;
}

/* ---- ESEARCH ---- */

/* Numbers, sets and ranges, and NIL: octets that cannot form another response. */
static void skip_numbers(struct imap_parser *parser)
{
    static const struct slice octets = SLICE("0123456789:,*-NIL");
    uint8_t octet;
    while (cursor_peek(&parser->in, &octet) && slice_find_octet(octets, octet) < octets.len)
        parser->in.at++;
}

/* search-return-data = "ALL" SP sequence-set / "COUNT" SP number / "PARTIAL" SP "(" range SP set
 * ")" and the like (RFC 4731 3.1, RFC 9394 3.1, RFC 7162 3.1.10) */
static bool parse_found(struct imap_parser *parser)
{
    struct slice word;
    if (!imap_parse_word(parser, &word) || !imap_skip_octet(parser, ' '))
        return false;
    bool is_pair = imap_skip_octet(parser, '(');
    skip_numbers(parser);
    if (!is_pair)
        return true;
    if (imap_skip_octet(parser, ' '))
        skip_numbers(parser);
    return imap_skip_octet(parser, ')');
}

/* search-correlator = SP "(" one-correlator *(SP one-correlator) ")" */
static bool parse_correlator(struct imap_parser *parser, struct slice tag,
                             enum mailbox_name_form form, struct buffer *name)
{
    struct slice told;
    uint64_t uidvalidity;
    return imap_skip_octet(parser, '(') && imap_skip_word(parser, SLICE("TAG"))
           && imap_skip_octet(parser, ' ') && imap_parse_string(parser, &told)
           && slice_equal(told, tag) && imap_skip_octet(parser, ' ')
           && imap_skip_word(parser, SLICE("MAILBOX")) && imap_skip_octet(parser, ' ')
           && parse_mailbox(parser, form, name) && imap_skip_octet(parser, ' ')
           && imap_skip_word(parser, SLICE("UIDVALIDITY")) && imap_skip_octet(parser, ' ')
           && cursor_take_number(&parser->in, &uidvalidity) && imap_skip_octet(parser, ')');
}

bool told_parse_search(struct slice text, struct slice tag, enum mailbox_name_form form,
                       struct arena *arena, struct buffer *name)
{
    struct imap_parser parser;
    if (!begin(&parser, text, form, arena) || !imap_skip_word(&parser, SLICE("ESEARCH"))
        || !imap_skip_octet(&parser, ' ') || !parse_correlator(&parser, tag, form, name)
        || !imap_skip_octet(&parser, ' ') || !imap_skip_word(&parser, SLICE("UID")))
        return false;
    while (imap_skip_octet(&parser, ' '))
        if (!parse_found(&parser))
            return false;
    return imap_parser_at_end(&parser);
}
