/*
 * What the administrator asks of the queue while it runs (`staffetta queue`,
 * common/role/control.h):
 *
 *   queue [--json] [SELECTION]        what waits, oldest first
 *   queue show ID                     all that is known of one message
 *   queue retry|hold|release|remove|bounce SELECTION
 *
 * A selection is ids, or --all, --held, --destination D, --sender S, --error TEXT, --older TIME,
 * which all must fit. A command looks at a bounded number of messages a turn, so that mail goes on
 * meanwhile; what it changes goes the way of every outcome (settle.h) and is on disk before the
 * answer.
 */
#ifndef SMTPD_QUEUE_ADMIN_ADMIN_H
#define SMTPD_QUEUE_ADMIN_ADMIN_H

#include "common/role/ipc.h"

struct queue;
struct admin_job;

struct admin {
    struct admin_job *jobs; /* oldest first */
};

/* ROLE_CONTROL; owner: struct role. */
bool admin_on_control(void *owner, struct ipc_packet *packet, struct error *error);

/* A part of the first job; false: there is none. At the end of the turn, between two
 * settle_run(). */
bool admin_run(struct queue *queue);

/* Answers those whose changes are on disk; after settle_run(). */
void admin_answer(struct queue *queue);

#endif
