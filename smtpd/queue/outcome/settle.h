/*
 * Writes the outcomes of attempts to the store: recipients are dropped, scheduled again, held, or
 * returned to the sender by a report (report.h) that is queued in the same transaction. All
 * outcomes of a turn are one transaction; if it fails (a full disk), they stay in memory and are
 * written a second later. After a crash before that, a repeated local delivery finds the message in
 * the Maildir; a message that another host took is sent again: see docs/architecture.md.
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
    struct arena texts;              /* texts of the batch, for the log after the commit */
    bool waiting;                    /* the last commit failed; try again at the next second */
};

void settle_init(struct queue *queue);

/* Sets the outcome of a recipient that is under way, unflushed, scheduled or held. `text`: an
 * outcome_text, copied; may be empty. */
void settle_add(struct queue *queue, struct queued_recipient *recipient,
                enum queued_outcome outcome, struct slice text);

/* An outcome that was kept back (report_body.h): its recipient is in no list. */
void settle_again(struct queue *queue, struct queued_recipient *recipient);

/* Does what the administrator wants with a recipient that is scheduled or held (recipient->wish;
 * does nothing without one). `reply`: the outcome_text of its last attempt; may be empty. */
void settle_wish(struct queue *queue, struct queued_recipient *recipient, struct slice reply);

/* Whether the error means that the record is missing or damaged, which is logged. What depends on
 * it is then left out: nothing will ever mend it, and all other outcomes would wait for it. */
bool settle_is_unreadable(struct queue *queue, uint64_t id, const struct error *error);

/* Writes all outcomes; called at the end of the turn. */
void settle_run(struct queue *queue);
void settle_tick(struct queue *queue); /* once a second */

static inline bool settle_is_busy(const struct settle *settle)
{
    return settle->messages != NULL && !settle->waiting;
}

#endif
