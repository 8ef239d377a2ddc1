/* Ids lent to a session process; see lent_ids.h. */
#include "smtpd/queue/intake/lent_ids.h"

#include <stdlib.h>

#include <utlist.h>

enum { WORDS = LENT_RANGE / 64 };

struct lent_range {
    struct lent_range *prev, *next;
    uint64_t first;
    uint64_t used[WORDS]; /* one bit an id */
    uint32_t left;
};

static void forget(struct lent_ids *lent, struct lent_range *range)
{
    DL_DELETE(lent->newest, range);
    lent->count--;
    free(range);
}

bool lent_ids_add(struct lent_ids *lent, uint64_t first)
{
    struct lent_range *range = calloc(1, sizeof(*range));
    if (!range)
        return false;
    range->first = first;
    range->left = LENT_RANGE;
    DL_PREPEND(lent->newest, range);
    if (++lent->count > LENT_RANGES_MAX) {
        struct lent_range *oldest = lent->newest->prev; /* utlist: the head's prev is the tail */
        lent->forgotten = oldest->first + LENT_RANGE - 1;
        forget(lent, oldest);
    }
    return true;
}

enum lent_verdict lent_ids_use(struct lent_ids *lent, uint64_t id)
{
    struct lent_range *range;
    DL_FOREACH (lent->newest, range)
        if (id - range->first < LENT_RANGE)
            break;
    if (!range)
        return id <= lent->forgotten ? LENT_LONG_AGO : LENT_NEVER;
    uint64_t place = id - range->first, bit = UINT64_C(1) << (place % 64);
    if (range->used[place / 64] & bit)
        return LENT_NEVER;
    range->used[place / 64] |= bit;
    if (--range->left == 0)
        forget(lent, range);
    return LENT;
}

void lent_ids_clear(struct lent_ids *lent)
{
    while (lent->newest)
        forget(lent, lent->newest);
}
