/*
 * Accepts messages from the sessions (queue_protocol.h).
 *
 *   QUEUE_RECIPIENT*  gathered under the request, QUEUE_SPOOL lends a file
 *   QUEUE_SUBMIT      who sends is proven (claim.h), the message entered (entry.h): with a short
 *                     body into the transaction of this turn; a long one's file is sealed, linked
 *                     and flushed by the second thread first (commit.h)
 *   intake_commit     one flush for all; then QUEUE_COMMITTED to each, and they are scheduled
 *
 * A message that cannot be taken is refused with QUEUE_REFUSED, and nothing of it remains. A
 * protocol violation ends the session process: an id it was not lent, lengths that do not add up,
 * an account without its token, a foreign address without a permit, a body that is still writable.
 */
#ifndef SMTPD_QUEUE_INTAKE_INTAKE_H
#define SMTPD_QUEUE_INTAKE_INTAKE_H

#include "common/disk/flusher.h"
#include "common/role/role.h"

struct queue;
struct submission;

struct intake {
    struct submission *open;     /* in the open transaction */
    struct submission *to_flush; /* sealed long bodies for the second thread's next round */
    struct submission *flushing; /* being flushed by the second thread */
    struct flusher_job flush;
    bool in_transaction;
};

/* What a session process may send. Messages from the submission role name an account. */
enum { INTAKE_RULES = 5 };
extern const struct ipc_rule intake_rules[INTAKE_RULES];

void intake_init(struct queue *queue);
bool intake_peer_up(struct queue *queue, struct role_peer *peer);
void intake_peer_down(struct queue *queue, struct role_peer *peer);

/* Commits the transaction of this turn; called at its end. */
void intake_commit(struct queue *queue);
void intake_lend_ids(struct queue *queue); /* to sessions that asked; not in a transaction */

/* Tells all sessions whether mail may be taken. */
void intake_tell_space(struct queue *queue);

/* Refuses everything uncommitted; called when the process is about to end. */
void intake_refuse_all(struct queue *queue);

/* Whether any submission is on its way into the store. */
bool intake_is_busy(const struct queue *queue);

#endif
