/* The grammar of search_return.h. */
#include "imapd/search/search_return.h"

#include "common/size.h"
#include "imapd/fetch/fetch_item.h"

bool partial_range_parse(struct imap_parser *parser, struct partial_range *range)
{
    struct cursor start = parser->in;
    uint32_t one, other;
    bool from_end = imap_skip_octet(parser, '-');
    if (!imap_parse_nz_number(parser, &one) || !imap_parse_octet(parser, ':', "\":\"")
        || (from_end && !imap_parse_octet(parser, '-', "\"-\""))
        || !imap_parse_nz_number(parser, &other)) {
        parser->in = start;
        return false;
    }
    range->from_end = from_end;
    range->low = one < other ? one : other;
    range->high = one < other ? other : one;
    return true;
}

void partial_range_format(const struct partial_range *range, struct buffer *text)
{
    buffer_append_string(text, range->from_end ? "-" : "");
    buffer_append_number(text, range->low);
    buffer_append_string(text, range->from_end ? ":-" : ":");
    buffer_append_number(text, range->high);
}

void partial_range_resolve(const struct partial_range *range, size_t count, size_t *first,
                           size_t *end)
{
    size_t low = range->low;
    size_t high = range->high < count ? range->high : count;
    if (low > high) {
        *first = *end = 0;
    } else if (range->from_end) {
        *first = count - high;
        *end = count - low + 1;
    } else {
        *first = low - 1;
        *end = high;
    }
}

static const struct {
    struct slice name;
    enum search_return_item item;
} names[] = {
    {SLICE("MIN"), SEARCH_RETURNS_MIN},     {SLICE("MAX"), SEARCH_RETURNS_MAX},
    {SLICE("COUNT"), SEARCH_RETURNS_COUNT}, {SLICE("ALL"), SEARCH_RETURNS_ALL},
    {SLICE("SAVE"), SEARCH_SAVES},          {SLICE("CONTEXT"), SEARCH_CONTEXT},
};

/* modifier-update = "UPDATE" [SP "(" fetch-att *(SP fetch-att) ")"]    RFC 5465 7 */
static bool parse_update(struct imap_parser *parser, struct search_return *returns)
{
    struct cursor in = parser->in;
    struct fetch_item *items;
    uint8_t octet;
    returns->items |= SEARCH_UPDATES;
    if (!cursor_skip(&in, ' ') || !cursor_peek(&in, &octet) || octet != '(')
        return true;
    struct cursor start = in;
    parser->in = in;
    if (!fetch_items_parse(parser, &items))
        return false;
    returns->update_data = cursor_since(&parser->in, &start);
    return true;
}

/* "A single command MUST NOT contain more than one PARTIAL or ALL search return option" (RFC 9394
 * 3.1). */
static bool parse_partial(struct imap_parser *parser, struct search_return *returns)
{
    if (returns->items & SEARCH_RETURNS_PARTIAL)
        return imap_parser_fail(parser, "PARTIAL once");
    returns->items |= SEARCH_RETURNS_PARTIAL;
    return imap_parse_space(parser) && partial_range_parse(parser, &returns->partial);
}

static bool parse_option(struct imap_parser *parser, struct search_return *returns)
{
    if (imap_skip_word(parser, SLICE("PARTIAL")))
        return parse_partial(parser, returns);
    if (imap_skip_word(parser, SLICE("UPDATE")))
        return parse_update(parser, returns);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (!imap_skip_word(parser, names[i].name))
            continue;
        returns->items |= names[i].item;
        return true;
    }
    return imap_parser_fail(parser, "a RETURN option that we know");
}

static bool parse_options(struct imap_parser *parser, struct search_return *returns)
{
    if (!imap_parse_space(parser) || !imap_parse_octet(parser, '(', "\"(\""))
        return false;
    if (imap_skip_octet(parser, ')')) {
        returns->items = SEARCH_RETURNS_ALL;
        return true;
    }
    do {
        if (!parse_option(parser, returns))
            return false;
    } while (imap_skip_octet(parser, ' '));
    unsigned both = SEARCH_RETURNS_ALL | SEARCH_RETURNS_PARTIAL;
    if ((returns->items & both) == both)
        return imap_parser_fail(parser, "only one of ALL and PARTIAL");
    return imap_parse_octet(parser, ')', "a RETURN option or \")\"");
}

bool search_return_parse(struct imap_parser *parser, struct search_return *returns)
{
    *returns = (struct search_return){.items = 0};
    return !imap_skip_word(parser, SLICE("RETURN"))
           || (parse_options(parser, returns) && imap_parse_space(parser));
}

bool search_return_wants_first(const struct search_return *returns)
{
    return (returns->items & ~(unsigned)SEARCH_SAVES) == SEARCH_RETURNS_MIN;
}

bool search_return_wants_last(const struct search_return *returns)
{
    return (returns->items & ~(unsigned)SEARCH_SAVES) == SEARCH_RETURNS_MAX;
}
