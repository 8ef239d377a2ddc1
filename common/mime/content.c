/* The parsers of content.h. Pure; any process. */
#include "common/mime/content.h"

#include "common/mime/token.h"

/* One parameter as it stands there, before continuations are joined. */
struct raw_parameter {
    struct slice name; /* all of it: "filename*1*" */
    struct slice base; /* "filename" */
    struct slice value;
    uint64_t section; /* of RFC 2231 3, where `continued` */
    bool continued;
    bool extended;              /* "*" at its end: %-encoded, RFC 2231 4 */
    bool joined;                /* a later section of another item's chain */
    struct raw_parameter *next; /* the section after this one */
};

struct raw_list {
    struct raw_parameter items[CONTENT_PARAMETERS_LIMIT];
    size_t count;
};

static void skip_behind_semicolon(struct cursor *in)
{
    struct slice rest = cursor_rest(in);
    size_t at = slice_find_octet(rest, ';');
    in->at += at < rest.len ? at + 1 : at;
}

/* content := type "/" subtype *(";" parameter)    RFC 2045 5.1 */
bool content_type_parse(struct slice body, struct content_type *type)
{
    struct cursor in = cursor_of(body);
    struct content_type parsed;
    token_skip_cfws(&in);
    if (!token_take(&in, TOKEN_MIME, &parsed.type))
        return false;
    token_skip_cfws(&in);
    if (!cursor_skip(&in, '/'))
        return false;
    token_skip_cfws(&in);
    if (!token_take(&in, TOKEN_MIME, &parsed.subtype))
        return false;
    skip_behind_semicolon(&in);
    parsed.parameters = cursor_rest(&in);
    *type = parsed;
    return true;
}

bool content_word_parse(struct slice body, struct slice *word, struct slice *parameters)
{
    struct cursor in = cursor_of(body);
    token_skip_cfws(&in);
    if (!token_take(&in, TOKEN_MIME, word))
        return false;
    skip_behind_semicolon(&in);
    *parameters = cursor_rest(&in);
    return true;
}

/* Language-List = *([CFWS] ",") language-tag *(...)    RFC 3282 2 */
bool content_language_next(struct cursor *in, struct slice *tag)
{
    for (;;) {
        token_skip_cfws(in);
        if (token_take(in, TOKEN_MIME, tag))
            return true;
        if (cursor_at_end(in))
            return false;
        in->at++;
    }
}

/* The rest of a value up to its semicolon, where something stands after a token or a quoted string
 * that is no comment: `filename=two words.txt`. */
static bool take_to_semicolon(struct cursor *in, struct cursor start, struct slice *value)
{
    if (cursor_at_end(in) || *in->at == ';')
        return false;
    struct slice rest = cursor_rest(in);
    in->at += slice_find_octet(rest, ';');
    *value = token_trim(cursor_since(in, &start));
    return true;
}

static bool is_unquoted(uint8_t octet)
{
    return octet != ';' && octet != '(' && octet != '"' && !token_is(octet, TOKEN_SPACE);
}

/* value := token / quoted-string    RFC 2045 5.1, into the arena */
static bool take_value(struct cursor *in, struct arena *arena, struct slice *value)
{
    struct cursor start = *in;
    struct buffer quoted = BUFFER_WITH_LIMIT(cursor_left(in));
    if (token_take_quoted(in, &quoted)) {
        *value = arena_copy(arena, buffer_slice(&quoted));
        bool copied = value->ptr && !quoted.failed;
        buffer_clear(&quoted);
        return copied;
    }
    while (in->at != in->end && is_unquoted(*in->at))
        in->at++;
    struct slice text = cursor_since(in, &start);
    token_skip_cfws(in);
    take_to_semicolon(in, start, &text);
    *value = arena_copy(arena, text);
    return value->ptr != NULL;
}

/* "*" section ["*"] after the name    RFC 2231 3: initial-section, other-sections */
static void split_name(struct raw_parameter *item)
{
    struct slice name = item->name;
    item->extended = name.len > 1 && name.ptr[name.len - 1] == '*';
    if (item->extended)
        name.len--;
    size_t star = slice_find_octet(name, '*');
    item->base = slice_range(name, 0, star);
    struct slice digits = slice_from(name, star + 1);
    item->continued = star > 0 && star < name.len && slice_parse_number(digits, &item->section);
}

/* parameter := attribute "=" value    RFC 2045 5.1. False without memory. */
static bool take_parameter(struct cursor *in, struct arena *arena, struct raw_list *raw)
{
    struct raw_parameter item = {.section = 0};
    token_skip_cfws(in);
    bool named = token_take(in, TOKEN_MIME, &item.name);
    token_skip_cfws(in);
    if (named && cursor_skip(in, '=')) {
        token_skip_cfws(in);
        if (!take_value(in, arena, &item.value))
            return false;
        split_name(&item);
        raw->items[raw->count++] = item;
    }
    skip_behind_semicolon(in);
    return true;
}

static struct raw_parameter *find_section(struct raw_list *raw, struct slice base, uint64_t section)
{
    for (size_t i = 0; i < raw->count; i++) {
        struct raw_parameter *item = &raw->items[i];
        if (item->continued && item->section == section && slice_equal_nocase(item->base, base))
            return item;
    }
    return NULL;
}

/* Chains the sections 0, 1, 2... of each name; one that is given twice stays a parameter of its
 * own, and so does one whose predecessor is missing. */
static void link_sections(struct raw_list *raw)
{
    for (size_t i = 0; i < raw->count; i++) {
        struct raw_parameter *last = &raw->items[i];
        struct slice base = last->base;
        if (!last->continued || find_section(raw, base, 0) != last)
            continue;
        for (uint64_t section = 1; (last->next = find_section(raw, base, section)); section++) {
            last = last->next;
            last->joined = true;
        }
    }
}

/* Octets of a plain section, for a value that other sections make %-encoded. */
static void append_encoded(struct buffer *value, struct slice octets)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < octets.len; i++) {
        uint8_t octet = octets.ptr[i];
        if (token_is(octet, TOKEN_ATTRIBUTE)) {
            buffer_append_octet(value, octet);
        } else {
            buffer_append_octet(value, '%');
            buffer_append_octet(value, (uint8_t)digits[octet >> 4]);
            buffer_append_octet(value, (uint8_t)digits[octet & 15]);
        }
    }
}

static struct slice copy_starred(struct arena *arena, struct slice name)
{
    uint8_t *starred = arena_alloc(arena, name.len + 1);
    if (starred) {
        memcpy(starred, name.ptr, name.len);
        starred[name.len] = '*';
    }
    return slice_of(starred, name.len + 1);
}

/* The chain of `first` as one: under the plain name, or with "*" if a section is extended. */
static bool join_sections(const struct raw_parameter *first, struct arena *arena,
                          struct content_parameter *joined)
{
    bool extended = false;
    size_t octets = 2;
    for (const struct raw_parameter *item = first; item; item = item->next) {
        extended |= item->extended;
        octets += 3 * item->value.len;
    }
    struct buffer value = BUFFER_WITH_LIMIT(octets);
    if (extended && !first->extended)
        buffer_append(&value, SLICE("''")); /* no charset, no language, RFC 2231 4 */
    for (const struct raw_parameter *item = first; item; item = item->next) {
        if (extended && !item->extended)
            append_encoded(&value, item->value);
        else
            buffer_append(&value, item->value);
    }
    joined->name = extended ? copy_starred(arena, first->base) : first->base;
    joined->value = arena_copy(arena, buffer_slice(&value));
    bool made = joined->value.ptr && joined->name.ptr && !value.failed;
    buffer_clear(&value);
    return made;
}

bool content_parameters_parse(struct slice text, struct arena *arena,
                              struct content_parameters *parameters)
{
    struct raw_list raw = {.count = 0};
    struct cursor in = cursor_of(text);
    while (!cursor_at_end(&in) && raw.count < CONTENT_PARAMETERS_LIMIT)
        if (!take_parameter(&in, arena, &raw))
            return false;
    link_sections(&raw);
    parameters->count = 0;
    parameters->list = arena_alloc_array(arena, raw.count, sizeof(*parameters->list));
    if (!parameters->list)
        return false;
    for (size_t i = 0; i < raw.count; i++) {
        const struct raw_parameter *item = &raw.items[i];
        struct content_parameter *next = &parameters->list[parameters->count];
        if (item->joined)
            continue;
        *next = (struct content_parameter){item->name, item->value};
        bool first = item->continued && find_section(&raw, item->base, 0) == item;
        if (first && !join_sections(item, arena, next))
            return false;
        parameters->count++;
    }
    return true;
}

/* extended-value := [charset] "'" [language] "'" *( ext-octet / attribute-char )    RFC 2231 7 */
static bool decode_extended(struct slice value, struct arena *arena, struct slice *decoded)
{
    struct slice language = slice_from(value, slice_find_octet(value, '\'') + 1);
    struct slice text = slice_from(language, slice_find_octet(language, '\'') + 1);
    uint8_t *octets = arena_alloc(arena, text.len);
    if (!octets)
        return false;
    size_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool escape = text.ptr[i] == '%' && text.len - i > 2
                      && token_hex_value(text.ptr[i + 1]) >= 0
                      && token_hex_value(text.ptr[i + 2]) >= 0;
        octets[length++] = text.ptr[i];
        if (escape) {
            octets[length - 1] =
                (uint8_t)(token_hex_value(text.ptr[i + 1]) << 4 | token_hex_value(text.ptr[i + 2]));
            i += 2;
        }
    }
    *decoded = slice_of(octets, length);
    return true;
}

/* The name, or with a star after it. */
static bool is_name(struct slice given, struct slice name, bool starred)
{
    if (given.len != name.len + starred || (starred && given.ptr[name.len] != '*'))
        return false;
    return slice_equal_nocase(slice_range(given, 0, name.len), name);
}

bool content_parameters_find(const struct content_parameters *parameters, struct slice name,
                             struct arena *arena, struct slice *value)
{
    for (int starred = 0; starred <= 1; starred++) {
        for (size_t i = 0; i < parameters->count; i++) {
            const struct content_parameter *parameter = &parameters->list[i];
            if (!is_name(parameter->name, name, starred))
                continue;
            *value = parameter->value;
            return !starred || decode_extended(parameter->value, arena, value);
        }
    }
    return false;
}
