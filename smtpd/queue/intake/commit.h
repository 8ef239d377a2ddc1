/*
 * The transaction of a turn, and the flush of long bodies before it: what intake_commit ends
 * (intake.h). The intake's only.
 */
#ifndef SMTPD_QUEUE_INTAKE_COMMIT_H
#define SMTPD_QUEUE_INTAKE_COMMIT_H

#include "common/error.h"

struct queue;
struct submission;

/* Into the transaction of this turn, which it begins. Takes the submission. */
void commit_put(struct queue *queue, struct submission *submission);

/* Seals the body's file and has it flushed by the second thread; then as commit_put. False: the
 * submission is still the caller's. */
bool commit_put_long(struct queue *queue, struct submission *submission, struct error *error);

#endif
