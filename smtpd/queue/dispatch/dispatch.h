/*
 * Delivery attempts, in the order of schedule.h: into Maildirs (dispatch_deliver.h) or to other
 * hosts (dispatch_relay.h). Here are the functions that both share.
 *
 * An attempt ends with an outcome for settle.h; a delivery into a Maildir has its outcome after the
 * syncfs that covers it. If the outcome is unknown (the process died) the recipient goes back into
 * the schedule.
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

/* Starts a bounded number of due attempts. True: there are more. */
bool dispatch_run(struct queue *queue);

/* Once a second: gives up attempts that were never answered. */
void dispatch_tick(struct queue *queue);

/* Whether attempts are under way in another process or the second thread. */
bool dispatch_is_busy(const struct queue *queue);

/* ---- for dispatch_deliver and dispatch_relay ---- */

/* A message as it is on disk; the struct borrows from dispatch.message. */
struct dispatch_content {
    struct stored_message message;
    struct filter_cut cuts[FILTER_CUTS_MAX];
    int body_fd; /* of a long body; -1: the body is in the record */
};
bool dispatch_open(struct queue *queue, uint64_t id, struct dispatch_content *content,
                   struct error *error);
void dispatch_close(struct dispatch_content *content);

static inline struct slice dispatch_cuts(const struct dispatch_content *content)
{
    return slice_of(content->cuts, content->message.cut_count * sizeof(content->cuts[0]));
}

/* The attempt never left this process: tries again a little later. */
void dispatch_undone(struct queue *queue, struct queued_recipient *recipient);

/* The process that had the recipient died: tries again soon, or later if this was not the first
 * time. */
void dispatch_lost(struct queue *queue, struct queued_recipient *recipient, bool first);

/* The message could not be read or sent: tries again later, or holds it if a record or body is
 * missing. Ends the process if the store is no longer usable. */
void dispatch_not_sent(struct queue *queue, struct queued_recipient *recipient,
                       const struct error *error);

#endif
