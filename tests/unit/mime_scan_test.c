/*
 * Promises of common/mime: scan.h, structure.h, section.h. The messages of tests/data/mime stand
 * beside what is expected of them: NAME.eml, NAME.expected. The corpus of awkward messages, named
 * by CORPUS, is looked at for what holds of every message.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/mime/scan.h"
#include "common/mime/section.h"
#include "common/mime/structure.h"
#include "common/size.h"

static const char data_folder[] = "tests/data/mime";
static const struct mime_limits limits = {.depth = 100, .parts = 10000};

/* --- reading and describing --- */

static void read_file(const char *folder, const char *name, const char *ending,
                      struct buffer *content)
{
    char path[500];
    struct error error;
    size_t got;
    snprintf(path, sizeof(path), "%s/%s%s", folder, name, ending);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("cannot open %s", path);
    do {
        assert_true(buffer_reserve(content, 65536));
        assert_true(fd_read_full(fd, content->ptr + content->len, 65536, &got, &error));
        buffer_commit(content, got);
    } while (got > 0);
    fd_discard(&fd);
}

/* Scans in pieces of that size; 0: all at once. */
static const struct mime_part *scan_in_pieces(struct slice message, size_t piece,
                                              struct arena *arena)
{
    struct mime_scan scan;
    mime_scan_init(&scan, arena, &limits);
    while (piece > 0 && message.len > piece) {
        mime_scan_feed(&scan, slice_range(message, 0, piece));
        message = slice_from(message, piece);
    }
    mime_scan_feed(&scan, message);
    const struct mime_part *root = mime_scan_finish(&scan);
    assert_non_null(root);
    mime_scan_clear(&scan);
    mime_scan_clear(&scan);
    return root;
}

static void describe_section(struct slice message, const struct mime_part *root, const char *name,
                             struct buffer *text)
{
    struct cursor in = cursor_of(slice_of_string(name));
    struct section section;
    struct mime_span span;
    assert_true(section_parse(&in, &section));
    assert_true(cursor_at_end(&in));
    if (!section_resolve(root, &section, &span))
        return;
    assert_true(span.offset <= message.len && span.octets <= message.len - span.offset);
    buffer_append_format(text, "[%s] %ju+%ju=%ju, %ju lines\r\n", name, (uintmax_t)span.offset,
                         (uintmax_t)span.octets, (uintmax_t)span.crlf_octets,
                         (uintmax_t)span.lines);
}

static void describe_sections(struct slice message, const struct mime_part *root,
                              const char *prefix, struct buffer *text)
{
    static const char *const kinds[] = {"", ".MIME", ".HEADER", ".TEXT"};
    for (unsigned number = 1;; number++) {
        size_t before = text->len;
        char name[700];
        for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
            snprintf(name, sizeof(name), "%s%u%s", prefix, number, kinds[i]);
            describe_section(message, root, name, text);
        }
        if (text->len == before || strlen(prefix) > 300)
            return;
        snprintf(name, sizeof(name), "%s%u.", prefix, number);
        describe_sections(message, root, name, text);
    }
}

/* All that a client can learn of the message. */
static void describe(struct slice message, const struct mime_part *root, struct buffer *text)
{
    buffer_append_string(text, "ENVELOPE ");
    assert_true(structure_format_envelope(root, text));
    buffer_append_string(text, "\r\nBODY ");
    assert_true(structure_format_body(root, text));
    buffer_append_string(text, "\r\nBODYSTRUCTURE ");
    assert_true(structure_format_bodystructure(root, text));
    buffer_append_string(text, "\r\n");
    describe_section(message, root, "", text);
    describe_section(message, root, "HEADER", text);
    describe_section(message, root, "TEXT", text);
    describe_sections(message, root, "", text);
    assert_false(text->failed);
}

static void scan_and_describe(struct slice message, size_t piece, struct buffer *text)
{
    struct arena arena;
    arena_init(&arena, mime_arena_limit(&limits));
    describe(message, scan_in_pieces(message, piece, &arena), text);
    arena_clear(&arena);
}

/* --- own messages --- */

static const char *const own_messages[] = {"nested",      "boundaries", "addresses", "originators",
                                           "header_only", "body_only",  "empty"};

static void own_messages_are_as_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(own_messages); i++) {
        struct buffer message = BUFFER_WITH_LIMIT(1 << 20);
        struct buffer expected = BUFFER_WITH_LIMIT(1 << 20);
        struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
        read_file(data_folder, own_messages[i], ".eml", &message);
        read_file(data_folder, own_messages[i], ".expected", &expected);
        scan_and_describe(buffer_slice(&message), 0, &text);
        assert_slice_equal(buffer_slice(&text), buffer_slice(&expected));
        buffer_clear(&message);
        buffer_clear(&expected);
        buffer_clear(&text);
    }
}

static void every_cut_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(own_messages); i++) {
        struct buffer message = BUFFER_WITH_LIMIT(1 << 20);
        struct buffer whole = BUFFER_WITH_LIMIT(1 << 20);
        read_file(data_folder, own_messages[i], ".eml", &message);
        scan_and_describe(buffer_slice(&message), 0, &whole);
        for (size_t piece = 1; piece < message.len; piece++) {
            struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
            scan_and_describe(buffer_slice(&message), piece, &text);
            assert_slice_equal(buffer_slice(&text), buffer_slice(&whole));
            buffer_clear(&text);
        }
        buffer_clear(&message);
        buffer_clear(&whole);
    }
}

static void sections_are_parsed_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        const char *rest;
        enum section_kind kind;
        size_t depth;
    } cases[] = {
        {"]", true, "]", SECTION_ALL, 0},
        {"HEADER]", true, "]", SECTION_HEADER, 0},
        {"text]", true, "]", SECTION_TEXT, 0},
        {"HEADER.FIELDS (a)]", true, " (a)]", SECTION_FIELDS, 0},
        {"header.fields.not (a)]", true, " (a)]", SECTION_FIELDS_NOT, 0},
        {"1]", true, "]", SECTION_ALL, 1},
        {"1.22.333]", true, "]", SECTION_ALL, 3},
        {"4294967295.MIME]", true, "]", SECTION_MIME, 1},
        {"1.2.HEADER.FIELDS (a)]", true, " (a)]", SECTION_FIELDS, 2},
        {"1.TEXT]", true, "]", SECTION_TEXT, 1},
        {"MIME]", true, "MIME]", SECTION_ALL, 0}, /* the caller misses its "]" */
        {"1TEXT]", true, "TEXT]", SECTION_ALL, 1},
        {"1.]", false, "1.]", 0, 0},
        {"1.FOO]", false, "1.FOO]", 0, 0},
        {"0]", false, "0]", 0, 0},
        {"1.0]", false, "1.0]", 0, 0},
        {"4294967296]", false, "4294967296]", 0, 0},
        {".1]", true, ".1]", SECTION_ALL, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct cursor in = cursor_of(slice_of_string(cases[i].text));
        struct section section;
        assert_int_equal(section_parse(&in, &section), cases[i].valid);
        assert_slice_is(cursor_rest(&in), cases[i].rest);
        if (cases[i].valid) {
            assert_int_equal(section.kind, cases[i].kind);
            assert_int_equal(section.depth, cases[i].depth);
        }
    }
}

static void a_path_deeper_than_any_message_names_nothing(void **state)
{
    (void)state;
    struct buffer path = BUFFER_WITH_LIMIT(100000);
    struct arena arena;
    struct section section;
    struct mime_span span;
    for (size_t i = 0; i < 10000; i++)
        buffer_append_string(&path, "1.");
    buffer_append_string(&path, "1");
    struct cursor in = cursor_of(buffer_slice(&path));
    arena_init(&arena, mime_arena_limit(&limits));
    assert_true(section_parse(&in, &section));
    assert_false(
        section_resolve(scan_in_pieces(SLICE("A: b\r\n\r\nc"), 0, &arena), &section, &span));
    arena_clear(&arena);
    buffer_clear(&path);
}

/* What BODYSTRUCTURE says of it can be fetched. */
static void a_multipart_without_parts_has_an_empty_one(void **state)
{
    (void)state;
    static const struct {
        struct slice name;
        bool there;
    } cases[] = {{SLICE("1"), true},
                 {SLICE("1.MIME"), true},
                 {SLICE("1.TEXT"), false},
                 {SLICE("2"), false},
                 {SLICE("1.1"), false}};
    struct arena arena;
    arena_init(&arena, mime_arena_limit(&limits));
    const struct mime_part *root = scan_in_pieces(
        SLICE("Content-Type: multipart/mixed; boundary=b\r\n\r\nno part\r\n"), 0, &arena);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct cursor in = cursor_of(cases[i].name);
        struct section section;
        struct mime_span span = {.octets = 1};
        assert_true(section_parse(&in, &section));
        assert_int_equal(section_resolve(root, &section, &span), cases[i].there);
        assert_int_equal(span.octets, cases[i].there ? 0 : 1);
    }
    arena_clear(&arena);
}

static void header_fields_are_filtered(void **state)
{
    (void)state;
    struct slice names[] = {SLICE("SUBJECT"), SLICE("X-None"), SLICE("to")};
    static const struct slice header =
        SLICE("Subject: a\n b\nTo : c\r\ngarbage\r\nCc: d\nSubject: last\r\n\r\n");
    struct buffer text = BUFFER_WITH_LIMIT(1000);
    section_sort_names(names, ARRAY_LENGTH(names));
    section_filter_fields(header, names, ARRAY_LENGTH(names), true, &text);
    assert_slice_is(buffer_slice(&text), "Subject: a\r\n b\r\nTo : c\r\nSubject: last\r\n\r\n");
    buffer_reset(&text);
    section_filter_fields(header, names, ARRAY_LENGTH(names), false, &text);
    assert_slice_is(buffer_slice(&text), "garbage\r\nCc: d\r\n\r\n");
    buffer_reset(&text);
    section_filter_fields(SLICE("To: x"), names, 1, true, &text);
    assert_slice_is(buffer_slice(&text), "To: x\r\n\r\n");
    buffer_clear(&text);
}

static void strings_take_the_form_they_need(void **state)
{
    (void)state;
    static const struct {
        const char *string;
        size_t octets;
        const char *text;
    } cases[] = {
        {"", 0, "\"\""},
        {"a \"b\" \\", 7, "\"a \\\"b\\\" \\\\\""},
        {"\xc3\xbc", 2, "{2}\r\n\xc3\xbc"},
        {"a\rb", 3, "{3}\r\na\rb"},
        {"a\0b", 3, "{2}\r\nab"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(1000);
        structure_append_string(&text, slice_of(cases[i].string, cases[i].octets));
        assert_slice_is(buffer_slice(&text), cases[i].text);
        buffer_clear(&text);
    }
}

/* --- what holds of every message --- */

static struct mime_span count_octets(struct slice message, struct mime_span span)
{
    struct mime_span counted = {.offset = span.offset, .octets = span.octets};
    struct slice text =
        slice_range(message, (size_t)span.offset, (size_t)(span.offset + span.octets));
    counted.crlf_octets = span.octets;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\n')
            continue;
        counted.lines++;
        counted.crlf_octets += i == 0 || text.ptr[i - 1] != '\r';
    }
    return counted;
}

static void check_span(struct slice message, struct mime_span span)
{
    assert_true(span.offset <= message.len && span.octets <= message.len - span.offset);
    struct mime_span counted = count_octets(message, span);
    assert_int_equal(span.crlf_octets, counted.crlf_octets);
    assert_int_equal(span.lines, counted.lines);
}

static uint64_t end_of(struct mime_span span)
{
    return span.offset + span.octets;
}

static void check_part(struct slice message, const struct mime_part *part)
{
    check_span(message, part->header);
    check_span(message, part->body);
    assert_int_equal(end_of(part->header), part->body.offset);
    uint64_t at = part->body.offset;
    for (const struct mime_part *child = part->children; child; child = child->next) {
        assert_ptr_equal(child->parent, part);
        assert_true(child->header.offset >= at);
        at = end_of(child->body);
        check_part(message, child);
    }
    assert_true(at <= end_of(part->body));
    if (part->kind == MIME_LEAF)
        assert_null(part->children);
    if (part->kind == MIME_MESSAGE) {
        assert_null(part->children->next);
        assert_int_equal(part->children->header.offset, part->body.offset);
        assert_int_equal(at, end_of(part->body));
    }
}

static void convert_lines(struct slice message, const char *line_end, struct buffer *converted)
{
    while (message.len > 0) {
        size_t at = slice_find_octet(message, '\n');
        struct slice line = slice_range(message, 0, at);
        bool ended = at < message.len;
        if (ended && line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        buffer_append(converted, line);
        if (ended)
            buffer_append_string(converted, line_end);
        message = slice_from(message, at + 1);
    }
}

/* The two structures speak of CRLF octets, so they are the same for either kind of line end. */
static void check_line_ends(struct slice message)
{
    static const char *const line_ends[] = {"\n", "\r\n"};
    struct buffer structures[2] = {BUFFER_WITH_LIMIT(8 << 20), BUFFER_WITH_LIMIT(8 << 20)};
    for (size_t i = 0; i < 2; i++) {
        struct arena arena;
        struct buffer converted = BUFFER_WITH_LIMIT(2 * message.len + 1);
        convert_lines(message, line_ends[i], &converted);
        arena_init(&arena, mime_arena_limit(&limits));
        const struct mime_part *root = scan_in_pieces(buffer_slice(&converted), 0, &arena);
        assert_true(structure_format_envelope(root, &structures[i]));
        assert_true(structure_format_bodystructure(root, &structures[i]));
        arena_clear(&arena);
        buffer_clear(&converted);
    }
    assert_slice_equal(buffer_slice(&structures[0]), buffer_slice(&structures[1]));
    buffer_clear(&structures[0]);
    buffer_clear(&structures[1]);
}

static void check_message(struct slice message)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64, 1000};
    struct arena arena;
    struct buffer whole = BUFFER_WITH_LIMIT(8 << 20);
    arena_init(&arena, mime_arena_limit(&limits));
    const struct mime_part *root = scan_in_pieces(message, 0, &arena);
    check_part(message, root);
    assert_int_equal(end_of(root->body), message.len);
    describe(message, root, &whole);
    for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(8 << 20);
        scan_and_describe(message, pieces[i], &text);
        assert_slice_equal(buffer_slice(&text), buffer_slice(&whole));
        buffer_clear(&text);
    }
    check_line_ends(message);
    arena_clear(&arena);
    buffer_clear(&whole);
}

static void check_folder(const char *path, size_t *messages)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder)) != NULL) {
        struct buffer message = BUFFER_WITH_LIMIT(8 << 20);
        if (!slice_ends_with(slice_of_string(entry->d_name), SLICE(".eml")))
            continue;
        read_file(path, entry->d_name, "", &message);
        check_message(buffer_slice(&message));
        buffer_clear(&message);
        (*messages)++;
    }
    if (folder)
        closedir(folder);
}

static void parts_add_up_in_every_message(void **state)
{
    (void)state;
    const char *corpus = getenv("CORPUS") ? getenv("CORPUS") : "../shared/corpus";
    size_t own = 0, others = 0;
    check_folder(data_folder, &own);
    assert_int_equal(own, ARRAY_LENGTH(own_messages));
    check_folder(corpus, &others);
    if (others == 0)
        print_message("no corpus at %s: only the %zu messages of %s were looked at\n", corpus, own,
                      data_folder);
}

/* --- limits --- */

struct counts {
    size_t parts, opaque, deepest;
};

static void count_parts(const struct mime_part *part, size_t depth, struct counts *counts)
{
    counts->parts++;
    counts->opaque += part->opaque;
    if (depth > counts->deepest)
        counts->deepest = depth;
    for (const struct mime_part *child = part->children; child; child = child->next)
        count_parts(child, depth + 1, counts);
}

/* Scans `times` times the text, the number of the repetition in place of "%u" where it has one. */
static void scan_repeated(const char *head, const char *format, unsigned times,
                          struct counts *counts)
{
    struct arena arena;
    struct mime_scan scan;
    struct buffer structure = BUFFER_WITH_LIMIT(16 << 20);
    uint64_t octets = strlen(head);
    arena_init(&arena, mime_arena_limit(&limits));
    mime_scan_init(&scan, &arena, &limits);
    mime_scan_feed(&scan, slice_of_string(head));
    struct slice before = slice_of_string(format), after = {NULL, 0};
    size_t at = slice_find(before, SLICE("%u"));
    after = slice_from(before, at + 2);
    before = slice_range(before, 0, at);
    for (unsigned i = 0; i < times; i++) {
        char number[16];
        int length = after.len > 0 ? snprintf(number, sizeof(number), "%u", i) : 0;
        mime_scan_feed(&scan, before);
        if (after.len > 0)
            mime_scan_feed(&scan, slice_of(number, (size_t)length));
        mime_scan_feed(&scan, after);
        octets += before.len + (size_t)length + after.len;
    }
    const struct mime_part *root = mime_scan_finish(&scan);
    assert_non_null(root);
    mime_scan_clear(&scan);
    assert_int_equal(end_of(root->body), octets);
    assert_true(structure_format_envelope(root, &structure));
    assert_true(structure_format_bodystructure(root, &structure));
    *counts = (struct counts){0, 0, 0};
    count_parts(root, 0, counts);
    arena_clear(&arena);
    buffer_clear(&structure);
}

static void limits_hold_and_nothing_fails(void **state)
{
    (void)state;
    struct counts counts;
    scan_repeated("", "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", 10000,
                  &counts);
    assert_int_equal(counts.deepest, 0); /* the format has one %u only: no such boundary comes */
    scan_repeated("", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", 10000, &counts);
    assert_int_equal(counts.deepest, limits.depth);
    scan_repeated("", "Content-Type: message/rfc822\r\n\r\n", 10000, &counts);
    assert_int_equal(counts.deepest, limits.depth);
    assert_int_equal(counts.opaque, 1);
    scan_repeated("Content-Type: multipart/digest; boundary=b\r\n\r\n", "--b\r\n\r\nTo: a\r\n\r\n",
                  100000, &counts);
    assert_int_equal(counts.parts, limits.parts);
    scan_repeated("Content-Type: multipart/mixed; boundary=b\r\n\r\n",
                  "--b\r\nContent-Type: multipart/mixed; boundary=b%u\r\n\r\n", 100000, &counts);
    assert_true(counts.parts <= limits.parts);
}

static void fields_without_end_are_cut(void **state)
{
    (void)state;
    static const char *const heads[] = {"", "To: ", "Content-Type: text/plain; a=", "Subject:"};
    static const char *const texts[] = {"X: y\r\n",        "To: a@b\r\n", "Subject: x\r\n",
                                        "Content-ID: x\n", " a@b,\r\n",   "xxxxxxxxxxxxxxxx",
                                        "Cc: a%u@b,\r\n"};
    for (size_t head = 0; head < ARRAY_LENGTH(heads); head++) {
        for (size_t text = 0; text < ARRAY_LENGTH(texts); text++) {
            struct counts counts;
            scan_repeated(heads[head], texts[text], 100000, &counts);
            assert_int_equal(counts.parts, 1);
        }
    }
}

/* Octets of a boundary, its own and others', in one long line and in many short ones. */
static void hostile_bodies_take_linear_time(void **state)
{
    (void)state;
    static const char head[] =
        "Content-Type: multipart/mixed; boundary=\"bbbbbbbbbbbbbbbbbbbb\"\r\n\r\n";
    static const char *const texts[] = {"--", "--b",   "\n", "--bbbbbbbbbbbbbbbbbbbbb",
                                        "\r", "--b\n", "-",  "--bbbbbbbbbbbbbbbbbbbb"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct counts counts;
        scan_repeated(head, texts[i], 1000000, &counts);
        assert_true(counts.parts <= limits.parts);
    }
}

static void no_memory_is_no_tree(void **state)
{
    (void)state;
    for (size_t limit = 0; limit < 2000; limit += 16) {
        struct arena arena;
        struct mime_scan scan;
        arena_init(&arena, limit);
        mime_scan_init(&scan, &arena, &limits);
        mime_scan_feed(&scan, SLICE("To: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"));
        mime_scan_feed(&scan, SLICE("Content-Type: message/rfc822\n\n"));
        const struct mime_part *root = mime_scan_finish(&scan);
        if (limit > 1900)
            assert_non_null(root);
        if (limit < 500)
            assert_null(root);
        mime_scan_clear(&scan);
        arena_clear(&arena);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_messages_are_as_expected),
        cmocka_unit_test(every_cut_gives_the_same),
        cmocka_unit_test(sections_are_parsed_exactly),
        cmocka_unit_test(a_multipart_without_parts_has_an_empty_one),
        cmocka_unit_test(a_path_deeper_than_any_message_names_nothing),
        cmocka_unit_test(header_fields_are_filtered),
        cmocka_unit_test(strings_take_the_form_they_need),
        cmocka_unit_test(parts_add_up_in_every_message),
        cmocka_unit_test(limits_hold_and_nothing_fails),
        cmocka_unit_test(fields_without_end_are_cut),
        cmocka_unit_test(hostile_bodies_take_linear_time),
        cmocka_unit_test(no_memory_is_no_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
