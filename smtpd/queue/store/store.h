/*
 * The queue on disk: one Berkeley DB environment with four trees.
 *
 *   messages.db    id                      -> struct stored_message: envelope, recipe, body (unless
 *                                             that is a file of the spool)
 *   recipients.db  id, number              -> struct stored_recipient: who, state, next attempt
 *   tls.db         day, how it was secured -> number of connections (tls_counts.h)
 *   state.db       "watermark"             -> ids below this number may have been given out
 *
 * A message exists as long as one of its recipients does; the last one and the message are removed
 * in one transaction. There is no second table by due time: queue_store_scan() reads the
 * recipients, which are small and in order, once at start. The queue's loop thread owns a store;
 * functions that say so may run in the second thread. Failures are those of common/disk/db.h.
 */
#ifndef SMTPD_QUEUE_STORE_STORE_H
#define SMTPD_QUEUE_STORE_STORE_H

#include "smtpd/queue/store/record.h"
#include "smtpd/tls_report/tls_session.h"

struct queue_store;

struct queue_store_options {
    const char *directory; /* "." after the chroot */
    unsigned place, epoch; /* parts of the ids to be given, see queue_id.h */

    /* Called with a line for the log, from Berkeley DB or about an unreadable record. Any
     * thread. */
    void (*on_message)(void *context, const char *message);
    void *context;
};

/* A file of that name in the directory: the queue was restored from a backup. Opening removes
 * it. */
#define QUEUE_STORE_RESTORED "restored"

/* Opens and recovers the store; the recovered content is flushed before it returns, however the
 * last owner ended. ERROR_PERMANENT: corrupt; see queue_store_set_aside(). */
bool queue_store_open(const struct queue_store_options *options, struct queue_store **store,
                      struct error *error);
void queue_store_close(struct queue_store *store); /* NULL is fine */

/* False: close, and end the process; see db_usable(). Any thread. */
bool queue_store_usable(const struct queue_store *store);

/* Moves all trees and logs of a store that is not open into a new directory `name`. */
bool queue_store_set_aside(const char *directory, const char *name, struct error *error);

/* Gives the ids first .. first + count - 1, each of which is given only once, for ever: despite
 * crashes, clocks set back, and loss of the environment, since a new one begins at a number made
 * from the time. `count`: at most QUEUE_STORE_LEND_MAX. Not within a transaction. */
enum { QUEUE_STORE_LEND_MAX = 65536 };
bool queue_store_lend_ids(struct queue_store *store, uint32_t count, uint64_t *first,
                          struct error *error);

/* All writes take place between begin and commit; commit returns when they are on disk. After any
 * failure call abort, which undoes all. A failed commit has aborted already. */
bool queue_store_begin(struct queue_store *store, struct error *error);
bool queue_store_commit(struct queue_store *store, struct error *error);
void queue_store_abort(struct queue_store *store);

bool queue_store_put_message(struct queue_store *store, uint64_t id,
                             const struct stored_message *message, const struct filter_cut *cuts,
                             struct error *error);
bool queue_store_put_recipient(struct queue_store *store, uint64_t id, uint32_t number,
                               const struct stored_recipient *recipient, struct error *error);
bool queue_store_drop_message(struct queue_store *store, uint64_t id, struct error *error);
bool queue_store_drop_recipient(struct queue_store *store, uint64_t id, uint32_t number,
                                struct error *error);

/* *record owns the octets that the struct borrows. ERROR_NOT_FOUND: no such record. ERROR_EXISTS:
 * it exists, but cannot be parsed. */
bool queue_store_get_message(struct queue_store *store, uint64_t id, struct buffer *record,
                             struct stored_message *message, struct error *error);
bool queue_store_get_recipient(struct queue_store *store, uint64_t id, uint32_t number,
                               struct buffer *record, struct stored_recipient *recipient,
                               struct error *error);

/* Calls `visit` for each recipient in the order of ids and numbers; it may stop by returning false
 * with *error filled. A record that cannot be parsed is skipped and reported to on_message. */
typedef bool queue_store_visit(void *context, uint64_t id, uint32_t number,
                               const struct stored_recipient *recipient, struct error *error);
bool queue_store_scan(struct queue_store *store, queue_store_visit *visit, void *context,
                      struct error *error);

/* Counters for TLS reports (tls_counts.h). A key is the day, four octets, and a run of
 * smtpd/tls_report/tls_session.h. Add and drop need a transaction; drop removes the counters of a
 * day and domain. */
enum { QUEUE_STORE_TLS_KEY_MAX = 4 + TLS_SESSION_MAX };
struct slice queue_store_tls_key(uint8_t octets[QUEUE_STORE_TLS_KEY_MAX], uint32_t day,
                                 struct slice run);
bool queue_store_add_tls(struct queue_store *store, struct slice key, uint64_t count,
                         struct error *error);
bool queue_store_drop_tls(struct queue_store *store, uint32_t day, struct slice domain,
                          struct error *error);

/* Visits the counters in the order of days and runs, beginning at `from`, until `visit` returns
 * false. True also if there are none. */
typedef bool queue_store_visit_tls(void *context, uint32_t day, struct slice run, uint64_t count);
bool queue_store_scan_tls(struct queue_store *store, uint32_t day, struct slice from,
                          queue_store_visit_tls *visit, void *context, struct error *error);

/* Octets of log that a recovery would have to read. */
uint64_t queue_store_log_octets(const struct queue_store *store);

/* Whether queue_store_prepare_log() has work: a prepared log file makes commits faster. */
bool queue_store_wants_log(const struct queue_store *store);

/* These run in the second thread. Compaction is for a queue that is (nearly) empty. */
bool queue_store_prepare_log(struct queue_store *store, struct error *error);
bool queue_store_checkpoint(struct queue_store *store, bool force, struct error *error);
bool queue_store_compact(struct queue_store *store, struct error *error);

#endif
