/* The grammar and the response of metadata.h. */
#include "imapd/syntax/metadata.h"

#include "common/mime/structure.h"
#include "imapd/syntax/writer.h"

/* ---- requests ---- */

/* 3.2: "/"-separated parts, none empty, of ASCII without "*", "%" and controls. */
static bool is_path(struct slice entry)
{
    uint8_t last = 0;
    for (size_t i = 0; i < entry.len; i++) {
        uint8_t octet = entry.ptr[i];
        if (octet <= ' ' || octet > '~' || octet == '*' || octet == '%'
            || (octet == '/' && last == '/'))
            return false;
        last = octet;
    }
    return last != '/';
}

static bool is_entry(struct slice entry)
{
    return is_path(entry)
           && (slice_starts_with(entry, SLICE("/private/"))
               || slice_starts_with(entry, SLICE("/shared/")));
}

/* No entry has these names, but entries below them can be requested. */
static bool is_root(struct slice entry)
{
    return slice_equal(entry, SLICE("/private")) || slice_equal(entry, SLICE("/shared"));
}

static bool parse_lower(struct imap_parser *parser, struct slice *entry)
{
    struct slice given;
    if (!imap_parse_astring(parser, &given))
        return imap_parser_fail(parser, "the name of an entry");
    uint8_t *lower = arena_alloc(parser->arena, given.len + 1);
    if (!lower)
        return imap_parser_exhaust(parser);
    for (size_t i = 0; i < given.len; i++)
        lower[i] = ascii_lower(given.ptr[i]);
    *entry = slice_of(lower, given.len);
    return true;
}

static bool parse_entry(struct imap_parser *parser, bool root_too, struct slice *entry)
{
    struct cursor start = parser->in;
    if (!parse_lower(parser, entry))
        return false;
    if (is_entry(*entry) || (root_too && is_root(*entry)))
        return true;
    parser->in = start;
    return imap_parser_fail(parser, "an entry below /private or /shared");
}

bool metadata_parse_entry(struct imap_parser *parser, struct slice *entry)
{
    return parse_entry(parser, false, entry);
}

/* maxsize-opt = "MAXSIZE" SP number; scope-opt = "DEPTH" SP ("0" / "1" / "infinity") */
static bool parse_option(struct imap_parser *parser, struct metadata_request *request)
{
    struct slice depth;
    if (imap_skip_word(parser, SLICE("MAXSIZE"))) {
        request->is_limited = true;
        return imap_parse_space(parser) && imap_parse_number(parser, &request->max_octets);
    }
    if (!imap_skip_word(parser, SLICE("DEPTH")) || !imap_parse_space(parser)
        || !imap_parse_word(parser, &depth))
        return imap_parser_fail(parser, "MAXSIZE or DEPTH");
    if (slice_equal(depth, SLICE("0")))
        request->depth = METADATA_ENTRY_ALONE;
    else if (slice_equal(depth, SLICE("1")))
        request->depth = METADATA_CHILDREN;
    else if (slice_equal_nocase(depth, SLICE("infinity")))
        request->depth = METADATA_ALL_BELOW;
    else
        return imap_parser_fail(parser, "0, 1 or infinity");
    return true;
}

/* getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")", and the space after
 * them, if they are next: a list of entries begins with "/", a quote or a literal. */
static bool skip_options(struct imap_parser *parser, struct metadata_request *request)
{
    struct cursor in = parser->in;
    uint8_t octet;
    if (!cursor_skip(&in, '(') || !cursor_peek(&in, &octet) || !ascii_is_alpha(octet))
        return true;
    parser->in = in;
    do {
        if (!parse_option(parser, request))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "an option or \")\"") && imap_parse_space(parser);
}

static bool add_entry(struct imap_parser *parser, struct metadata_request *request)
{
    if (request->entry_count == METADATA_ENTRIES_MAX)
        return imap_parser_exhaust(parser);
    bool root_too = request->depth != METADATA_ENTRY_ALONE;
    if (!parse_entry(parser, root_too, &request->entries[request->entry_count]))
        return false;
    request->entry_count++;
    return true;
}

/* entries = entry / "(" entry *(SP entry) ")" */
static bool parse_entries(struct imap_parser *parser, struct metadata_request *request)
{
    request->entries =
        arena_alloc_array(parser->arena, METADATA_ENTRIES_MAX, sizeof(*request->entries));
    if (!request->entries)
        return imap_parser_exhaust(parser);
    if (!imap_skip_octet(parser, '('))
        return add_entry(parser, request);
    do {
        if (!add_entry(parser, request))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "an entry or \")\"");
}

bool metadata_request_parse(struct imap_parser *parser, metadata_mailbox_parser *take_mailbox,
                            void *mailbox, struct metadata_request *request)
{
    *request = (struct metadata_request){.entry_count = 0};
    return skip_options(parser, request) && take_mailbox(parser, mailbox)
           && imap_parse_space(parser) && skip_options(parser, request)
           && parse_entries(parser, request);
}

bool metadata_request_parse_entries(struct imap_parser *parser, struct metadata_request *request)
{
    *request = (struct metadata_request){.entry_count = 0};
    return skip_options(parser, request) && parse_entries(parser, request);
}

/* ---- the response ---- */

static bool is_asked_for(const struct metadata_request *request, struct slice entry)
{
    for (size_t i = 0; i < request->entry_count; i++) {
        struct slice asked = request->entries[i];
        if (slice_equal(entry, asked))
            return true;
        if (request->depth == METADATA_ENTRY_ALONE || !slice_starts_with(entry, asked)
            || entry.ptr[asked.len] != '/')
            continue;
        struct slice below = slice_from(entry, asked.len + 1);
        if (request->depth == METADATA_ALL_BELOW || slice_find_octet(below, '/') == below.len)
            return true;
    }
    return false;
}

/* value = nstring / literal8 (RFC 3516 4.1): NUL is in no other string. */
static void append_value(struct buffer *text, struct slice value)
{
    if (!value.ptr) {
        buffer_append(text, SLICE("NIL"));
    } else if (slice_find_octet(value, '\0') < value.len) {
        buffer_append(text, SLICE("~{"));
        buffer_append_number(text, value.len);
        buffer_append(text, SLICE("}\r\n"));
        buffer_append(text, value);
    } else {
        structure_append_string(text, value);
    }
}

struct response {
    struct buffer *text;
    struct slice wire_name;
    bool begun;
};

static void tell(struct response *response, struct slice entry, struct slice value)
{
    struct buffer *text = response->text;
    if (!response->begun) {
        buffer_append(text, SLICE("* METADATA "));
        imap_append_astring(text, response->wire_name);
    }
    buffer_append_string(text, response->begun ? " " : " (");
    response->begun = true;
    imap_append_astring(text, entry);
    buffer_append_octet(text, ' ');
    append_value(text, value);
}

void metadata_write(const struct metadata_request *request, const struct annotations *annotations,
                    struct slice wire_name, struct buffer *text, uint64_t *longest)
{
    struct response response = {text, wire_name, false};
    struct slice rest = buffer_slice(&annotations->text), value;
    struct annotation one;
    while (annotations_next(&rest, &one)) {
        if (!is_asked_for(request, one.entry))
            continue;
        if (!request->is_limited || one.value.len <= request->max_octets)
            tell(&response, one.entry, one.value);
        else if (one.value.len > *longest)
            *longest = one.value.len;
    }
    for (size_t i = 0; request->depth == METADATA_ENTRY_ALONE && i < request->entry_count; i++)
        if (!annotations_find(annotations, request->entries[i], &value))
            tell(&response, request->entries[i], slice_of(NULL, 0));
    if (response.begun)
        buffer_append(text, SLICE(")\r\n"));
}
