/* The grammar of list_request.h: RFC 5258 6, RFC 5819 4, RFC 6154 6. */
#include "imapd/syntax/list_request.h"

#include "common/size.h"

static const struct option {
    struct slice name;
    unsigned option;
} selections[] = {{SLICE("SUBSCRIBED"), LIST_SUBSCRIBED},
                  {SLICE("REMOTE"), LIST_REMOTE},
                  {SLICE("RECURSIVEMATCH"), LIST_RECURSIVEMATCH},
                  {SLICE("SPECIAL-USE"), LIST_SPECIAL_USE}},
  returns[] = {{SLICE("SUBSCRIBED"), LIST_SUBSCRIBED},
               {SLICE("CHILDREN"), LIST_CHILDREN},
               {SLICE("MYRIGHTS"), LIST_MYRIGHTS},
               {SLICE("SPECIAL-USE"), LIST_SPECIAL_USE}};

static bool parse_option(struct imap_parser *parser, const struct option *options, size_t count,
                         unsigned *chosen)
{
    for (size_t i = 0; i < count; i++) {
        if (imap_skip_word(parser, options[i].name)) {
            *chosen |= options[i].option;
            return true;
        }
    }
    return imap_parser_fail(parser, "an option of LIST that there is");
}

/* list-select-opts = "(" [list-select-opt *(SP list-select-opt)] ")", "(" having been read */
static bool parse_selection(struct imap_parser *parser, struct list_request *request)
{
    if (!imap_skip_octet(parser, ')')) {
        do {
            if (!parse_option(parser, selections, ARRAY_LENGTH(selections), &request->selection))
                return false;
        } while (imap_skip_octet(parser, ' '));
        if (!imap_parse_octet(parser, ')', "an option or \")\""))
            return false;
    }
    bool selects = request->selection & (LIST_SUBSCRIBED | LIST_SPECIAL_USE);
    return selects || !(request->selection & LIST_RECURSIVEMATCH)
           || imap_parser_fail(parser, "an option that selects beside RECURSIVEMATCH");
}

/* The text from there, without its leading space. */
static bool keep_text(struct imap_parser *parser, struct cursor *start, struct slice *text)
{
    *text = arena_copy(parser->arena, slice_from(cursor_since(&parser->in, start), 1));
    return text->ptr || imap_parser_exhaust(parser);
}

/* "STATUS" SP "(" status-att *(SP status-att) ")"; "METADATA" [SP getmetadata-options] SP entries
 */
static bool parse_return(struct imap_parser *parser, struct list_request *request)
{
    if (imap_skip_word(parser, SLICE("STATUS"))) {
        struct cursor start = parser->in;
        return imap_parse_space(parser) && imap_parse_status_items(parser, &request->status_items)
               && keep_text(parser, &start, &request->status_text);
    }
    if (imap_skip_word(parser, SLICE("METADATA"))) {
        struct cursor start = parser->in;
        return imap_parse_space(parser)
               && metadata_request_parse_entries(parser, &request->metadata)
               && keep_text(parser, &start, &request->metadata_text);
    }
    return parse_option(parser, returns, ARRAY_LENGTH(returns), &request->returns);
}

/* list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")" */
static bool parse_returns(struct imap_parser *parser, struct list_request *request)
{
    if (!imap_skip_word(parser, SLICE("RETURN")))
        return imap_parser_fail(parser, "RETURN or the end");
    request->extended = request->returns_are_told = true;
    if (!imap_parse_space(parser)
        || !imap_parse_octet(parser, '(', "a list of options in parentheses"))
        return false;
    if (imap_skip_octet(parser, ')'))
        return true;
    do {
        if (!parse_return(parser, request))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "an option or \")\"");
}

static bool parse_pattern(struct imap_parser *parser, struct list_request *request)
{
    if (request->pattern_count == LIST_PATTERNS_MAX)
        return imap_parser_exhaust(parser);
    if (!imap_parse_list_mailbox(parser, &request->patterns[request->pattern_count]))
        return false;
    request->pattern_count++;
    return true;
}

/* mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")" */
static bool parse_patterns(struct imap_parser *parser, struct list_request *request)
{
    request->patterns =
        arena_alloc_array(parser->arena, LIST_PATTERNS_MAX, sizeof(*request->patterns));
    if (!request->patterns)
        return imap_parser_exhaust(parser);
    if (!imap_skip_octet(parser, '('))
        return parse_pattern(parser, request);
    request->extended = true;
    do {
        if (!parse_pattern(parser, request))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "a pattern or \")\"");
}

bool list_request_parse(struct imap_parser *parser, struct list_request *request)
{
    *request = (struct list_request){.extended = false};
    if (!imap_parse_space(parser))
        return false;
    if (imap_skip_octet(parser, '(')) {
        request->extended = true;
        if (!parse_selection(parser, request) || !imap_parse_space(parser))
            return false;
    }
    return imap_parse_astring(parser, &request->reference) && imap_parse_space(parser)
           && parse_patterns(parser, request)
           && (!imap_skip_octet(parser, ' ') || parse_returns(parser, request))
           && imap_parse_end(parser);
}
