/* Parameters; see downgrade_parameters.h. Pure; relay. */
#include "smtpd/relay/downgrade/downgrade_parameters.h"

#include <unistr.h>

#include "common/mime/content.h"
#include "common/mime/token.h"
#include "smtpd/relay/downgrade/transfer_mender.h"

enum {
    LINE_OCTETS = 76,
    LEAST_OCTETS = 20,       /* of a value on a line, however long the name is */
    LONG_VALUE = 900,        /* hardly fits into a line of 998 octets */
    BOUNDARY_MAX = 900,      /* hardly fits into a line of 998 octets */
    ARENA_LIMIT = 16 << 20,  /* a field has less */
    ESCAPED_LIMIT = 4 << 20, /* %-encoded */
};

/* ---- words ---- */

/* Writes a token, replacing each octet that a token may not have. */
static void put_token(struct buffer *out, struct slice token)
{
    for (size_t i = 0; i < token.len; i++)
        buffer_append_octet(out, token.ptr[i] > 0x7f ? '_' : token.ptr[i]);
}

static bool is_token(struct slice text)
{
    struct cursor in = cursor_of(text);
    struct slice run;
    return token_take(&in, TOKEN_MIME, &run) && cursor_at_end(&in);
}

static void put_quoted(struct buffer *out, struct slice text)
{
    buffer_append_octet(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buffer_append_octet(out, '\\');
        buffer_append_octet(out, text.ptr[i]);
    }
    buffer_append_octet(out, '"');
}

static void begin_parameter(struct buffer *out, struct slice name)
{
    buffer_append(out, SLICE(";\r\n "));
    put_token(out, name);
}

/* ---- RFC 2231 ---- */

static void put_percent(struct buffer *out, uint8_t octet)
{
    static const char digits[] = "0123456789ABCDEF";
    buffer_append_octet(out, '%');
    buffer_append_octet(out, (uint8_t)digits[octet >> 4]);
    buffer_append_octet(out, (uint8_t)digits[octet & 15]);
}

/* ext-octet / attribute-char    RFC 2231 7; `others` may stand there too */
static void put_extended(struct buffer *out, struct slice octets, const char *others)
{
    for (size_t i = 0; i < octets.len; i++) {
        uint8_t octet = octets.ptr[i];
        bool plain = octet <= 0x7f && octet != 0
                     && (token_is(octet, TOKEN_ATTRIBUTE) || strchr(others, octet) != NULL);
        if (plain)
            buffer_append_octet(out, octet);
        else
            put_percent(out, octet);
    }
}

/* Takes as much of the value as fits on a line, without splitting an escape. */
static struct slice take_section(struct slice *value, size_t octets)
{
    size_t end = octets < value->len ? octets : value->len;
    for (size_t back = 1; back <= 2 && end < value->len; back++)
        if (end > back && value->ptr[end - back] == '%') {
            end -= back;
            break;
        }
    struct slice section = slice_range(*value, 0, end);
    *value = slice_from(*value, end);
    return section;
}

/* name*=value, or name*0*=, name*1*=... where that is too long    RFC 2231 3, 4.1 */
static void put_sections(struct buffer *out, struct slice name, struct slice value)
{
    const size_t signs = SLICE(" *=;").len, number = SLICE("*100").len;
    bool is_long = signs + name.len + value.len > LINE_OCTETS;
    size_t used = signs + number + name.len;
    size_t room = used + LEAST_OCTETS < LINE_OCTETS ? LINE_OCTETS - used : (size_t)LEAST_OCTETS;
    uint64_t section = 0;
    do {
        begin_parameter(out, name);
        if (is_long) {
            buffer_append_octet(out, '*');
            buffer_append_number(out, section++);
        }
        buffer_append(out, SLICE("*="));
        buffer_append(out, is_long ? take_section(&value, room) : value);
    } while (is_long && value.len > 0);
}

/* Writes a value that is not yet an extended one. */
static void put_new_extended(struct buffer *out, struct slice name, struct slice octets)
{
    struct buffer value = BUFFER_WITH_LIMIT(ESCAPED_LIMIT);
    bool utf8 = u8_check(octets.ptr, octets.len) == NULL;
    buffer_append(&value, utf8 ? SLICE("utf-8''") : SLICE("unknown-8bit''"));
    put_extended(&value, octets, "");
    put_sections(out, name, buffer_slice(&value));
    out->failed |= value.failed;
    buffer_clear(&value);
}

/* Writes a value that already has a charset and escapes, but may have other octets too. */
static void put_old_extended(struct buffer *out, struct slice name, struct slice octets)
{
    struct buffer value = BUFFER_WITH_LIMIT(ESCAPED_LIMIT);
    put_extended(&value, octets, "'%");
    put_sections(out, name, buffer_slice(&value));
    out->failed |= value.failed;
    buffer_clear(&value);
}

/* ---- parameters ---- */

static void put_boundary(struct buffer *out, struct slice octets)
{
    struct buffer text = BUFFER_WITH_LIMIT(ESCAPED_LIMIT);
    transfer_mend_octets(octets, '=', &text);
    begin_parameter(out, SLICE("boundary"));
    buffer_append(out, SLICE("="));
    put_quoted(out, buffer_slice(&text));
    out->failed |= text.failed;
    buffer_clear(&text);
}

static struct slice base_name(const struct content_parameter *parameter, bool *extended)
{
    struct slice name = parameter->name;
    *extended = slice_ends_with(name, SLICE("*")) && name.len > 1;
    name.len -= *extended;
    return name;
}

/* Whether there is an RFC 2231 form of it too, which takes precedence (RFC 6266 4.3 says so of
 * HTTP, and mail readers do it). */
static bool has_extended(const struct content_parameters *parameters, struct slice name)
{
    for (size_t i = 0; i < parameters->count; i++) {
        bool extended;
        struct slice other = base_name(&parameters->list[i], &extended);
        if (extended && slice_equal_nocase(other, name))
            return true;
    }
    return false;
}

static void put_parameter(struct buffer *out, const struct content_parameters *parameters,
                          const struct content_parameter *parameter)
{
    bool extended;
    struct slice name = base_name(parameter, &extended), value = parameter->value;
    if (extended) {
        put_old_extended(out, name, value);
    } else if (!slice_is_ascii(value)) {
        if (!has_extended(parameters, name))
            put_new_extended(out, name, value);
    } else if (value.len > LONG_VALUE) {
        put_new_extended(out, name, value);
    } else {
        begin_parameter(out, name);
        buffer_append(out, SLICE("="));
        if (is_token(value))
            buffer_append(out, value);
        else
            put_quoted(out, value);
    }
}

static bool is_boundary(const struct content_parameter *parameter)
{
    bool extended;
    return slice_equal_nocase(base_name(parameter, &extended), SLICE("boundary"));
}

static void put_parameters(struct buffer *out, struct slice text)
{
    struct arena arena;
    struct content_parameters parameters;
    struct slice boundary;
    arena_init(&arena, ARENA_LIMIT);
    bool parsed = content_parameters_parse(text, &arena, &parameters);
    out->failed |= !parsed;
    bool has_boundary =
        parsed && content_parameters_find(&parameters, SLICE("boundary"), &arena, &boundary);
    if (has_boundary)
        put_boundary(out, token_trim_end(boundary)); /* a space before it belongs to it */
    for (size_t i = 0; parsed && i < parameters.count; i++)
        if (!has_boundary || !is_boundary(&parameters.list[i]))
            put_parameter(out, &parameters, &parameters.list[i]);
    arena_clear(&arena);
}

/* ---- fields ---- */

bool downgrade_content_type(struct slice body, struct word_writer *writer)
{
    struct content_type type;
    if (!content_type_parse(body, &type))
        return false;
    buffer_append(writer->out, SLICE(" "));
    put_token(writer->out, type.type);
    buffer_append(writer->out, SLICE("/"));
    put_token(writer->out, type.subtype);
    put_parameters(writer->out, type.parameters);
    return true;
}

bool downgrade_content_disposition(struct slice body, struct word_writer *writer)
{
    struct slice word, parameters;
    if (!content_word_parse(body, &word, &parameters))
        return false;
    buffer_append(writer->out, SLICE(" "));
    put_token(writer->out, word);
    put_parameters(writer->out, parameters);
    return true;
}

static enum downgrade_boundary judge(struct slice boundary)
{
    if (slice_is_ascii(boundary))
        return DOWNGRADE_BOUNDARY_FINE;
    struct buffer text = BUFFER_WITH_LIMIT(ESCAPED_LIMIT);
    transfer_mend_octets(boundary, '=', &text);
    bool failed = text.failed, is_long = text.len > BOUNDARY_MAX;
    bool is_ambiguous = slice_find_octet(boundary, '=') < boundary.len;
    buffer_clear(&text);
    if (failed)
        return DOWNGRADE_BOUNDARY_NO_MEMORY;
    return is_long || is_ambiguous ? DOWNGRADE_BOUNDARY_IMPOSSIBLE : DOWNGRADE_BOUNDARY_8BIT;
}

enum downgrade_boundary downgrade_look_at_boundary(const struct mime_part *part)
{
    struct arena arena;
    struct content_parameters parameters;
    struct slice boundary;
    enum downgrade_boundary found = DOWNGRADE_BOUNDARY_FINE;
    bool is_suspect = !slice_is_ascii(part->parameters)
                      || slice_find_octet(part->parameters, '%') < part->parameters.len;
    if (part->kind != MIME_MULTIPART || !is_suspect)
        return found;
    arena_init(&arena, ARENA_LIMIT);
    if (!content_parameters_parse(part->parameters, &arena, &parameters))
        found = DOWNGRADE_BOUNDARY_NO_MEMORY;
    else if (content_parameters_find(&parameters, SLICE("boundary"), &arena, &boundary))
        found = judge(token_trim_end(boundary));
    arena_clear(&arena);
    return found;
}
