/* The fields of header.h. Pure; any process. */
#include "common/mime/header.h"

#include "common/mime/token.h"

/* Takes one line; *line excludes its line end. */
static void take_line(struct cursor *in, struct slice *line)
{
    struct slice rest = cursor_rest(in);
    size_t length = slice_find_octet(rest, '\n');
    in->at += length < rest.len ? length + 1 : length;
    if (length < rest.len && length > 0 && rest.ptr[length - 1] == '\r')
        length--;
    *line = slice_of(rest.ptr, length);
}

static bool at_empty_line(const struct cursor *in)
{
    struct cursor ahead = *in;
    cursor_skip(&ahead, '\r');
    return cursor_skip(&ahead, '\n');
}

static bool at_continuation(const struct cursor *in)
{
    return in->at != in->end && (*in->at == ' ' || *in->at == '\t');
}

/* optional-field = field-name *WSP ":" unstructured    RFC 5322 3.6.8, obs-optional 4.5.8 */
bool header_split_line(struct slice line, struct slice *name, struct slice *body)
{
    struct cursor in = cursor_of(line);
    struct slice word;
    if (!token_take(&in, TOKEN_FIELD_NAME, &word))
        return false;
    while (cursor_skip(&in, ' ') || cursor_skip(&in, '\t'))
        ;
    if (!cursor_skip(&in, ':'))
        return false;
    *name = word;
    *body = cursor_rest(&in);
    return true;
}

bool header_next(struct cursor *in, struct header_field *field)
{
    if (cursor_at_end(in) || at_empty_line(in))
        return false;
    struct cursor start = *in;
    struct slice line;
    take_line(in, &line);
    if (!header_split_line(line, &field->name, &field->body)) {
        field->name = slice_of(line.ptr, 0);
        field->body = line;
    }
    while (at_continuation(in))
        take_line(in, &line);
    field->whole = cursor_since(in, &start);
    field->body.len = (size_t)(line.ptr + line.len - field->body.ptr);
    return true;
}

void header_unfold(struct slice body, struct buffer *text)
{
    struct cursor in = cursor_of(token_trim(body));
    while (!cursor_at_end(&in)) {
        struct slice line;
        take_line(&in, &line);
        buffer_append(text, line);
    }
}
