/* Header sections; see downgrade_header.h. Pure; relay. */
#include "smtpd/relay/downgrade/downgrade_header.h"

#include "smtpd/relay/downgrade/downgrade_field.h"

static void put_encoding(const char *encoding, struct buffer *out)
{
    buffer_append(out, SLICE("Content-Transfer-Encoding: "));
    buffer_append_string(out, encoding);
    buffer_append(out, SLICE("\r\n"));
}

/* RFC 1428 3: the charset is unknown. */
static void put_plain_type(struct buffer *out)
{
    buffer_append(out, SLICE("Content-Type: text/plain; charset=unknown-8bit\r\n"));
}

/* Which of the fields that may be missing were seen. */
struct seen {
    bool version, type, encoding;
};

static void put_field(const struct header_field *field, const struct downgrade_change *change,
                      struct seen *seen, struct buffer *out)
{
    bool is_type = slice_equal_nocase(field->name, SLICE("Content-Type"));
    bool is_encoding = slice_equal_nocase(field->name, SLICE("Content-Transfer-Encoding"));
    seen->version = seen->version || slice_equal_nocase(field->name, SLICE("MIME-Version"));
    if (is_encoding && change->encoding) {
        if (!seen->encoding)
            put_encoding(change->encoding, out);
    } else if (is_type && change->is_plain) {
        if (!seen->type)
            put_plain_type(out);
    } else if (is_type && !seen->type && change->new_type) {
        downgrade_field_anew(field, out);
    } else {
        downgrade_field(field, out);
    }
    seen->type = seen->type || is_type;
    seen->encoding = seen->encoding || is_encoding;
}

/* RFC 2045 4 and 6: without these a text is not MIME, and its encoding would mean nothing. */
static void put_missing(const struct downgrade_change *change, const struct seen *seen,
                        struct buffer *out)
{
    if (change->encoding && !seen->encoding)
        put_encoding(change->encoding, out);
    if (change->is_mime && !seen->version)
        buffer_append(out, SLICE("MIME-Version: 1.0\r\n"));
    if (change->is_mime && change->has_body && !seen->type)
        put_plain_type(out);
}

void downgrade_header(struct slice header, const struct downgrade_change *change,
                      struct buffer *out)
{
    struct cursor in = cursor_of(header);
    struct header_field field;
    struct seen seen = {.version = false};
    while (header_next(&in, &field))
        put_field(&field, change, &seen, out);
    put_missing(change, &seen, out);
    buffer_append(out, cursor_rest(&in));
}

void downgrade_field_groups(struct slice body, struct buffer *out)
{
    struct cursor in = cursor_of(body), start = in;
    struct header_field field;
    while (!cursor_at_end(&in)) {
        while (header_next(&in, &field))
            downgrade_field(&field, out);
        start = in;
        cursor_skip(&in, '\r');
        cursor_skip(&in, '\n');
        buffer_append(out, cursor_since(&in, &start));
    }
}
