/*
 * The state of one COPY or MOVE, shared by the files of carry.h only. The session's step runs the
 * current phase whenever part of an answer has arrived; handlers of a visit only change the struct.
 *
 *     carry.c           the command and its arguments, rights to the source, the tagged response
 *     carry_messages.c  lists the messages, copies each to the target, reads the target's answer
 *     carry_removal.c   MOVE: removes the copied messages from the source
 */
#ifndef IMAPD_SHARED_CARRY_INTERNAL_H
#define IMAPD_SHARED_CARRY_INTERNAL_H

#include "imapd/shared/exchange.h"

struct carry {
    bool move;
    bool is_own; /* the source is the client's own mailbox: its visit ends with the command */
    visit_hears *heard_before; /* if not is_own: the visit's previous handler */
    struct buffer source;      /* mailbox name, as sent */
    struct buffer target;      /* mailbox name, as sent */
    void (*phase)(struct session *session, struct carry *carry);
    struct exchange from, to;
    struct sequence_set wanted; /* the client's set, of sequence numbers or UIDs */
    struct slice wanted_text;   /* the same as the client wrote it */
    struct sequence_set listed; /* UIDs of the messages */
    struct sequence_set done;   /* UIDs already in the target */
    size_t range;               /* current range of `listed` */
    uint32_t uid;               /* next UID of that range; 0: its first */
    bool may_remove;            /* MYRIGHTS allows it */
    bool is_asked;              /* the message `uid` was requested */
    bool in_rest;               /* its octets, or what follows them, are arriving */
    bool is_taken;              /* the message was found */
    bool awaits_plus;
    bool is_malformed; /* the source has sent a malformed answer */
    uint64_t octets;
    struct buffer code; /* "COPYUID ..." */
    size_t removed;     /* ranges of `removing` already removed */
    struct sequence_set removing;
    bool is_marked; /* \Deleted is set; UID EXPUNGE is next */
};

static inline struct carry *carry_of(const struct visit *visit)
{
    return visit->session->work;
}

/* ---- carry.c: for the other two ---- */

/* Ends the command: with NO, in the words of the process that refused; with OK. */
void carry_fail(struct session *session, const struct carry *carry);
void carry_succeed(struct session *session, struct carry *carry);

/* For handlers of the source's answer. True: the selected mailbox is lost, and the session ends. */
bool carry_is_over(struct visit *visit, enum answer_part part);
/* Passes a line about the selected mailbox on to the client. */
void carry_pass_line(struct session *session, struct exchange *from);
/* Handler for an answer that consists only of such lines. */
visit_hears carry_hear_news;

/* ---- carry_messages.c: for carry.c ---- */

/* Asks for the messages' UIDs, then continues with the next phase. */
void carry_begin_listing(struct session *session, struct carry *carry);
/* Begins to copy, once `listed` is known. */
void carry_begin_fetching(struct session *session, struct carry *carry);
/* Handler for the target, also while no command was sent to it. */
visit_hears carry_hear_target;

/* ---- carry_removal.c: for carry_messages.c ---- */

/* Removes the messages from the source, once the target has them all on disk. */
void carry_begin_removing(struct session *session, struct carry *carry);

#endif
