/*
 * The role smtpd-queue: it owns the queue on disk, takes messages from the sessions and has them
 * delivered. struct queue holds its parts together:
 *
 *   intake/    what sessions submit: ids, recipients, bodies, one commit for all messages of a turn
 *   waiting/   queued: the messages in memory; schedule: what is due when, and in which order;
 *              deadlines: messages that have waited for long
 *   dispatch/  targets: finds an account's deliver process, resolves addresses; dispatch: whose
 *              turn it is; dispatch_deliver: into Maildirs; dispatch_relay: to other hosts
 *   outcome/   settle: outcomes into the store (done, to be tried again, held); report: delivery
 *              status notifications about them
 *   store/     store, record: the database; spool: the files of long bodies; removal, backup
 *   admin/     what `staffetta queue` asks for
 *   tls/       TLS reports
 *
 * Every turn of the loop that had something to do ends with end_turn() in queue.c, in this order:
 * commit new messages, write outcomes, lend ids, start due attempts, remove unneeded files.
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
    struct deferred deferred; /* first, so that its handler can cast */
    struct queue *queue;
};

struct queue {
    struct role *role;
    struct turn turn;
    struct queue_deferred end_of_turn;
    struct queue_deferred again; /* for the next turn: the end of this one left work undone */
    bool is_ending_turn;
    ev_timer due;    /* the next attempt or deadline */
    ev_timer second; /* checkpoints, free space, retries of what failed locally */

    struct queue_store *store;
    struct spool spool;
    struct flusher *flusher;
    struct flusher_job checkpoint;
    struct flusher_job next_log;
    struct flusher_job compaction;
    uint64_t empty_since_ms; /* when the queue became nearly empty; 0: not, or compacted since */

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

    uint64_t own_id, own_ids; /* ids for our own reports: the next one, and the number left */
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

/* Schedules the work of the end of this turn. */
void queue_wake(struct queue *queue);

/* After a failure of the store: returns if the store is still usable (nothing was changed, as on a
 * full disk), else ends the process. A failed flush is never repeated: the next start finds out
 * what is on disk. */
void queue_check_store(struct queue *queue, const struct error *error);

/* Takes an id for a message of our own. False: none is left. queue_refill_own_ids(), which must not
 * be called within a transaction, provides enough for any transaction, even one that returns the
 * largest message to its sender. */
bool queue_take_own_id(struct queue *queue, uint64_t *id);
bool queue_refill_own_ids(struct queue *queue, struct error *error);

/* A new request number for a question to auth, the master, deliver or relay. */
uint64_t queue_next_request(struct queue *queue);

/* Steady time for the schedule, in milliseconds; wall-clock time for records, in seconds. */
uint64_t queue_now_ms(void);
int64_t queue_wall_now(void);

#endif
