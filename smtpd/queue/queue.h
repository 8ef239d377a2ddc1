/*
 * The role smtpd-queue: it owns the queue on disk, takes messages from the sessions and has them
 * delivered. This file holds it together; the work is in
 *
 *   intake     sessions: ids, recipients, bodies, and one commit for all messages of a turn
 *   targets    auth and the master: where an account's mail goes, who is behind an address
 *   dispatch   whose turn it is: dispatch_deliver into Maildirs, dispatch_relay to other hosts
 *   settle     outcomes into the store: dropped, tried again, held; report: who is told of them
 *   deadlines  messages that wait for long
 *   admin      what `staffetta queue` asks for; backup: a copy of store and spool meanwhile
 *   queued     the messages in memory; schedule: what is due when, and in which order
 *   store, spool, record, removal, bounce, heap: what these rest on
 *
 * Every turn of the loop that had something to do ends with end_turn() in queue.c, in this order:
 * commit what came in, write outcomes, lend ids, start what is due, remove what is of no use.
 */
#ifndef SMTPD_QUEUE_QUEUE_H
#define SMTPD_QUEUE_QUEUE_H

#include "common/disk/flusher.h"
#include "common/role/role.h"
#include "common/role/turn.h"
#include "smtpd/queue/admin/admin.h"
#include "smtpd/queue/dispatch/dispatch.h"
#include "smtpd/queue/dispatch/dispatch_deliver.h"
#include "smtpd/queue/dispatch/dispatch_relay.h"
#include "smtpd/queue/dispatch/targets.h"
#include "smtpd/queue/intake/intake.h"
#include "smtpd/queue/outcome/report.h"
#include "smtpd/queue/outcome/report_body.h"
#include "smtpd/queue/outcome/settle.h"
#include "smtpd/queue/store/backup.h"
#include "smtpd/queue/store/removal.h"
#include "smtpd/queue/store/spool.h"
#include "smtpd/queue/store/store.h"
#include "smtpd/queue/tls/tls_reports.h"
#include "smtpd/queue/waiting/deadlines.h"
#include "smtpd/queue/waiting/queued.h"

struct queue_deferred {
    struct deferred deferred; /* first: its handler gets it */
    struct queue *queue;
};

struct queue {
    struct role *role;
    struct turn turn;
    struct queue_deferred end_of_turn;
    struct queue_deferred again; /* the end of a turn found more to do */
    bool is_ending_turn;
    ev_timer due;    /* the next attempt */
    ev_timer second; /* checkpoints, free space, what waits for better times */

    struct queue_store *store;
    struct spool spool;
    struct flusher *flusher;
    struct flusher_job checkpoint;
    struct flusher_job next_log;
    struct flusher_job compaction;
    uint64_t empty_since_ms; /* nearly; 0: compacted since */

    struct queued queued;
    struct intake intake;
    struct targets targets;
    struct dispatch dispatch;
    struct dispatch_deliver deliver;
    struct dispatch_relay relay;
    struct settle settle;
    struct reports reports;
    struct admin admin;
    struct backup backup;
    struct removal removal;
    struct tls_reports tls_reports;

    uint64_t own_id, own_ids; /* lent to ourselves, for reports: the next, how many are left */
    uint64_t last_request;
    uint64_t stop_by_ms; /* 0: not asked to stop */
    bool enough_space;
};

/* What smtpd-queue is, for role_run(); its state is a zeroed struct queue. */
extern const struct role_spec queue_role;

static inline struct queue *queue_of(const struct role_peer *peer)
{
    return peer->role->state;
}

/* The end of this turn has work to do. */
void queue_wake(struct queue *queue);

/* After a failure of the store: returns where it may go on (nothing was done; the disk is full),
 * and ends the process where it may not. A failed flush is never tried again: what is on disk is
 * found out by the next start. */
void queue_check_store(struct queue *queue, const struct error *error);

/* An id for a message of our own. False: none left. Refilled, there are enough for a transaction,
 * even one that returns the largest message to its sender; not within a transaction. */
bool queue_take_own_id(struct queue *queue, uint64_t *id);
bool queue_refill_own_ids(struct queue *queue, struct error *error);

/* A number for the next question to auth, the master, deliver or relay. */
uint64_t queue_next_request(struct queue *queue);

/* Steady time, of the schedule, in milliseconds; the wall clock, of records, in seconds. */
uint64_t queue_now_ms(void);
int64_t queue_wall_now(void);

#endif
