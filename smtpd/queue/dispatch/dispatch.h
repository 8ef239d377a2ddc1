/*
 * Out of the queue, in the order of schedule.h, by one of two ways (dispatch_deliver.h,
 * dispatch_relay.h); and what both ways share.
 *
 * An attempt ends in one of three ways: with an outcome for settle.h; back in the schedule, if
 * nothing is known of it (the process died); or, into a Maildir, with the syncfs that covers it.
 */
#ifndef SMTPD_QUEUE_DISPATCH_DISPATCH_H
#define SMTPD_QUEUE_DISPATCH_DISPATCH_H

#include "common/buffer.h"
#include "smtpd/filter/filter_protocol.h"
#include "smtpd/queue/store/record.h"

struct queue;
struct queued_recipient;

struct dispatch {
    struct buffer message; /* the record that is being sent */
    struct buffer recipient;
    struct buffer texts;        /* of its recipients */
    struct buffer reverse_path; /* if it is rewritten (SRS) */
};

void dispatch_init(struct queue *queue);

/* Starts what is due, a bounded part of it; true if there is more. */
bool dispatch_run(struct queue *queue);

/* Once a second: attempts that were never answered. */
void dispatch_tick(struct queue *queue);

/* Whether another process or the second thread has something of ours. */
bool dispatch_is_busy(const struct queue *queue);

/* ---- for the two ways ---- */

/* A message as it is on disk; the struct borrows from dispatch.message. */
struct dispatch_content {
    struct stored_message message;
    struct filter_cut cuts[FILTER_CUTS_MAX];
    int body_fd; /* of a long body; or -1 */
};
bool dispatch_open(struct queue *queue, uint64_t id, struct dispatch_content *content,
                   struct error *error);
void dispatch_close(struct dispatch_content *content);

static inline struct slice dispatch_cuts(const struct dispatch_content *content)
{
    return slice_of(content->cuts, content->message.cut_count * sizeof(content->cuts[0]));
}

/* The attempt never left this process: it is tried again a little later. */
void dispatch_undone(struct queue *queue, struct queued_recipient *recipient);

/* The process that had it died: it is tried again soon, and less soon if this is not the first
 * time. */
void dispatch_lost(struct queue *queue, struct queued_recipient *recipient, bool first);

/* The message could not be read or sent: it is tried again later, or held if a record or body is
 * missing. Ends the process if the store cannot go on. */
void dispatch_not_sent(struct queue *queue, struct queued_recipient *recipient,
                       const struct error *error);

#endif
