/*
 * The ids lent to one session process, each for one use: a hijacked process can neither overwrite
 * another's message nor use one id for two of its own. Memory only; the queue only.
 */
#ifndef SMTPD_QUEUE_INTAKE_LENT_IDS_H
#define SMTPD_QUEUE_INTAKE_LENT_IDS_H

#include <stdbool.h>
#include <stdint.h>

/* The number of ids lent together, and of such ranges remembered. Beyond that, a million ids later,
 * the oldest range is forgotten, and a message with one of its ids is refused. */
enum { LENT_RANGE = 256, LENT_RANGES_MAX = 4096 };

struct lent_range;

/* Zeroed: no id is lent. */
struct lent_ids {
    struct lent_range *newest;
    uint32_t count;     /* number of ranges */
    uint64_t forgotten; /* all ids up to this one may have been forgotten */
};

/* Lends the ids first .. first + LENT_RANGE - 1. False: no memory. */
bool lent_ids_add(struct lent_ids *lent, uint64_t first);

enum lent_verdict {
    LENT,          /* returned once for each id */
    LENT_NEVER,    /* never lent, or already used */
    LENT_LONG_AGO, /* forgotten: lent or not is unknown */
};
enum lent_verdict lent_ids_use(struct lent_ids *lent, uint64_t id);

void lent_ids_clear(struct lent_ids *lent); /* may run twice */

#endif
