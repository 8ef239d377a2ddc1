/* The RDATA of TXT records, and a policy: what was taken is taken again, with the same meaning. */
#include "smtpd/fetch/sts_policy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char id[STS_ID_MAX + 1];
    struct slice input = slice_of(data, size);
    struct sts_policy policy, again;
    if (sts_find_id(input, id) && (id[0] == '\0' || strlen(id) > STS_ID_MAX))
        abort();
    if (!sts_policy_parse(input, &policy))
        return 0;
    if (policy.max_age_s > STS_MAX_AGE_MOST || !sts_policy_parse(policy.text, &again)
        || again.mode != policy.mode || again.max_age_s != policy.max_age_s)
        abort();
    sts_policy_allows(&policy, slice_from(input, size / 2));
    if (policy.mode != STS_MODE_NONE && sts_policy_allows(&policy, SLICE("")))
        abort();
    return 0;
}
