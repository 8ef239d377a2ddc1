/* The canonical spelling of an address is an address, and its own canonical spelling. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/auth/canonical.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count)
{
    struct canonical once;
    struct canonical twice;
    struct error error;
    if (!canonical_parse(slice_of(octets, count), &once, &error))
        return 0;
    assert(once.local_len > 0 && once.octets[once.local_len] == '@');
    /* Folding may lengthen a local part beyond what may be written. */
    if (!canonical_parse(canonical_text(&once), &twice, &error))
        return 0;
    assert(slice_equal(canonical_text(&once), canonical_text(&twice)));
    return 0;
}
