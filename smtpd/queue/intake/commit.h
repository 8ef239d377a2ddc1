/*
 * The transaction of a turn, which intake_commit ends (intake.h), and the flush of long bodies
 * before it. Used only by the intake.
 */
#ifndef SMTPD_QUEUE_INTAKE_COMMIT_H
#define SMTPD_QUEUE_INTAKE_COMMIT_H

#include "common/error.h"

struct queue;
struct submission;

/* Puts the submission into the transaction of this turn, beginning it if needed. Takes the
 * submission. */
void commit_put(struct queue *queue, struct submission *submission);

/* Seals the body's file and has the second thread flush it, then continues as commit_put. False:
 * the submission is still the caller's. */
bool commit_put_long(struct queue *queue, struct submission *submission, struct error *error);

#endif
