/* The parser of fetch_item.h. */
#include "imapd/fetch/fetch_item.h"

#include "common/size.h"
#include "imapd/syntax/writer.h"

/* The list grows in the arena, where it is full: at 0, 1, 2, 4, 8 fields and so on. */
static bool append_field(struct imap_parser *parser, struct fetch_item *item, struct slice field)
{
    size_t count = item->field_count;
    if ((count & (count - 1)) == 0) {
        struct slice *more = arena_alloc_array(parser->arena, count ? count * 2 : 1, sizeof(*more));
        if (!more)
            return imap_parser_exhaust(parser);
        if (count)
            memcpy(more, item->fields, count * sizeof(*more));
        item->fields = more;
    }
    item->fields[item->field_count++] = field;
    return true;
}

/* header-list = "(" header-fld-name *(SP header-fld-name) ")" */
static bool parse_header_list(struct imap_parser *parser, struct fetch_item *item)
{
    struct slice field;
    if (!imap_parse_octet(parser, '(', "a list of header fields in parentheses"))
        return false;
    do {
        if (!imap_parse_astring(parser, &field) || !append_field(parser, item, field))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "a header field or \")\"");
}

static bool has_header_list(const struct section *section)
{
    return section->kind == SECTION_FIELDS || section->kind == SECTION_FIELDS_NOT;
}

/* section = "[" [section-spec] "]" */
static bool parse_section(struct imap_parser *parser, struct fetch_item *item)
{
    if (!section_parse(&parser->in, &item->section))
        return imap_parser_fail(parser, "a part, HEADER, HEADER.FIELDS, TEXT or MIME");
    if (item->section.depth > ARRAY_LENGTH(item->section.path))
        return imap_parser_fail(parser, "a part less deep");
    if (has_header_list(&item->section)
        && (!imap_parse_space(parser) || !parse_header_list(parser, item)))
        return false;
    return imap_parse_octet(parser, ']', "\"]\"");
}

/* ["<" number64 "." nz-number64 ">"]    RFC 9051 9 */
static bool parse_partial(struct imap_parser *parser, struct fetch_item *item)
{
    item->partial = imap_skip_octet(parser, '<');
    return !item->partial
           || (imap_parse_number64(parser, &item->offset)
               && imap_parse_octet(parser, '.', "\".\" and a number of octets")
               && imap_parse_nz_number64(parser, &item->octets)
               && imap_parse_octet(parser, '>', "\">\""));
}

/* As asked for, with one spelling of every name. */
static void append_section(struct buffer *text, const struct fetch_item *item)
{
    static const char *const names[] = {
        [SECTION_ALL] = "",
        [SECTION_HEADER] = "HEADER",
        [SECTION_FIELDS] = "HEADER.FIELDS",
        [SECTION_FIELDS_NOT] = "HEADER.FIELDS.NOT",
        [SECTION_TEXT] = "TEXT",
        [SECTION_MIME] = "MIME",
    };
    const struct section *section = &item->section;
    for (size_t i = 0; i < section->depth; i++) {
        buffer_append_string(text, i ? "." : "");
        buffer_append_number(text, section->path[i]);
    }
    buffer_append_string(text, section->depth && section->kind != SECTION_ALL ? "." : "");
    buffer_append_string(text, names[section->kind]);
    for (size_t i = 0; i < item->field_count; i++) {
        buffer_append_string(text, i ? " " : " (");
        imap_append_astring(text, item->fields[i]);
    }
    buffer_append_string(text, item->field_count ? ")" : "");
}

/* "BODY" section ["<" number ">"]    RFC 3501 9, msg-att-static; RFC 3516 7 */
static bool make_label(struct imap_parser *parser, struct slice word, struct fetch_item *item)
{
    struct buffer text;
    buffer_init(&text, parser->arena->limit);
    buffer_append(&text, word);
    buffer_append_octet(&text, '[');
    append_section(&text, item);
    buffer_append_octet(&text, ']');
    if (item->partial) {
        buffer_append_octet(&text, '<');
        buffer_append_number(&text, item->offset);
        buffer_append_octet(&text, '>');
    }
    item->label = arena_copy(parser->arena, buffer_slice(&text));
    bool made = !text.failed && item->label.ptr;
    section_sort_names(item->fields, item->field_count); /* the label has them as asked for */
    buffer_clear(&text);
    return made || imap_parser_exhaust(parser);
}

static const struct item_name {
    struct slice name;
    enum fetch_kind kind;
    enum section_kind section; /* of FETCH_SECTION */
    bool sets_seen;
} item_names[] = {
    {SLICE("FLAGS"), FETCH_FLAGS, 0, false},
    {SLICE("UID"), FETCH_UID, 0, false},
    {SLICE("MODSEQ"), FETCH_MODSEQ, 0, false},
    {SLICE("INTERNALDATE"), FETCH_INTERNALDATE, 0, false},
    {SLICE("RFC822.SIZE"), FETCH_SIZE, 0, false},
    {SLICE("ENVELOPE"), FETCH_ENVELOPE, 0, false},
    {SLICE("SAVEDATE"), FETCH_SAVEDATE, 0, false},
    {SLICE("EMAILID"), FETCH_EMAILID, 0, false},
    {SLICE("THREADID"), FETCH_THREADID, 0, false},
    {SLICE("BODYSTRUCTURE"), FETCH_BODYSTRUCTURE, 0, false},
    {SLICE("RFC822"), FETCH_SECTION, SECTION_ALL, true},
    {SLICE("RFC822.HEADER"), FETCH_SECTION, SECTION_HEADER, false},
    {SLICE("RFC822.TEXT"), FETCH_SECTION, SECTION_TEXT, true},
    {SLICE("BODY"), FETCH_BODY, 0, false}, /* unless a section follows */
};

static bool append_item(struct imap_parser *parser, struct fetch_item ***end,
                        const struct fetch_item *item)
{
    struct fetch_item *copy = arena_alloc(parser->arena, sizeof(*copy));
    if (!copy)
        return imap_parser_exhaust(parser);
    *copy = *item;
    **end = copy;
    *end = &copy->next;
    return true;
}

static bool append_name(struct imap_parser *parser, struct fetch_item ***end, struct slice name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(item_names); i++) {
        const struct item_name *known = &item_names[i];
        if (!slice_equal_nocase(name, known->name))
            continue;
        struct fetch_item item = {.kind = known->kind,
                                  .label = known->name,
                                  .section.kind = known->section,
                                  .sets_seen = known->sets_seen};
        return append_item(parser, end, &item);
    }
    return imap_parser_fail(parser, "a FETCH item that we know");
}

/* What has a section after it. */
static const struct section_name {
    struct slice name;
    struct slice answer;
    enum fetch_kind kind;
    bool sets_seen;
} section_names[] = {
    {SLICE("BODY"), SLICE("BODY"), FETCH_SECTION, true},
    {SLICE("BODY.PEEK"), SLICE("BODY"), FETCH_SECTION, false},
    {SLICE("BINARY"), SLICE("BINARY"), FETCH_BINARY, true},
    {SLICE("BINARY.PEEK"), SLICE("BINARY"), FETCH_BINARY, false},
    {SLICE("BINARY.SIZE"), SLICE("BINARY.SIZE"), FETCH_BINARY_SIZE, false},
};

static const struct section_name *find_section_name(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(section_names); i++) {
        if (slice_equal_nocase(name, section_names[i].name))
            return &section_names[i];
    }
    return NULL;
}

/* section-binary = "[" [section-part] "]"    RFC 3516 7 */
static bool has_section_of_kind(struct imap_parser *parser, const struct fetch_item *item)
{
    return item->kind == FETCH_SECTION || item->section.kind == SECTION_ALL
           || imap_parser_fail(parser, "only the numbers of a part");
}

/* "(" preview-mod *(SP preview-mod) ")", where it is that and no fetch-modifier */
static bool skip_lazy(struct imap_parser *parser)
{
    struct cursor start = parser->in;
    if (imap_skip_octet(parser, ' ') && imap_skip_octet(parser, '(')) {
        bool lazy = false;
        do
            lazy = imap_skip_word(parser, SLICE("LAZY"));
        while (lazy && imap_skip_octet(parser, ' '));
        if (lazy && imap_skip_octet(parser, ')'))
            return true;
    }
    parser->in = start;
    return false;
}

/* "PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]    RFC 8970 6 */
static bool parse_preview(struct imap_parser *parser, struct fetch_item ***end)
{
    const struct fetch_item item = {
        .kind = FETCH_PREVIEW, .label = SLICE("PREVIEW"), .lazy = skip_lazy(parser)};
    return append_item(parser, end, &item);
}

/* fetch-att = ... / "BODY" section [partial] / "BODY.PEEK" section [partial]
 *             / "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary */
static bool parse_item(struct imap_parser *parser, struct fetch_item ***end)
{
    struct slice name;
    if (!imap_parse_word(parser, &name))
        return imap_parser_fail(parser, "a FETCH item");
    if (slice_equal_nocase(name, SLICE("PREVIEW")))
        return parse_preview(parser, end);
    const struct section_name *known = find_section_name(name);
    if (!known || (slice_equal(known->name, SLICE("BODY")) && !imap_peek_octet(parser, '[')))
        return append_name(parser, end, name);
    struct fetch_item item = {.kind = known->kind, .sets_seen = known->sets_seen};
    return imap_parse_octet(parser, '[', "a section in brackets") && parse_section(parser, &item)
           && has_section_of_kind(parser, &item)
           && (item.kind == FETCH_BINARY_SIZE || parse_partial(parser, &item))
           && make_label(parser, known->answer, &item) && append_item(parser, end, &item);
}

static const struct macro {
    struct slice name;
    struct slice items[5];
    size_t count;
} macros[] = {
    {SLICE("ALL"),
     {SLICE("FLAGS"), SLICE("INTERNALDATE"), SLICE("RFC822.SIZE"), SLICE("ENVELOPE")},
     4},
    {SLICE("FAST"), {SLICE("FLAGS"), SLICE("INTERNALDATE"), SLICE("RFC822.SIZE")}, 3},
    {SLICE("FULL"),
     {SLICE("FLAGS"), SLICE("INTERNALDATE"), SLICE("RFC822.SIZE"), SLICE("ENVELOPE"),
      SLICE("BODY")},
     5},
};

/* "A macro must be used by itself" (RFC 3501 6.4.5). */
static const struct macro *take_macro(struct imap_parser *parser)
{
    for (size_t i = 0; i < ARRAY_LENGTH(macros); i++) {
        if (imap_skip_word(parser, macros[i].name))
            return &macros[i];
    }
    return NULL;
}

static bool expand(struct imap_parser *parser, const struct macro *macro, struct fetch_item ***end)
{
    for (size_t i = 0; i < macro->count; i++) {
        if (!append_name(parser, end, macro->items[i]))
            return false;
    }
    return true;
}

static bool parse_list(struct imap_parser *parser, struct fetch_item ***end)
{
    do {
        if (!parse_item(parser, end))
            return false;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "a FETCH item or \")\"");
}

bool fetch_items_parse(struct imap_parser *parser, struct fetch_item **items)
{
    struct cursor start = parser->in;
    struct fetch_item **end = items;
    bool parsed;
    *items = NULL;
    const struct macro *macro = take_macro(parser);
    if (macro)
        parsed = expand(parser, macro, &end);
    else if (imap_skip_octet(parser, '('))
        parsed = parse_list(parser, &end);
    else
        parsed = parse_item(parser, &end);
    if (!parsed)
        parser->in = start;
    return parsed;
}
