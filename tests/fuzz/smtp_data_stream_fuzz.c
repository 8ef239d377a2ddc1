/*
 * Decoding in steps of any size gives what an octet-by-octet decoder, written again here from RFC
 * 5321 4.5.2, gives: text, fault, end. First octets: rules and step.
 */
#include <stdlib.h>

#include "common/buffer.h"
#include "smtpd/session/data_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct buffer text;
    enum smtp_data_fault fault;
    size_t end; /* octets of the input up to the end of the message; SIZE_MAX: it did not come */
};

static void decode_in_steps(const struct smtp_data_rules *rules, struct slice input, size_t step,
                            struct outcome *outcome)
{
    struct smtp_data_stream stream;
    smtp_data_begin(&stream, rules);
    struct cursor in = {input.ptr, input.ptr};
    enum parse_result result = PARSE_MORE;
    while (result == PARSE_MORE && in.end != input.ptr + input.len) {
        size_t left = (size_t)(input.ptr + input.len - in.end);
        in.end += left < step ? left : step;
        struct slice piece;
        while ((result = smtp_data_next(&stream, &in, &piece)) == PARSE_MORE && piece.len > 0)
            buffer_append(&outcome->text, piece);
        if (result == PARSE_MORE && !cursor_at_end(&in))
            abort();
    }
    outcome->fault = stream.fault;
    outcome->end = result == PARSE_DONE ? (size_t)(in.at - input.ptr) : SIZE_MAX;
}

/* The whole lines of the input, each up to its CRLF; no limits. */
static void decode_by_lines(const struct smtp_data_rules *rules, struct slice input,
                            struct outcome *outcome)
{
    size_t at = 0;
    while (at < input.len) {
        struct slice rest = slice_from(input, at);
        size_t length = slice_find(rest, SLICE("\r\n"));
        struct slice line = slice_range(rest, 0, length);
        bool whole = length < rest.len;
        at += whole ? length + 2 : rest.len;
        if (whole && slice_equal(line, SLICE("."))) {
            outcome->end = at;
            return;
        }
        if (slice_starts_with(line, SLICE(".")))
            line = slice_from(line, 1);
        for (size_t i = 0; i < line.len && outcome->fault == SMTP_DATA_FINE; i++) {
            bool last_cr = line.ptr[i] == '\r' && i + 1 == line.len && !whole;
            if (line.ptr[i] == '\0')
                outcome->fault = SMTP_DATA_NUL;
            else if ((line.ptr[i] == '\r' || line.ptr[i] == '\n') && !last_cr && !rules->keep_bare)
                outcome->fault = SMTP_DATA_BARE_LINE_END;
        }
        buffer_append(&outcome->text, line);
        if (whole)
            buffer_append(&outcome->text, SLICE("\r\n"));
    }
}

static void require_same(const struct outcome *a, const struct outcome *b)
{
    if (a->fault != b->fault || a->end != b->end)
        abort();
    if (a->fault == SMTP_DATA_FINE && !slice_equal(buffer_slice(&a->text), buffer_slice(&b->text)))
        abort();
}

static void compare(const struct smtp_data_rules *rules, struct slice input, size_t step,
                    bool with_lines)
{
    struct outcome whole = {BUFFER_WITH_LIMIT(input.len + 2), SMTP_DATA_FINE, SIZE_MAX};
    struct outcome other = {BUFFER_WITH_LIMIT(input.len + 2), SMTP_DATA_FINE, SIZE_MAX};
    decode_in_steps(rules, input, input.len, &whole);
    if (with_lines)
        decode_by_lines(rules, input, &other);
    else
        decode_in_steps(rules, input, step, &other);
    /* An input that ends in ".\r" holds the CR back; the other decoder cannot know. */
    if (!with_lines || whole.end != SIZE_MAX)
        require_same(&whole, &other);
    buffer_clear(&whole.text);
    buffer_clear(&other.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct slice input = slice_of(data + 3, size - 3);
    bool keep_bare = (data[0] & 1) != 0;
    struct smtp_data_rules wide = {UINT32_MAX, UINT32_MAX, keep_bare};
    struct smtp_data_rules tight = {data[1], 2U + data[2], keep_bare};
    size_t step = 1U + data[0] / 2;
    compare(&wide, input, step, true);
    compare(&wide, input, step, false);
    compare(&tight, input, step, false);
    return 0;
}
