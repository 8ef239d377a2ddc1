/*
 * Out of the queue: whose turn it is (schedule.h), where that account's mail goes (targets.h), the
 * record to `deliver`, its answer, and one syncfs for many deliveries.
 *
 * A recipient leaves here in one of three ways: an outcome for settle.h; back into the schedule,
 * where nothing came of the attempt (a dead process); or with the syncfs that covers it.
 */
#ifndef SMTPD_QUEUE_DISPATCH_H
#define SMTPD_QUEUE_DISPATCH_H

#include "common/buffer.h"
#include "common/role.h"

struct queue;

struct dispatch {
    struct question *questions; /* to auth or the master, by request */
    struct attempt *attempts;   /* with a deliver process, by request */
    struct deliver_peer *peers; /* those that died with work unflushed too */
    struct buffer message;      /* the record that is being sent */
    struct buffer recipient;
    struct buffer addresses;
};

enum { DISPATCH_DELIVER_RULES = 2 };
extern const struct ipc_rule dispatch_deliver_rules[DISPATCH_DELIVER_RULES];

void dispatch_init(struct queue *queue);
bool dispatch_deliver_up(struct queue *queue, struct role_peer *peer);
void dispatch_deliver_down(struct queue *queue, struct role_peer *peer);

/* Starts what is due, a bounded part of it; true if there is more. */
bool dispatch_run(struct queue *queue);

/* Once a second: attempts that were never answered. */
void dispatch_tick(struct queue *queue);

/* Whether a deliver process or the second thread has something. */
bool dispatch_is_busy(const struct queue *queue);

#endif
