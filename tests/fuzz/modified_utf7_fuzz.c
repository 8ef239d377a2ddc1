/* What is decoded is encoded to the same text, and what is encoded is decoded to the same name. */
#include <stdlib.h>

#include "common/text/modified_utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inverse(struct slice input, uint8_t shifted,
                          bool (*there)(struct slice, uint8_t, struct buffer *),
                          bool (*back)(struct slice, uint8_t, struct buffer *))
{
    struct buffer result = BUFFER_WITH_LIMIT(1 << 20), again = BUFFER_WITH_LIMIT(1 << 20);
    if (there(input, shifted, &result)
        && (!back(buffer_slice(&result), shifted, &again)
            || !slice_equal(buffer_slice(&again), input)))
        abort();
    buffer_clear(&result);
    buffer_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    check_inverse(input, 0, modified_utf7_decode_without, modified_utf7_encode_without);
    check_inverse(input, '.', modified_utf7_decode_without, modified_utf7_encode_without);
    check_inverse(input, 0, modified_utf7_encode_without, modified_utf7_decode_without);
    check_inverse(input, '.', modified_utf7_encode_without, modified_utf7_decode_without);
    return 0;
}
