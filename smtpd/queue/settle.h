/*
 * What became of deliveries, written down: recipients are dropped, get their next attempt, are
 * held, or are returned to the sender by a report (RFC 3461 5.2, RFC 3464) that is queued in the
 * same transaction. All outcomes of a turn are one transaction; if it fails (a full disk), they
 * stay in memory and are tried again a second later: a delivery is never forgotten, at worst it is
 * looked for again after a crash.
 */
#ifndef SMTPD_QUEUE_SETTLE_H
#define SMTPD_QUEUE_SETTLE_H

#include "common/buffer.h"
#include "common/error.h"
#include "smtpd/queue/queued.h"

struct queue;

struct settle {
    struct queued_message *messages; /* with outcomes to write, oldest first */
    struct queued_message *batch;    /* those of the open transaction */
    struct queued_message *reports;  /* made in it */
    size_t report_count;
    struct report_draft *draft;
    struct buffer record;   /* of a recipient */
    struct buffer original; /* record of the message a report is about */
    struct buffer report;
    bool waiting; /* the last try failed; the next is the next second's */
};

void settle_init(struct queue *queue);

/* The recipient is under way or unflushed or scheduled, and done with. `text`: "4.2.2 words",
 * copied; may be empty. */
void settle_add(struct queue *queue, struct queued_recipient *recipient,
                enum queued_outcome outcome, struct slice text);

/* At the end of the turn. */
void settle_run(struct queue *queue);
void settle_tick(struct queue *queue); /* once a second */

static inline bool settle_is_busy(const struct settle *settle)
{
    return settle->messages != NULL && !settle->waiting;
}

#endif
