/*
 * Turns a submission into a message of the queue: first in memory (queued.h), because nothing may
 * fail after the commit, then as rows of the store (store.h). Used only by the intake.
 */
#ifndef SMTPD_QUEUE_INTAKE_ENTRY_H
#define SMTPD_QUEUE_INTAKE_ENTRY_H

#include "common/error.h"

struct queue;
struct submission;

/* Sets submission->queued, which is not scheduled before the commit. False: ERROR_TEMPORARY;
 * submission_refuse drops any partial state. */
bool entry_in_memory(struct queue *queue, struct submission *submission, struct error *error);

/* Writes the rows into the open transaction. False: the caller must abort it. */
bool entry_put_rows(struct queue *queue, struct submission *submission, struct error *error);

#endif
