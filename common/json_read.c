/* The reader of json_read.h: a skip over one value, which is also the check of it. */
#include "common/json_read.h"

#include <string.h>

#include <unistr.h>

#include "common/cursor.h"

enum { DEPTH_MAX = 32 };

static bool skip_value(struct cursor *in, unsigned depth, struct json_value *value);

static void skip_space(struct cursor *in)
{
    uint8_t octet;
    while (cursor_peek(in, &octet)
           && (octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n'))
        in->at++;
}

static bool hex_digits(struct cursor *in, uint32_t *value)
{
    uint8_t octet;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        if (!cursor_peek(in, &octet))
            return false;
        octet = ascii_lower(octet);
        if (octet >= '0' && octet <= '9')
            *value = *value << 4 | (uint32_t)(octet - '0');
        else if (octet >= 'a' && octet <= 'f')
            *value = *value << 4 | (uint32_t)(octet - 'a' + 10);
        else
            return false;
        in->at++;
    }
    return true;
}

/* Behind "\u": one code point, of which half a pair is none. */
static bool take_code_point(struct cursor *in, uint32_t *code)
{
    uint32_t low;
    if (!hex_digits(in, code))
        return false;
    if (*code < 0xD800 || *code > 0xDFFF)
        return true;
    if (*code > 0xDBFF || !cursor_skip(in, '\\') || !cursor_skip(in, 'u') || !hex_digits(in, &low)
        || low < 0xDC00 || low > 0xDFFF)
        return false;
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* Behind the backslash. */
static bool take_escape(struct cursor *in, uint32_t *code)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    uint8_t octet;
    if (!cursor_peek(in, &octet))
        return false;
    in->at++;
    if (octet == 'u')
        return take_code_point(in, code);
    const char *found = octet ? strchr(letters, octet) : NULL;
    if (found)
        *code = (uint32_t)meant[found - letters];
    return found != NULL;
}

static bool skip_string(struct cursor *in)
{
    uint8_t octet;
    uint32_t code;
    if (!cursor_skip(in, '"'))
        return false;
    while (cursor_peek(in, &octet)) {
        in->at++;
        if (octet == '"')
            return true;
        if (octet < ' ' || (octet == '\\' && !take_escape(in, &code)))
            return false;
    }
    return false;
}

static bool skip_digits(struct cursor *in)
{
    const uint8_t *begin = in->at;
    uint8_t octet;
    while (cursor_peek(in, &octet) && octet >= '0' && octet <= '9')
        in->at++;
    return in->at > begin;
}

/* number = [ "-" ] int [ frac ] [ exp ] */
static bool skip_number(struct cursor *in)
{
    cursor_skip(in, '-');
    if (!cursor_skip(in, '0') && !skip_digits(in))
        return false;
    if (cursor_skip(in, '.') && !skip_digits(in))
        return false;
    if (!cursor_skip(in, 'e') && !cursor_skip(in, 'E'))
        return true;
    if (!cursor_skip(in, '-'))
        cursor_skip(in, '+');
    return skip_digits(in);
}

static bool skip_word(struct cursor *in)
{
    static const char *const words[] = {"true", "false", "null"};
    struct slice rest = cursor_rest(in);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i]);
        if (rest.len < len || memcmp(rest.ptr, words[i], len) != 0)
            continue;
        in->at += len;
        return true;
    }
    return false;
}

/* A member, up to its "," or "}". */
static bool take_member(struct cursor *in, unsigned depth, struct slice *name,
                        struct json_value *value)
{
    skip_space(in);
    struct cursor start = *in;
    if (!skip_string(in))
        return false;
    *name = cursor_since(in, &start);
    skip_space(in);
    if (!cursor_skip(in, ':'))
        return false;
    skip_space(in);
    if (!skip_value(in, depth, value))
        return false;
    skip_space(in);
    return true;
}

static bool skip_object(struct cursor *in, unsigned depth)
{
    struct slice name;
    struct json_value ignored;
    if (!cursor_skip(in, '{'))
        return false;
    skip_space(in);
    if (cursor_skip(in, '}'))
        return true;
    do {
        if (!take_member(in, depth, &name, &ignored))
            return false;
    } while (cursor_skip(in, ','));
    return cursor_skip(in, '}');
}

static bool skip_array(struct cursor *in, unsigned depth)
{
    struct json_value ignored;
    if (!cursor_skip(in, '['))
        return false;
    skip_space(in);
    if (cursor_skip(in, ']'))
        return true;
    do {
        skip_space(in);
        if (!skip_value(in, depth, &ignored))
            return false;
        skip_space(in);
    } while (cursor_skip(in, ','));
    return cursor_skip(in, ']');
}

static bool skip_value(struct cursor *in, unsigned depth, struct json_value *value)
{
    struct cursor start = *in;
    uint8_t first;
    bool skipped;
    if (depth == DEPTH_MAX || !cursor_peek(in, &first))
        return false;
    if (first == '{') {
        value->kind = JSON_OBJECT;
        skipped = skip_object(in, depth + 1);
    } else if (first == '[') {
        value->kind = JSON_ARRAY;
        skipped = skip_array(in, depth + 1);
    } else if (first == '"') {
        value->kind = JSON_STRING;
        skipped = skip_string(in);
    } else if (first == '-' || (first >= '0' && first <= '9')) {
        value->kind = JSON_NUMBER;
        skipped = skip_number(in);
    } else {
        value->kind = JSON_WORD;
        skipped = skip_word(in);
    }
    value->text = cursor_since(in, &start);
    return skipped;
}

bool json_parse(struct slice text, struct json_value *value)
{
    struct cursor in = cursor_of(text);
    if (text.len == 0 || u8_check(text.ptr, text.len))
        return false;
    skip_space(&in);
    if (!skip_value(&in, 0, value))
        return false;
    skip_space(&in);
    return cursor_at_end(&in);
}

static bool is_named(struct slice name, const char *wanted)
{
    return json_is(&(struct json_value){JSON_STRING, name}, wanted);
}

/* One that is there twice is there not at all: two readers would take different ones. */
bool json_member(const struct json_value *object, const char *name, struct json_value *member)
{
    struct cursor in = cursor_of(object->text);
    struct slice each;
    struct json_value value;
    unsigned found = 0;
    if (object->kind != JSON_OBJECT || !cursor_skip(&in, '{'))
        return false;
    do {
        if (!take_member(&in, 0, &each, &value))
            break;
        if (!is_named(each, name))
            continue;
        *member = value;
        found++;
    } while (cursor_skip(&in, ','));
    return found == 1;
}

bool json_next(struct slice *rest, struct json_value *element)
{
    struct cursor in = cursor_of(*rest);
    if (!cursor_skip(&in, '[') && !cursor_skip(&in, ','))
        return false;
    skip_space(&in);
    if (!skip_value(&in, 0, element))
        return false;
    skip_space(&in);
    *rest = cursor_rest(&in);
    return true;
}

static void append_code_point(struct buffer *text, uint32_t code)
{
    uint8_t octets[6];
    int used = u8_uctomb(octets, (ucs4_t)code, sizeof(octets));
    if (used > 0)
        buffer_append(text, slice_of(octets, (size_t)used));
}

bool json_text(const struct json_value *value, struct buffer *text)
{
    struct cursor in = cursor_of(value->text);
    uint8_t octet;
    uint32_t code;
    if (value->kind != JSON_STRING || !cursor_skip(&in, '"'))
        return false;
    while (cursor_peek(&in, &octet) && octet != '"') {
        in.at++;
        if (octet != '\\') {
            buffer_append_octet(text, octet);
            continue;
        }
        if (!take_escape(&in, &code) || code == 0)
            return false;
        append_code_point(text, code);
    }
    return !text->failed;
}

bool json_is(const struct json_value *value, const char *text)
{
    size_t len = strlen(text);
    return value->kind == JSON_STRING && value->text.len == len + 2
           && memcmp(value->text.ptr + 1, text, len) == 0;
}

bool json_integer(const struct json_value *value, int64_t *integer)
{
    struct cursor in = cursor_of(value->text);
    const uint64_t largest = UINT64_C(1) << 53;
    uint64_t number;
    bool negative = cursor_skip(&in, '-');
    if (value->kind != JSON_NUMBER || !cursor_take_number(&in, &number) || number > largest)
        return false;
    for (size_t i = 0; i < value->text.len; i++)
        if (value->text.ptr[i] == 'e' || value->text.ptr[i] == 'E')
            return false;
    *integer = negative ? -(int64_t)number : (int64_t)number;
    return true;
}
