/*
 * What happens to a message because time passes. After queue.delay-warning its sender is told that
 * it waits; after queue.lifetime it is tried a last time and returned; both happen sooner where the
 * sender set a time himself (DELIVERBY, RFC 2852 4). A recipient whose destination does not answer
 * is returned without the last try. The messages are in one heap, so nothing scans all of them, and
 * the time is steady, so setting the clock neither hurries nor delays anything.
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
 * they count from its arrival or release by the wall clock. What is long overdue happens soon, but
 * nothing is returned for its age before it has been tried for an hour since this start: the clock
 * may be wrong. */
void deadlines_begin(struct queue *queue, struct queued_message *message,
                     const struct stored_recipient *row);

/* Steady time of a wall-clock release; at most 90 days from now, and now if it is past. */
uint64_t deadlines_release_ms(int64_t release);

/* After a reload: the times of all that wait are computed anew, by the new configuration. */
void deadlines_reload(struct queue *queue, const struct config_queue *before);

/* Does what is due, a bounded part of it; true if there is more. */
bool deadlines_run(struct queue *queue);

#endif
