/*
 * Delivery to other hosts (relay_protocol.h).
 *
 * A destination has as many messages under way as its last result allowed, one at first. In total
 * there are as many as the relay processes may have connections; destinations that are not known to
 * take mail leave a part of these to the others. A destination that itself failed rests, and its
 * mail waits in memory.
 *
 * If a relay process dies, one of its messages may have caused that. They are tried again one at a
 * time until it is clear which one; that one is held.
 */
#ifndef SMTPD_QUEUE_DISPATCH_DISPATCH_RELAY_H
#define SMTPD_QUEUE_DISPATCH_DISPATCH_RELAY_H

#include "common/role/role.h"

struct queue;
struct queue_target;

struct dispatch_relay {
    struct relay_attempt *attempts; /* with a relay process, by request */
    struct relay_peer *peers;
    struct queue_target *without_relay; /* wait for a relay process */
    uint32_t peer_count;
    uint32_t under_way[2]; /* records, by lane of the destination when they were sent */
    size_t octets;         /* of those records */
};

enum { DISPATCH_RELAY_RULES = 4 };
extern const struct ipc_rule dispatch_relay_rules[DISPATCH_RELAY_RULES];

bool dispatch_relay_up(struct queue *queue, struct role_peer *peer);
void dispatch_relay_down(struct queue *queue, struct role_peer *peer);

/* Sends at most `records` due records. True: there are more. */
bool dispatch_relay_run(struct queue *queue, unsigned records);

/* Once a second: gives up attempts that were never answered; tries congested processes again. */
void dispatch_relay_tick(struct queue *queue);

bool dispatch_relay_is_busy(const struct queue *queue);

#endif
