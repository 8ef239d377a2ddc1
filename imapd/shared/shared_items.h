/*
 * What LIST returns of another account's mailbox beside its name (RFC 5819, RFC 9590): its STATUS
 * and its annotations, which the owner's process is asked for, one mailbox after the other, by a
 * visit for all of one owner. Told is what is an answer to the question; what is not allowed,
 * cannot be asked, or does not come in time is left out, as RFC 5819 2 and RFC 9590 3 have it.
 * imapd-mailbox; commands/list.c alone calls it.
 */
#ifndef IMAPD_SHARED_SHARED_ITEMS_H
#define IMAPD_SHARED_SHARED_ITEMS_H

#include "imapd/shared/exchange.h"

struct shared_items {
    struct session *session;
    struct slice status;   /* "(MESSAGES UNSEEN)", as the client said it; empty: not wanted */
    struct slice metadata; /* "(DEPTH 1) (/shared/comment)"; the same */
    struct exchange exchange;
    struct slice name;        /* that is asked for, UTF-8; the caller's */
    bool is_asking;           /* until shared_items_step() says false */
    bool wants_status;        /* is asked next */
    unsigned expected;        /* enum told_kind: of the question that was asked; 0: it is told */
    struct buffer unanswered; /* the owner who did not answer, and is asked no more */
    uint64_t until_ms;        /* turn_now_ms; 0: nothing was asked yet */
};

void shared_items_init(struct shared_items *items, struct session *session, struct slice status,
                       struct slice metadata);
void shared_items_clear(struct shared_items *items); /* may run twice, and on a zeroed struct */

/* Of that mailbox, to which the client has these rights (enum acl_right). True: the session's step
 * waits; each time it runs it calls the next function. */
bool shared_items_ask(struct shared_items *items, struct slice name, unsigned rights,
                      session_step *then);
/* True: it waits again. False: that mailbox is done, and what there is to tell was written. */
bool shared_items_step(struct shared_items *items, session_step *then);

#endif
