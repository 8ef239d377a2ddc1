/*
 * Returns a long message whole with the report of its failure (RET=FULL, RFC 3461 4.3). The
 * report's body is its own file in the spool: the message as it would have been sent, and the end
 * of the multipart; the text before it is the report's prefix. The second thread makes the copy, so
 * that nothing else waits; the failed recipients are settled only once it is complete.
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
    struct queued_recipient *waiting; /* recipients that wait for the copy */
    uint64_t id;                      /* of the message reported on */
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

/* Removes the recipients that must wait for a copy from message->settling and begins the copy. If
 * it cannot begin they stay, and the report will contain only the header. */
void report_body_keep_back(struct queue *queue, struct queued_message *message);

/* The finished, unused copy for a report about that message. NULL: none. */
struct report_body *report_body_ready(const struct queue *queue, uint64_t id);

/* Called after the transaction that used the copy, or did without it, was committed (settled) or
 * failed (undone). */
void report_body_settled(struct queue *queue, uint64_t id);
void report_body_undone(struct queue *queue, uint64_t id);

#endif
