/*
 * Decides who gets a report on the outcome of a message (RFC 3461 4.1, 5.2): its sender, by a
 * delivery status notification (bounce.h); postmaster, if a notification could not be delivered or
 * a message is held in quarantine; nobody, about a message to postmaster or one with a null
 * reverse-path.
 *
 * The outcomes of one message are gathered in drafts. A report is queued in the open transaction,
 * and is in memory before the commit.
 */
#ifndef SMTPD_QUEUE_OUTCOME_REPORT_H
#define SMTPD_QUEUE_OUTCOME_REPORT_H

#include "common/buffer.h"
#include "smtpd/queue/outcome/bounce.h"
#include "smtpd/queue/store/record.h"
#include "smtpd/queue/waiting/queued.h"

struct queue;

enum report_to { REPORT_TO_NOBODY, REPORT_TO_SENDER, REPORT_TO_POSTMASTER, REPORT_DRAFTS };

struct reports {
    struct queued_message *made; /* in the open transaction */
    size_t count;
    struct report_told *told;                   /* the same for the log; in settle's arena */
    struct report_draft *drafts[REPORT_DRAFTS]; /* of the message being settled */
    struct buffer original;                     /* record of that message */
    struct report_body *bodies;                 /* long ones, by id of the message they are about */
    struct buffer text;
};

void reports_init(struct reports *reports);

void report_random_boundary(char text[BOUNCE_BOUNDARY_MAX]);

/* Who must get a report of the recipient's outcome. */
enum report_to report_wanted(const struct queued_recipient *recipient);

/* Whether the sender asked for the whole message back, and may have it. */
bool report_may_have_all(const struct stored_message *message);

/* Adds the outcome to a draft; a draft that is full is sent. Fails as the store does, or without
 * memory. */
bool report_add(struct queue *queue, enum report_to to, const struct queued_recipient *recipient,
                const struct stored_recipient *row, struct error *error);

/* Sends what is in the drafts of that message. */
bool report_send(struct queue *queue, uint64_t id, struct error *error);

/* After a failure: forgets what is in the drafts. */
void report_forget_drafts(struct reports *reports);

/* After the commit: schedules the reports. After a failed one: drops them. */
void reports_schedule(struct queue *queue);
void reports_undo(struct queue *queue);

#endif
