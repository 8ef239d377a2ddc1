/*
 * A message on its way in, from the first record about it until it is answered. The intake's only.
 *
 * It is in its session's table until QUEUE_SUBMIT, then in one of the three lists of struct intake.
 * If its session dies after that, nobody is answered, but the message goes its way all the same.
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
    struct submission *requests; /* by request, before QUEUE_SUBMIT */
    struct lent_ids lent;
    bool wants_ids;
    bool lost_records; /* for lack of memory: counts that do not add up are not its fault */
};

struct wanted_recipient {
    UT_hash_handle hh; /* by account, or by foreign address: duplicates count once */
    struct recipient_texts texts;
    struct slice destination; /* for a foreign address, from QUEUE_SUBMIT on */
};

struct submission {
    UT_hash_handle hh;
    struct submission *prev, *next;
    struct intake_peer *peer; /* NULL: it is gone */
    uint64_t request;
    struct wanted_recipient *wanted;
    uint32_t records;   /* QUEUE_RECIPIENT records so far */
    bool no_room;       /* there was no memory for all of them */
    struct arena arena; /* what the recipients, and for a long body the rest, point into */
    struct spool_file file;

    /* From QUEUE_SUBMIT on. */
    uint64_t id;
    struct stored_message message; /* prefix and body, and the cuts: until they are put */
    const struct filter_cut *cuts;
    int64_t hold_until;            /* RFC 4865; 0: not at all */
    struct queued_message *queued; /* in memory, but not scheduled */
    bool has_copy;                 /* its last recipient is a copy for who submitted it */
    bool flushed;                  /* by the second thread */
    struct error error;
};

/* ---- by the number of a request ---- */

/* NULL: there was no record about it. */
struct submission *submission_find(const struct intake_peer *peer, uint64_t request);

/* The submission that the packet is about; a new one if the packet is the first. NULL:
 * ERROR_TEMPORARY for lack of memory, ERROR_PEER if the session has too many. */
struct submission *submission_of(struct intake_peer *peer, const struct ipc_packet *packet,
                                 struct error *error);

/* Takes it out of its session's table. */
void submission_forget_request(struct intake_peer *peer, struct submission *submission);

/* ---- what it holds ---- */

/* Copies the texts. Without memory for them the whole submission is refused later: no_room. */
void submission_take_recipient(struct submission *submission, const struct recipient_texts *texts);

/* Takes what QUEUE_SUBMIT says. Prefix, body and cuts keep borrowing from the record until the rows
 * are written, or until submission_keep_content() has copied them because the body has to be
 * flushed first. False: ERROR_TEMPORARY. */
bool submission_take_over(struct submission *submission, const struct submitted *submitted,
                          struct error *error);
bool submission_keep_content(struct submission *submission, struct error *error);

/* Forgets what it borrows, before the record goes. */
void submission_forget_content(struct submission *submission);

/* ---- its end ---- */

/* It is in no list or table any more. */
void submission_free(struct queue *queue, struct submission *submission);

/* The same, and tells the log and, if it lives, the session. */
void submission_refuse(struct queue *queue, struct submission *submission,
                       const struct error *error);

/* Answers QUEUE_REFUSED to a request that may have no submission. */
void refuse_request(struct role_peer *peer, uint64_t request, const struct error *error);

#endif
