/*
 * Parses a session's records and checks all that can be checked from the record alone. Pure;
 * results borrow from the record, whose variable part may have any alignment. The queue only.
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
    struct token permit; /* as received, unchecked */
    bool forwarded;
};

/* QUEUE_SUBMIT. Each text is one line; the cuts fit the body; the body is complete, or empty with
 * QUEUE_IN_SPOOL; an account is named if and only if QUEUE_SUBMITTED is set. */
struct submitted {
    struct stored_message message; /* its cuts are not set; use `cuts` below */
    struct filter_cut cuts[FILTER_CUTS_MAX];
    uint64_t id;
    uint32_t recipients; /* at least 1 */
    bool has_last;       /* the last recipient is in `last` */
    struct recipient_texts last;
    struct token token;
    int64_t deliver_by; /* not before 1970 */
    int64_t hold_until; /* not before 1970 */
};

/* Both fail with ERROR_PEER. The size of `record` has passed intake_rules, and its fixed part is
 * aligned. */
bool recipient_record_parse(struct slice record, struct recipient_texts *texts,
                            struct error *error);
bool submit_record_parse(struct slice record, struct submitted *submitted, struct error *error);

#endif
