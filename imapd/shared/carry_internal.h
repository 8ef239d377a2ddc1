/*
 * What the files of carry.h share: one COPY or MOVE. Each phase is the step's, run whenever
 * something of it has come; what is heard on a visit only changes the struct. Nobody else includes
 * this.
 *
 *     carry.c           the command and its arguments, the source's rights, how it ends
 *     carry_messages.c  which messages, each from the source to the target, and the target's answer
 *     carry_removal.c   MOVE: what the target has goes from the source
 */
#ifndef IMAPD_SHARED_CARRY_INTERNAL_H
#define IMAPD_SHARED_CARRY_INTERNAL_H

#include "imapd/shared/exchange.h"

struct carry {
    bool move;
    bool is_own; /* the source is the client's own mailbox: its visit ends with the command */
    visit_hears *heard_before; /* else: what else is heard on it */
    struct buffer source;      /* names, as they are said */
    struct buffer target;
    void (*phase)(struct session *session, struct carry *carry);
    struct exchange from, to;
    struct sequence_set wanted; /* by the client, as numbers or UIDs; and as he wrote it */
    struct slice wanted_text;
    struct sequence_set listed; /* UIDs */
    struct sequence_set done;   /* those that the target has */
    size_t range;               /* of `listed`, and the next UID of it; 0: its first */
    uint32_t uid;
    bool may_remove; /* MYRIGHTS said so */
    bool is_asked;   /* for the message `uid` */
    bool in_rest;    /* its octets come, and what stands after them */
    bool is_taken;   /* it was there */
    bool awaits_plus;
    bool is_malformed; /* the source answers what is no message */
    uint64_t octets;
    struct buffer code; /* "COPYUID ..." */
    size_t removed;     /* ranges of `removing` */
    struct sequence_set removing;
    bool is_marked; /* those are \Deleted, and EXPUNGE is next */
};

static inline struct carry *carry_of(const struct visit *visit)
{
    return visit->session->work;
}

/* ---- carry.c: for the other two ---- */

/* The ends: NO, in the words of the process that refused; OK. */
void carry_fail(struct session *session, const struct carry *carry);
void carry_succeed(struct session *session, struct carry *carry);

/* For what hears the source. True: the mailbox that is selected is lost, and with it the session.
 */
bool carry_is_over(struct visit *visit, enum answer_part part);
/* The line that has come is news of the selected mailbox: the client's. */
void carry_pass_line(struct session *session, struct exchange *from);
/* Hears an answer that has no more than that. */
visit_hears carry_hear_news;

/* ---- carry_messages.c: for carry.c ---- */

/* Asks for the messages' UIDs, and goes on with what follows. */
void carry_begin_listing(struct session *session, struct carry *carry);
/* The UIDs, `listed`, are known. */
void carry_begin_fetching(struct session *session, struct carry *carry);
/* Hears the target; also while nothing was said to it. */
visit_hears carry_hear_target;

/* ---- carry_removal.c: for carry_messages.c ---- */

/* The target has them all, on disk. */
void carry_begin_removing(struct session *session, struct carry *carry);

#endif
