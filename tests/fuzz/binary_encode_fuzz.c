/* Any octets as a message with binary parts: what becomes of them does not depend on the cut, has
 * no NUL, and stays as it is when it comes once more. The first octet is the size of the pieces. */
#include <stdlib.h>

#include "common/mime/binary_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 1 << 22 };

/* Small, so that they are met. */
static const struct mime_limits limits = {.depth = 8, .parts = 50};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static enum binary_problem encode(struct slice message, size_t piece, struct buffer *out)
{
    struct binary_encode state;
    enum binary_problem problem = BINARY_FINE;
    binary_encode_init(&state, &limits);
    while (message.len > 0 && problem == BINARY_FINE) {
        problem = binary_encode_feed(&state, slice_range(message, 0, piece), out);
        message = slice_from(message, piece);
    }
    if (problem == BINARY_FINE)
        problem = binary_encode_finish(&state, out);
    binary_encode_clear(&state);
    must(!out->failed);
    return problem;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice message = slice_of(data + 1, size - 1);
    struct buffer whole = BUFFER_WITH_LIMIT(LARGEST);
    struct buffer cut = BUFFER_WITH_LIMIT(LARGEST);
    struct buffer again = BUFFER_WITH_LIMIT(LARGEST);
    enum binary_problem problem = encode(message, message.len + 1, &whole);
    must(encode(message, (size_t)data[0] + 1, &cut) == problem);
    if (problem == BINARY_FINE) {
        struct slice made = buffer_slice(&whole);
        must(slice_equal(made, buffer_slice(&cut)));
        must(slice_find_octet(made, 0) == made.len);
        must(encode(made, made.len + 1, &again) == BINARY_FINE);
        must(slice_equal(made, buffer_slice(&again)));
    }
    buffer_clear(&whole);
    buffer_clear(&cut);
    buffer_clear(&again);
    return 0;
}
