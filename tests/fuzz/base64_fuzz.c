/* What decodes is the one text of its value. */
#include <stdlib.h>

#include "common/text/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *octets = malloc(size + 1);
    size_t len;
    if (octets && base64_decode(slice_of(data, size), octets, size, &len)) {
        struct buffer text = BUFFER_WITH_LIMIT(size);
        base64_encode(slice_of(octets, len), &text);
        if (!slice_equal(buffer_slice(&text), slice_of(data, size)))
            abort();
        buffer_clear(&text);
    }
    free(octets);
    return 0;
}
