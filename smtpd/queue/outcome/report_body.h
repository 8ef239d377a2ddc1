/*
 * A long message that is returned whole with the report of its failure (RET=FULL, RFC 3461 4.3).
 * The report's body is a file of its own in the spool: the message as it would have been sent, and
 * the end of the multipart; the text before it is the report's prefix. The second thread makes the
 * copy, so that nothing else waits; the recipients that failed are not settled until it is there.
 */
#ifndef SMTPD_QUEUE_OUTCOME_REPORT_BODY_H
#define SMTPD_QUEUE_OUTCOME_REPORT_BODY_H

#include "common/buffer.h"
#include "common/disk/flusher.h"
#include "common/hash_table.h"
#include "smtpd/queue/outcome/bounce.h"
#include "smtpd/queue/store/spool.h"

struct queue;
struct queued_message;
struct queued_recipient;

enum report_body_state { REPORT_BODY_COPIED, REPORT_BODY_READY, REPORT_BODY_USED };

struct report_body {
    UT_hash_handle hh;
    struct queue *queue;
    struct queued_recipient *waiting; /* for the copy */
    uint64_t id;                      /* of the message it is about */
    uint64_t report_id;
    char boundary[BOUNCE_BOUNDARY_MAX];
    enum report_body_state state; /* COPIED: being copied */
    struct flusher_job job;
    struct spool_file file;
    int write_fd, body_fd;
    struct buffer prefix; /* of the original */
    struct buffer cuts;   /* struct filter_cut */
    uint64_t octets;      /* of the file */
};

/* Takes the recipients that have to wait for a copy out of message->settling, and begins the copy.
 * If it cannot be begun they stay: the report will have the header alone. */
void report_body_keep_back(struct queue *queue, struct queued_message *message);

/* The finished copy for a report about that message, not used yet. NULL: none. */
struct report_body *report_body_ready(const struct queue *queue, uint64_t id);

/* The transaction that used the copy, or did without it, was committed; or it failed. */
void report_body_settled(struct queue *queue, uint64_t id);
void report_body_undone(struct queue *queue, uint64_t id);

#endif
