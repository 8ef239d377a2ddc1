/* Any maildirsize: refused, or a usage that is no nonsense. */
#include <stdlib.h>

#include "storage/quota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quota_limits limits;
    struct quota_usage usage;
    if (!quota_parse(slice_of(data, size), &limits, &usage))
        return 0;
    if (usage.octets < 0 || usage.messages < 0)
        abort();
    if (quota_is_set(&limits) && quota_has_room(&limits, &usage, UINT64_MAX) && limits.octets > 0
        && limits.octets < UINT64_MAX)
        abort();
    return 0;
}
