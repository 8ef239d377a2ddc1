/* Promises of imapd/fetch/fetch_item.h: RFC 3501 6.4.5 and 9, fetch-att and section; RFC
 * 3516 7. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "imapd/fetch/fetch_item.h"

/* The labels of all items, joined by spaces, with "!" where \Seen will be set. */
static const struct fetch_case {
    const char *text;
    const char *labels; /* NULL: refused */
} cases[] = {
    {"FLAGS", "FLAGS"},
    {"(flags uid)", "FLAGS UID"},
    {"ALL", "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE"},
    {"fast", "FLAGS INTERNALDATE RFC822.SIZE"},
    {"FULL", "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY"},
    {"(ALL)", NULL}, /* a macro stands alone */
    {"(BODY BODYSTRUCTURE)", "BODY BODYSTRUCTURE"},
    {"(RFC822 RFC822.HEADER RFC822.TEXT RFC822.SIZE)",
     "RFC822! RFC822.HEADER RFC822.TEXT! RFC822.SIZE"},
    {"BODY[]", "BODY[]!"},
    {"body.peek[]", "BODY[]"},
    {"BODY[]<0.2048>", "BODY[]<0>!"},
    {"BODY.PEEK[header]<4294967295.4294967295>", "BODY[HEADER]<4294967295>"},
    {"BODY.PEEK[1]", "BODY[1]"},
    {"BODY.PEEK[1.2.3.4.5]", "BODY[1.2.3.4.5]"},
    {"BODY.PEEK[1.2.mime]", "BODY[1.2.MIME]"},
    {"BODY.PEEK[4.1.TEXT]", "BODY[4.1.TEXT]"},
    {"BODY.PEEK[HEADER.FIELDS (Date From)]", "BODY[HEADER.FIELDS (Date From)]"},
    {"BODY.PEEK[2.HEADER.FIELDS.NOT (\"a b\" {3}\r\nx\"y {0}\r\n)]",
     "BODY[2.HEADER.FIELDS.NOT (\"a b\" \"x\\\"y\" \"\")]"},
    {"(BODY.PEEK[HEADER.FIELDS (a b c d e)] UID)", "BODY[HEADER.FIELDS (a b c d e)] UID"},
    {"BODY[MIME]", NULL}, /* of a part only */
    {"BODY[0]", NULL},
    {"BODY[01]", NULL},
    {"BODY[1.]", NULL},
    {"BODY[.1]", NULL},
    {"BODY[1", NULL},
    {"BODY[1.HEADER.1]", NULL},
    {"BODY[HEADER.FIELDS]", NULL},
    {"BODY[HEADER.FIELDS ()]", NULL},
    {"BODY[HEADER.FIELDS(a)]", NULL},
    {"BODY[HEADER.FIELDS (a )]", NULL},
    {"BODY[FOO]", NULL},
    {"BODY[4294967296]", NULL},
    {"BODY[]<0.0>", NULL},
    {"BODY[]<0>", NULL},
    {"BODY[]<0.1", NULL},
    {"BODY[]<-1.1>", NULL},
    {"BODY[]<4294967296.9223372036854775807>", "BODY[]<4294967296>!"}, /* number64, RFC 9051 9 */
    {"BODY[]<0.9223372036854775808>", NULL},
    {"(BINARY[1.2] BINARY.PEEK[] binary.size[3])", "BINARY[1.2]! BINARY[] BINARY.SIZE[3]"},
    {"BINARY.PEEK[1]<5.10>", "BINARY[1]<5>"}, /* RFC 3516 7 */
    {"(PREVIEW UID)", "PREVIEW UID"},
    {"preview (lazy)", "PREVIEW"}, /* RFC 8970 6 */
    {"(PREVIEW (LAZY LAZY) FLAGS)", "PREVIEW FLAGS"},
    {"(PREVIEW (EAGER))", NULL},
    {"(PREVIEW ())", NULL},
    {"BINARY", NULL},
    {"BINARY.SIZE", NULL},
    {"BINARY[1.TEXT]", NULL},
    {"BINARY[HEADER]", NULL},
    {"BINARY[1.MIME]", NULL},
    {"BINARY.SIZE[1]<0.1>", NULL},
    {"BODY.PEEK", NULL},
    {"BODY.PEEK<0.1>", NULL},
    {"RFC822[]", NULL},
    {"FOO", NULL},
    {"()", NULL},
    {"(FLAGS", NULL},
    {"(FLAGS )", NULL},
    {"(FLAGS  UID)", NULL},
    {"", NULL},
};

static void items_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena arena;
        struct imap_parser parser;
        struct fetch_item *items;
        struct buffer labels = BUFFER_WITH_LIMIT(1000);
        arena_init(&arena, 10000);
        imap_parser_init(&parser, slice_of_string(cases[i].text), &arena);
        bool parsed = fetch_items_parse(&parser, &items) && imap_parse_end(&parser);
        if (parsed != (cases[i].labels != NULL))
            fail_msg("\"%s\": %s", cases[i].text, parsed ? "accepted" : parser.expected);
        for (struct fetch_item *item = items; parsed && item; item = item->next) {
            buffer_append(&labels, item->label);
            buffer_append_string(&labels, item->sets_seen ? "!" : "");
            buffer_append_string(&labels, item->next ? " " : "");
        }
        if (parsed)
            assert_slice_is(buffer_slice(&labels), cases[i].labels);
        buffer_clear(&labels);
        arena_clear(&arena);
    }
}

static void a_section_says_what_is_wanted(void **state)
{
    (void)state;
    struct arena arena;
    struct imap_parser parser;
    struct fetch_item *item;
    arena_init(&arena, 10000);
    imap_parser_init(&parser, SLICE("BODY[3.1.HEADER.FIELDS (To \"Cc\")]<7.9>"), &arena);
    assert_true(fetch_items_parse(&parser, &item));
    assert_null(item->next);
    assert_int_equal(item->kind, FETCH_SECTION);
    assert_int_equal(item->section.depth, 2);
    assert_int_equal(item->section.path[0], 3);
    assert_int_equal(item->section.path[1], 1);
    assert_int_equal(item->section.kind, SECTION_FIELDS);
    assert_int_equal(item->field_count, 2);
    assert_slice_is(item->label, "BODY[3.1.HEADER.FIELDS (To Cc)]<7>");
    assert_slice_is(item->fields[0], "Cc"); /* sorted, for who looks them up */
    assert_slice_is(item->fields[1], "To");
    assert_true(item->partial);
    assert_int_equal(item->offset, 7);
    assert_int_equal(item->octets, 9);
    arena_clear(&arena);
}

static void parts_are_not_deeper_than_messages(void **state)
{
    (void)state;
    struct arena arena;
    struct imap_parser parser;
    struct fetch_item *item;
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    arena_init(&arena, 10000);
    buffer_append(&text, SLICE("BODY[1"));
    for (int i = 0; i < MIME_DEPTH_MAX; i++)
        buffer_append(&text, SLICE(".1"));
    size_t deepest = text.len;
    buffer_append(&text, SLICE("]"));
    imap_parser_init(&parser, buffer_slice(&text), &arena);
    assert_true(fetch_items_parse(&parser, &item));
    assert_slice_equal(item->label, buffer_slice(&text));
    buffer_truncate(&text, deepest);
    buffer_append(&text, SLICE(".1]"));
    imap_parser_init(&parser, buffer_slice(&text), &arena);
    assert_false(fetch_items_parse(&parser, &item));
    buffer_clear(&text);
    arena_clear(&arena);
}

static void a_full_arena_is_said(void **state)
{
    (void)state;
    struct arena arena;
    struct imap_parser parser;
    struct fetch_item *items;
    arena_init(&arena, 1000);
    imap_parser_init(&parser, SLICE("(FLAGS FLAGS FLAGS FLAGS BODY[1.2.3])"), &arena);
    assert_false(fetch_items_parse(&parser, &items));
    assert_true(parser.exhausted);
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_parsed),
        cmocka_unit_test(a_section_says_what_is_wanted),
        cmocka_unit_test(parts_are_not_deeper_than_messages),
        cmocka_unit_test(a_full_arena_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
