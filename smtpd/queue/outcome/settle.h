/*
 * What became of deliveries, written down: recipients are dropped, get their next attempt, are
 * held, or are returned to the sender by a report (report.h) that is queued in the same
 * transaction. All outcomes of a turn are one transaction; if it fails (a full disk), they stay in
 * memory and are tried again a second later: a delivery is never forgotten, at worst it is looked
 * for again after a crash. What another host took meanwhile would be sent there again: see
 * docs/architecture.md.
 */
#ifndef SMTPD_QUEUE_OUTCOME_SETTLE_H
#define SMTPD_QUEUE_OUTCOME_SETTLE_H

#include "common/arena.h"
#include "common/buffer.h"
#include "common/error.h"
#include "smtpd/queue/waiting/queued.h"

struct queue;

struct settle {
    struct queued_message *messages; /* with outcomes to write, oldest first */
    struct queued_message *batch;    /* those of the open transaction */
    struct buffer record;            /* of a recipient */
    struct arena texts;              /* what the log is to name of the batch */
    bool waiting;                    /* the last try failed; the next is the next second's */
};

void settle_init(struct queue *queue);

/* The recipient is under way, unflushed, scheduled or held, and done with. `text`: an outcome_text,
 * copied; may be empty. */
void settle_add(struct queue *queue, struct queued_recipient *recipient,
                enum queued_outcome outcome, struct slice text);

/* An outcome that was kept back (report_body.h): its recipient is in no list. */
void settle_again(struct queue *queue, struct queued_recipient *recipient);

/* What the administrator wants of it (recipient->wish), which is scheduled or held, comes true.
 * `reply`: an outcome_text, what its last attempt came to; may be empty. Nothing is wanted: nothing
 * happens. */
void settle_wish(struct queue *queue, struct queued_recipient *recipient, struct slice reply);

/* A record that is missing or damaged, which is logged: what depends on it is left out, since
 * nothing will ever mend it and the outcomes of all others would wait for it. */
bool settle_is_unreadable(struct queue *queue, uint64_t id, const struct error *error);

/* At the end of the turn. */
void settle_run(struct queue *queue);
void settle_tick(struct queue *queue); /* once a second */

static inline bool settle_is_busy(const struct settle *settle)
{
    return settle->messages != NULL && !settle->waiting;
}

#endif
