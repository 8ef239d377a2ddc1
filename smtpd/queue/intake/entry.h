/*
 * A submission becomes a message of the queue: in memory first (queued.h), for afterwards nothing
 * may fail, then as rows of the store (store.h). The intake's only.
 */
#ifndef SMTPD_QUEUE_INTAKE_ENTRY_H
#define SMTPD_QUEUE_INTAKE_ENTRY_H

#include "common/error.h"

struct queue;
struct submission;

/* Sets submission->queued, which nobody schedules before the commit. False: ERROR_TEMPORARY, and
 * submission_refuse drops what there is of it. */
bool entry_in_memory(struct queue *queue, struct submission *submission, struct error *error);

/* Into the open transaction. False: it has to be aborted. */
bool entry_put_rows(struct queue *queue, struct submission *submission, struct error *error);

#endif
