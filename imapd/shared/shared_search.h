/*
 * The part of an ESEARCH (RFC 7377) that other accounts' processes do: of each owner's mailboxes in
 * one command on a visit, one owner after the other, under the client's own tag, which the
 * responses bear. Told is what is a response to that, of a mailbox of that owner. imapd-mailbox;
 * commands/multisearch.c alone calls it.
 */
#ifndef IMAPD_SHARED_SHARED_SEARCH_H
#define IMAPD_SHARED_SHARED_SEARCH_H

#include "imapd/shared/exchange.h"
#include "imapd/syntax/mailbox_filter.h"

struct shared_search {
    struct session *session;
    struct slice program; /* "RETURN (ALL) SUBJECT x", as the client said it; the caller's */
    struct buffer names;  /* that are searched: ours, UTF-8, each with a LF after it */
    struct buffer owners; /* who were asked, the same */
    struct exchange exchange;
    bool is_asking;
};

void shared_search_init(struct shared_search *search, struct session *session,
                        struct slice program);
void shared_search_clear(struct shared_search *search); /* may run twice, and on a zeroed struct */

/* What the filter means is looked for among what others share: imapd/shared/shared_names.h. */
bool shared_search_wants_names(const struct mailbox_filter *filter);

/* Adds what the filter means. */
void shared_search_add(struct shared_search *search, const struct mailbox_filter *filter,
                       struct slice shared);
/* Adds the mailbox that is selected there. */
void shared_search_add_selected(struct shared_search *search);

/* SHARED_SEARCH_WAITS: the session's step waits, and is to call it again. FAILED: somebody cannot
 * be asked now, or has refused; nothing found there would be a wrong answer. Mailboxes that are not
 * there, or that the client may not read, are passed over as at home (2.2). */
enum shared_search_result { SHARED_SEARCH_DONE, SHARED_SEARCH_WAITS, SHARED_SEARCH_FAILED };
enum shared_search_result shared_search_step(struct shared_search *search);

#endif
