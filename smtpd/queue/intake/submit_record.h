/*
 * A session's records as structs: everything that can be said of a record alone. Pure; results
 * borrow from the record, and nothing is assumed of how it is aligned after its fixed part. The
 * queue only.
 */
#ifndef SMTPD_QUEUE_INTAKE_SUBMIT_RECORD_H
#define SMTPD_QUEUE_INTAKE_SUBMIT_RECORD_H

#include "common/error.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/queue/store/record.h"

/* QUEUE_RECIPIENT */
struct recipient_texts {
    struct slice account; /* empty: a foreign address */
    struct slice address; /* not empty */
    struct slice orcpt;
    uint16_t notify;
    struct token permit; /* as it came: nobody has looked at it */
    bool forwarded;
};

/* QUEUE_SUBMIT. Texts are one line each; the cuts fit the body; the body is whole, or empty with
 * QUEUE_IN_SPOOL; an account is named if and only if QUEUE_SUBMITTED is set. */
struct submitted {
    struct stored_message message; /* its cuts are not set: these are */
    struct filter_cut cuts[FILTER_CUTS_MAX];
    uint64_t id;
    uint32_t recipients; /* at least 1 */
    bool has_last;       /* the last of them came along: */
    struct recipient_texts last;
    struct token token;
    int64_t deliver_by; /* not before 1970 */
    int64_t hold_until; /* likewise */
};

/* Both fail with ERROR_PEER. `record` is of a size that intake_rules let pass, and its fixed part
 * is aligned. */
bool recipient_record_parse(struct slice record, struct recipient_texts *texts,
                            struct error *error);
bool submit_record_parse(struct slice record, struct submitted *submitted, struct error *error);

#endif
