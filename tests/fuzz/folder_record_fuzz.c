/* Any text: refused, or a record that is written as a text which means the same record. */
#include <stdlib.h>

#include "storage/folder_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct folder_record record, again;
    struct error error;
    if (!folder_record_parse(slice_of(data, size), &record, &error)) {
        if (error.kind != ERROR_PERMANENT)
            abort();
        return 0;
    }
    struct buffer text = BUFFER_WITH_LIMIT(FOLDER_RECORD_MAX), twice = BUFFER_WITH_LIMIT(16384);
    folder_record_format(&record, &text);
    if (text.failed || !folder_record_parse(buffer_slice(&text), &again, &error))
        abort();
    folder_record_format(&again, &twice);
    if (!slice_equal(buffer_slice(&text), buffer_slice(&twice)))
        abort();
    buffer_clear(&text);
    buffer_clear(&twice);
    return 0;
}
