/* Lines are the same octet by octet as all at once. First octet: the limit. */
#include <stdlib.h>

#include "common/buffer.h"
#include "smtpd/session/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void split(struct slice text, size_t step, size_t limit, struct buffer *said)
{
    struct smtp_line_splitter splitter = {.scanned = 0};
    struct cursor in = {text.ptr, text.ptr};
    const uint8_t *end = text.ptr + text.len;
    while (in.end != end) {
        in.end = (size_t)(end - in.end) > step ? in.end + step : end;
        struct slice line;
        enum parse_result result;
        while ((result = smtp_line_next(&splitter, limit, &in, &line)) != PARSE_MORE) {
            buffer_append_octet(said, result == PARSE_DONE ? '+' : '!');
            if (result == PARSE_DONE)
                buffer_append(said, line);
        }
        if (cursor_left(&in) >= limit)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t limit = 2U + data[0] % 40U;
    struct slice text = slice_of(data + 1, size - 1);
    struct buffer whole = BUFFER_WITH_LIMIT(2 * size);
    struct buffer parts = BUFFER_WITH_LIMIT(2 * size);
    split(text, text.len, limit, &whole);
    split(text, 1 + data[0] / 40U, limit, &parts);
    if (!slice_equal(buffer_slice(&whole), buffer_slice(&parts)))
        abort();
    buffer_clear(&whole);
    buffer_clear(&parts);
    return 0;
}
