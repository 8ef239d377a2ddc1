/* Events of any role, to journal: refused, or one printable line that cannot be taken for two. */
#include <stdlib.h>

#include "common/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_entry entry;
    struct error error = {0};
    struct buffer line = BUFFER_WITH_LIMIT(1 << 20);
    if (log_entry_parse(slice_of(data, size), &entry, &error)) {
        log_entry_format(&entry, &line);
        for (size_t i = 0; i < line.len; i++)
            if (line.ptr[i] < 0x20 || line.ptr[i] > 0x7e)
                abort();
        if (!slice_starts_with(buffer_slice(&line), SLICE("event=")))
            abort();
    } else if (error.kind != ERROR_PEER) {
        abort();
    }
    buffer_clear(&line);
    return 0;
}
