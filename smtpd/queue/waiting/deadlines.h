/*
 * What happens to a message because time passes: after queue.delay-warning its sender is told that
 * it waits, after queue.lifetime it is tried a last time and returned; either happens sooner where
 * the sender set a time himself (DELIVERBY, RFC 2852 4). Whom its destination keeps
 * waiting, since it does not answer, is returned without that. By one heap of messages, so nothing
 * scans all; by steady time, so no clock that is set hurries or delays it.
 */
#ifndef SMTPD_QUEUE_WAITING_DEADLINES_H
#define SMTPD_QUEUE_WAITING_DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

struct config_queue;
struct queue;
struct queued_message;
struct stored_recipient;

/* The times of a message that is new or loaded, by the row of a recipient: they count from its
 * arrival or release, by the wall clock. What would have happened long ago happens soon, but
 * nothing is returned for its age before it was tried for an hour of this life: the clock may be
 * wrong. */
void deadlines_begin(struct queue *queue, struct queued_message *message,
                     const struct stored_recipient *row);

/* Steady time of a release by the wall clock; at most 90 days from now, now if it is past. */
uint64_t deadlines_release_ms(int64_t release);

/* A reload: all that wait count from when they came by the configuration in force now. */
void deadlines_reload(struct queue *queue, const struct config_queue *before);

/* What is due, a bounded part of it; true if there is more. */
bool deadlines_run(struct queue *queue);

#endif
