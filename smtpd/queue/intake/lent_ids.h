/*
 * Which ids were lent to one session process, each to be used once: so that a hijacked one can
 * neither write over another's message nor take one number for two of its own. Memory only; the
 * queue only.
 */
#ifndef SMTPD_QUEUE_INTAKE_LENT_IDS_H
#define SMTPD_QUEUE_INTAKE_LENT_IDS_H

#include <stdbool.h>
#include <stdint.h>

/* Ids that are lent together, and how many of such ranges are remembered: beyond that the oldest is
 * forgotten, a million ids later, and what still bears one of its ids is refused. */
enum { LENT_RANGE = 256, LENT_RANGES_MAX = 4096 };

struct lent_range;

/* Zeroed, nothing is lent. */
struct lent_ids {
    struct lent_range *newest;
    uint32_t count;     /* of ranges */
    uint64_t forgotten; /* all ids up to this one may have been forgotten */
};

/* first .. first + LENT_RANGE - 1. False: no memory. */
bool lent_ids_add(struct lent_ids *lent, uint64_t first);

enum lent_verdict {
    LENT,          /* said once for each id */
    LENT_NEVER,    /* or used already */
    LENT_LONG_AGO, /* nobody knows any more */
};
enum lent_verdict lent_ids_use(struct lent_ids *lent, uint64_t id);

void lent_ids_clear(struct lent_ids *lent); /* may run twice */

#endif
