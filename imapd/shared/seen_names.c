/* The set of seen_names.h. */
#include "imapd/shared/seen_names.h"

#include "storage/subscriptions.h"

enum { NAMES_OCTETS = 1 << 20 };

void seen_names_init(struct seen_names *seen)
{
    buffer_init(&seen->lines, NAMES_OCTETS);
}

void seen_names_clear(struct seen_names *seen)
{
    buffer_clear(&seen->lines);
}

struct slice seen_names_all(const struct seen_names *seen)
{
    return buffer_slice(&seen->lines);
}

bool seen_names_next(struct slice *rest, struct slice *name)
{
    return subscriptions_next(rest, name);
}

bool seen_names_has(const struct seen_names *seen, struct slice name)
{
    struct slice rest = seen_names_all(seen), one;
    while (seen_names_next(&rest, &one))
        if (slice_equal(one, name))
            return true;
    return false;
}

void seen_names_add(struct seen_names *seen, struct slice name)
{
    buffer_append(&seen->lines, name);
    buffer_append_octet(&seen->lines, '\n');
}

void seen_names_remove(struct seen_names *seen, struct slice name)
{
    struct buffer left = BUFFER_WITH_LIMIT(NAMES_OCTETS);
    struct slice rest = seen_names_all(seen), one;
    while (seen_names_next(&rest, &one)) {
        if (slice_equal(one, name))
            continue;
        buffer_append(&left, one);
        buffer_append_octet(&left, '\n');
    }
    left.failed = left.failed || seen->lines.failed;
    buffer_clear(&seen->lines);
    seen->lines = left;
}

bool seen_names_failed(const struct seen_names *seen)
{
    return seen->lines.failed;
}
