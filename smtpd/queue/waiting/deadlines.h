/*
 * Warnings and expiry. After queue.delay-warning the sender is told that the message waits; after
 * queue.lifetime the message is tried a last time and returned; both happen earlier if the sender
 * gave a time (DELIVERBY, RFC 2852 4). A recipient whose destination does not answer is returned
 * without the last attempt. The messages are in one heap, so that no scan of all is needed, and the
 * time is steady, so that setting the clock changes nothing.
 */
#ifndef SMTPD_QUEUE_WAITING_DEADLINES_H
#define SMTPD_QUEUE_WAITING_DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

struct config_queue;
struct queue;
struct queued_message;
struct stored_recipient;

/* Sets the times of a message that is new or was loaded, from the row of one of its recipients;
 * they count from its arrival or release by the wall clock. Overdue messages come soon, but none is
 * returned for its age before it has been tried for an hour since this start: the clock may be
 * wrong. */
void deadlines_begin(struct queue *queue, struct queued_message *message,
                     const struct stored_recipient *row);

/* Steady time of a wall-clock release; at most 90 days from now, and now if it is past. */
uint64_t deadlines_release_ms(int64_t release);

/* After a reload: the times of all that wait are computed anew, by the new configuration. */
void deadlines_reload(struct queue *queue, const struct config_queue *before);

/* Handles a bounded number of due messages. True: there are more. */
bool deadlines_run(struct queue *queue);

#endif
