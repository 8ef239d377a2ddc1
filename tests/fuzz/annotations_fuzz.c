/* Any text: refused, or annotations that are written as a text which means the same. */
#include <stdlib.h>

#include "storage/annotations.h"

enum { LIMIT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is set again in the order of the text is the same text, where no entry is in it twice. */
static void set_again(const struct annotations *annotations)
{
    struct slice rest = buffer_slice(&annotations->text), value;
    struct annotation one;
    struct annotations again;
    annotations_init(&again, LIMIT);
    while (annotations_next(&rest, &one))
        if (!annotations_set(&again, one.entry, one.value)
            || !annotations_find(&again, one.entry, &value) || !slice_equal(value, one.value))
            abort();
    if (rest.len > 0 || annotations_count(&again) > annotations_count(annotations))
        abort();
    annotations_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct annotations annotations;
    struct buffer text = BUFFER_WITH_LIMIT(LIMIT);
    struct error error;
    annotations_init(&annotations, LIMIT);
    if (!annotations_parse(&annotations, slice_of(data, size), &error)) {
        if (error.kind != ERROR_PERMANENT)
            abort();
        return 0;
    }
    annotations_format(&annotations, &text);
    if (!slice_equal(buffer_slice(&text), slice_of(data, size)))
        abort();
    set_again(&annotations);
    annotations_clear(&annotations);
    buffer_clear(&text);
    return 0;
}
