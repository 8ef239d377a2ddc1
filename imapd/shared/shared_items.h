/*
 * STATUS and annotations that LIST returns for another account's mailbox (RFC 5819, RFC 9590). The
 * owner's process is asked for one mailbox after another, in one visit for all of one owner. Only
 * answers to the question are passed on; what is not allowed, cannot be asked, or is late is left
 * out (RFC 5819 2, RFC 9590 3). imapd-mailbox; called only by commands/list.c.
 */
#ifndef IMAPD_SHARED_SHARED_ITEMS_H
#define IMAPD_SHARED_SHARED_ITEMS_H

#include "imapd/shared/exchange.h"

struct shared_items {
    struct session *session;
    struct slice status;   /* "(MESSAGES UNSEEN)", as the client wrote it; empty: not wanted */
    struct slice metadata; /* "(DEPTH 1) (/shared/comment)", likewise; empty: not wanted */
    struct exchange exchange;
    struct slice name;        /* the current mailbox, UTF-8; the caller's */
    bool is_asking;           /* until shared_items_step() returns false */
    bool wants_status;        /* STATUS is the next question */
    unsigned expected;        /* enum told_kind of the answer expected; 0: it has come */
    struct buffer unanswered; /* an owner whose process did not answer, and is not asked again */
    uint64_t until_ms;        /* deadline, turn_now_ms; 0: nothing was asked yet */
};

void shared_items_init(struct shared_items *items, struct session *session, struct slice status,
                       struct slice metadata);
void shared_items_clear(struct shared_items *items); /* may run twice, and on a zeroed struct */

/* Asks for a mailbox to which the client has these rights (enum acl_right). True: the session's
 * step waits; each time it runs, it calls shared_items_step(). */
bool shared_items_ask(struct shared_items *items, struct slice name, unsigned rights,
                      session_step *then);
/* True: it waits again. False: the mailbox is done, and its responses were written. */
bool shared_items_step(struct shared_items *items, session_step *then);

#endif
