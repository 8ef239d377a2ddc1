/*
 * Delivery into Maildirs (deliver_protocol.h): asks for the account's deliver process (targets.h),
 * sends it the record, takes its answer, and flushes many deliveries with one syncfs.
 */
#ifndef SMTPD_QUEUE_DISPATCH_DISPATCH_DELIVER_H
#define SMTPD_QUEUE_DISPATCH_DISPATCH_DELIVER_H

#include "common/role/role.h"

struct queue;

struct dispatch_deliver {
    struct attempt *attempts;   /* with a deliver process, by request */
    struct deliver_peer *peers; /* including dead ones whose work is not flushed yet */
};

enum { DISPATCH_DELIVER_RULES = 2 };
extern const struct ipc_rule dispatch_deliver_rules[DISPATCH_DELIVER_RULES];

bool dispatch_deliver_up(struct queue *queue, struct role_peer *peer);
void dispatch_deliver_down(struct queue *queue, struct role_peer *peer);

/* Sends at most `records` due records. True: there are more. */
bool dispatch_deliver_run(struct queue *queue, unsigned records);

/* Once a second: gives up attempts that were never answered. */
void dispatch_deliver_tick(struct queue *queue);

/* Whether a deliver process or the second thread has work. */
bool dispatch_deliver_is_busy(const struct queue *queue);

#endif
