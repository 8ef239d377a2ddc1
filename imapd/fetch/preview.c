/* The texts of preview.h. */
#include "imapd/fetch/preview.h"

#include <unistr.h>

#include "common/mime/content.h"
#include "common/mime/structure.h"
#include "common/size.h"
#include "imapd/search/search_body.h"

/* ---- the part ---- */

static bool is_attachment(const struct mime_part *part)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_DISPOSITION);
    struct slice word, parameters;
    return field && content_word_parse(field->body, &word, &parameters)
           && slice_equal_nocase(word, SLICE("attachment"));
}

static bool is_html(const struct mime_part *part)
{
    return slice_equal_nocase(part->subtype, SLICE("html"));
}

static bool says_something(const struct mime_part *part)
{
    return part->kind == MIME_LEAF && !part->opaque && slice_equal_nocase(part->type, SLICE("text"))
           && (is_html(part) || slice_equal_nocase(part->subtype, SLICE("plain")))
           && part->body.octets > 0 && !is_attachment(part);
}

/* In the order of the message; a message inside is another one's words. */
const struct mime_part *preview_part(const struct mime_part *root)
{
    const struct mime_part *part = root;
    while (part && !says_something(part)) {
        if (part->kind == MIME_MULTIPART && part->children) {
            part = part->children;
            continue;
        }
        while (part && !part->next)
            part = part->parent;
        part = part ? part->next : NULL;
    }
    return part;
}

/* ---- its text ---- */

struct preview {
    struct buffer text; /* UTF-8 */
    size_t characters;
    bool space; /* is due */
};

static bool is_full(const struct preview *preview)
{
    return preview->characters == PREVIEW_CHARACTERS;
}

static bool is_space(ucs4_t character)
{
    return character <= 0x20 || (character >= 0x7f && character <= 0xa0) || character == 0x1680
           || (character >= 0x2000 && character <= 0x200a) || character == 0x2028
           || character == 0x2029 || character == 0x202f || character == 0x205f
           || character == 0x3000;
}

/* Soft hyphen, joiners and marks of direction: mail pads its beginning with them. */
static bool is_invisible(ucs4_t character)
{
    return character == 0xad || character == 0x34f || character == 0x61c
           || (character >= 0x200b && character <= 0x200f)
           || (character >= 0x202a && character <= 0x202e)
           || (character >= 0x2060 && character <= 0x206f) || character == 0xfeff;
}

static void add_character(struct preview *preview, ucs4_t character)
{
    uint8_t octets[6];
    if (is_space(character)) {
        preview->space = preview->characters > 0;
        return;
    }
    if (is_invisible(character) || is_full(preview))
        return;
    if (preview->space) {
        buffer_append_octet(&preview->text, ' ');
        preview->characters++;
        preview->space = false;
    }
    int written = is_full(preview) ? 0 : u8_uctomb(octets, character, sizeof(octets));
    if (written > 0) {
        buffer_append(&preview->text, slice_of(octets, (size_t)written));
        preview->characters++;
    }
}

static ucs4_t take_character(struct slice *utf8)
{
    ucs4_t character;
    int octets = u8_mbtouc(&character, utf8->ptr, utf8->len);
    *utf8 = slice_from(*utf8, octets > 0 ? (size_t)octets : 1);
    return character;
}

static void add_plain(struct preview *preview, struct slice utf8)
{
    while (utf8.len > 0 && !is_full(preview))
        add_character(preview, take_character(&utf8));
}

/* ---- HTML ---- */

/* From "<" on. */
static struct slice skip_to(struct slice utf8, struct slice end)
{
    while (utf8.len > 0 && !slice_starts_with_nocase(utf8, end))
        utf8 = slice_from(utf8, 1);
    return slice_from(utf8, end.len < utf8.len ? end.len : utf8.len);
}

/* Elements whose content nobody reads. */
static struct slice skip_tag(struct slice utf8)
{
    static const struct {
        struct slice begin;
        struct slice end;
    } unread[] = {
        {SLICE("<!--"), SLICE("-->")},        {SLICE("<script"), SLICE("</script>")},
        {SLICE("<style"), SLICE("</style>")}, {SLICE("<head>"), SLICE("</head>")},
        {SLICE("<title"), SLICE("</title>")},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(unread); i++) {
        if (slice_starts_with_nocase(utf8, unread[i].begin))
            return skip_to(utf8, unread[i].end);
    }
    return skip_to(utf8, SLICE(">"));
}

static bool is_inline(struct slice utf8)
{
    static const struct slice names[] = {SLICE("a"),    SLICE("b"),     SLICE("i"),
                                         SLICE("u"),    SLICE("em"),    SLICE("font"),
                                         SLICE("span"), SLICE("strong")};
    utf8 = slice_from(utf8, slice_starts_with(utf8, SLICE("</")) ? 2 : 1);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct slice rest = slice_from(utf8, names[i].len);
        if (slice_starts_with_nocase(utf8, names[i]) && rest.len > 0
            && (rest.ptr[0] == '>' || rest.ptr[0] == ' '))
            return true;
    }
    return false;
}

/* "&#" number ";". 0: it is none. */
static ucs4_t numbered(struct slice name)
{
    bool hexadecimal = name.len > 2 && (name.ptr[1] | 0x20) == 'x';
    uint32_t value = 0;
    for (size_t i = hexadecimal ? 2 : 1; i < name.len; i++) {
        uint8_t octet = name.ptr[i] | 0x20;
        bool is_letter = hexadecimal && octet >= 'a' && octet <= 'f';
        if ((!ascii_is_digit(name.ptr[i]) && !is_letter) || value > 0x110000)
            return 0;
        uint32_t digit = is_letter ? octet - 'a' + 10U : name.ptr[i] - (uint32_t)'0';
        value = value * (hexadecimal ? 16 : 10) + digit;
    }
    return value <= 0x10ffff && value >> 11 != 0x1b ? value : 0; /* no surrogates */
}

static ucs4_t named(struct slice name)
{
    static const struct {
        struct slice name;
        ucs4_t character;
    } names[] = {{SLICE("amp"), '&'},      {SLICE("lt"), '<'},        {SLICE("gt"), '>'},
                 {SLICE("quot"), '"'},     {SLICE("apos"), '\''},     {SLICE("nbsp"), ' '},
                 {SLICE("zwnj"), 0x200c},  {SLICE("shy"), 0xad},      {SLICE("auml"), 0xe4},
                 {SLICE("ouml"), 0xf6},    {SLICE("uuml"), 0xfc},     {SLICE("Auml"), 0xc4},
                 {SLICE("Ouml"), 0xd6},    {SLICE("Uuml"), 0xdc},     {SLICE("szlig"), 0xdf},
                 {SLICE("eacute"), 0xe9},  {SLICE("egrave"), 0xe8},   {SLICE("agrave"), 0xe0},
                 {SLICE("euro"), 0x20ac},  {SLICE("ndash"), 0x2013},  {SLICE("mdash"), 0x2014},
                 {SLICE("lsquo"), 0x2018}, {SLICE("rsquo"), 0x2019},  {SLICE("ldquo"), 0x201c},
                 {SLICE("rdquo"), 0x201d}, {SLICE("hellip"), 0x2026}, {SLICE("copy"), 0xa9}};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (slice_equal(name, names[i].name))
            return names[i].character;
    }
    return 0;
}

/* A reference to a character; what is none is the "&" itself. */
static void add_reference(struct preview *preview, struct slice *utf8)
{
    enum { LONGEST = 10 };
    struct slice rest = slice_from(*utf8, 1);
    size_t end = slice_find_octet(slice_range(rest, 0, LONGEST), ';');
    struct slice name = slice_range(rest, 0, end);
    bool is_number = name.len > 1 && name.ptr[0] == '#';
    bool ended = end < rest.len && rest.ptr[end] == ';';
    ucs4_t character = !ended ? 0 : is_number ? numbered(name) : named(name);
    add_character(preview, character ? character : '&');
    *utf8 = character ? slice_from(rest, end + 1) : rest;
}

static void add_html(struct preview *preview, struct slice utf8)
{
    while (utf8.len > 0 && !is_full(preview)) {
        if (utf8.ptr[0] == '&') {
            add_reference(preview, &utf8);
        } else if (utf8.ptr[0] != '<') {
            add_character(preview, take_character(&utf8));
        } else {
            if (!is_inline(utf8))
                add_character(preview, ' ');
            utf8 = skip_tag(utf8);
        }
    }
}

bool preview_format(const struct mime_part *part, struct slice octets, struct buffer *text)
{
    struct preview preview = {.text = BUFFER_WITH_LIMIT(6 * PREVIEW_CHARACTERS)};
    struct buffer decoded = BUFFER_WITH_LIMIT(PREVIEW_OCTETS + DECODE_HELD_LIMIT);
    struct buffer utf8 = BUFFER_WITH_LIMIT(3 * (PREVIEW_OCTETS + DECODE_HELD_LIMIT));
    if (part) {
        struct decode decode;
        decode_init(&decode, search_body_encoding(part));
        decode_feed(&decode, octets, &decoded);
        decode_finish(&decode, &decoded);
        charset_decode(search_body_charset(part), buffer_slice(&decoded), &utf8);
        if (is_html(part))
            add_html(&preview, buffer_slice(&utf8));
        else
            add_plain(&preview, buffer_slice(&utf8));
    }
    structure_append_string(text, buffer_slice(&preview.text));
    bool made = !decoded.failed && !utf8.failed && !preview.text.failed && !text->failed;
    buffer_clear(&preview.text);
    buffer_clear(&decoded);
    buffer_clear(&utf8);
    return made;
}
