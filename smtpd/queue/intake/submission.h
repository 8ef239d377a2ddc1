/*
 * An incoming message, from the first record about it until it is answered. Used only by the
 * intake.
 *
 * It is in its session's table until QUEUE_SUBMIT, then in one of the three lists of struct intake.
 * If its session dies after that, no answer is sent, but the message is still accepted.
 */
#ifndef SMTPD_QUEUE_INTAKE_SUBMISSION_H
#define SMTPD_QUEUE_INTAKE_SUBMISSION_H

#include "common/arena.h"
#include "common/hash_table.h"
#include "common/role/role.h"
#include "smtpd/queue/intake/lent_ids.h"
#include "smtpd/queue/intake/submit_record.h"
#include "smtpd/queue/store/spool.h"
#include "smtpd/queue/waiting/queued.h"

struct queue;

/* A session process. */
struct intake_peer {
    struct queue *queue;
    struct role_peer *role_peer;
    struct submission *requests; /* keyed by `request`, before QUEUE_SUBMIT */
    struct lent_ids lent;
    bool wants_ids;
    bool lost_records; /* lost for lack of memory: then wrong counts are not its fault */
};

struct wanted_recipient {
    UT_hash_handle hh; /* keyed by account or foreign address: duplicates count once */
    struct recipient_texts texts;
    struct slice destination; /* for a foreign address, from QUEUE_SUBMIT on */
};

struct submission {
    UT_hash_handle hh;
    struct submission *prev, *next;
    struct intake_peer *peer; /* NULL: the session process is gone */
    uint64_t request;
    struct wanted_recipient *wanted;
    uint32_t records;   /* QUEUE_RECIPIENT records so far */
    bool no_room;       /* there was no memory for all records */
    struct arena arena; /* holds the texts of the recipients and, for a long body, of the rest */
    struct spool_file file;

    /* From QUEUE_SUBMIT on. */
    uint64_t id;
    struct stored_message message; /* prefix, body and cuts are set until the rows are written */
    const struct filter_cut *cuts;
    int64_t hold_until;            /* RFC 4865; 0: not held */
    struct queued_message *queued; /* in memory, but not scheduled */
    bool has_copy;                 /* its last recipient is a copy for the submitter */
    bool flushed;                  /* the second thread has flushed the body */
    struct error error;
};

/* ---- by the number of a request ---- */

/* NULL: there was no record about the request. */
struct submission *submission_find(const struct intake_peer *peer, uint64_t request);

/* The submission that the packet is about; a new one for its first packet. NULL: ERROR_TEMPORARY
 * for lack of memory, ERROR_PEER if the session has too many. */
struct submission *submission_of(struct intake_peer *peer, const struct ipc_packet *packet,
                                 struct error *error);

/* Removes the submission from its session's table. */
void submission_forget_request(struct intake_peer *peer, struct submission *submission);

/* ---- what it holds ---- */

/* Copies the texts. Without memory, no_room is set and the whole submission is refused later. */
void submission_take_recipient(struct submission *submission, const struct recipient_texts *texts);

/* Takes the contents of QUEUE_SUBMIT. Prefix, body and cuts borrow from the record until the rows
 * are written, or until submission_keep_content() copies them because the body must be flushed
 * first. False: ERROR_TEMPORARY. */
bool submission_take_over(struct submission *submission, const struct submitted *submitted,
                          struct error *error);
bool submission_keep_content(struct submission *submission, struct error *error);

/* Drops everything borrowed, before the record is freed. */
void submission_forget_content(struct submission *submission);

/* ---- its end ---- */

/* The submission must no longer be in any list or table. */
void submission_free(struct queue *queue, struct submission *submission);

/* Frees the submission, logs the refusal and tells the session if it is alive. */
void submission_refuse(struct queue *queue, struct submission *submission,
                       const struct error *error);

/* Sends QUEUE_REFUSED for a request, which may have no submission. */
void refuse_request(struct role_peer *peer, uint64_t request, const struct error *error);

#endif
