/*
 * The part of an ESEARCH (RFC 7377) that concerns other accounts: all mailboxes of one owner in one
 * command on a visit, one owner after another, under the client's own tag, which the responses
 * contain. Only responses to that command about a mailbox of that owner are passed on.
 * imapd-mailbox; called only by commands/multisearch.c.
 */
#ifndef IMAPD_SHARED_SHARED_SEARCH_H
#define IMAPD_SHARED_SHARED_SEARCH_H

#include "imapd/shared/exchange.h"
#include "imapd/syntax/mailbox_filter.h"

struct shared_search {
    struct session *session;
    struct slice program; /* "RETURN (ALL) SUBJECT x", as the client wrote it; the caller's */
    struct buffer names;  /* mailboxes to search: our names, UTF-8, each followed by LF */
    struct buffer owners; /* owners already asked, each followed by LF */
    struct exchange exchange;
    bool is_asking;
};

void shared_search_init(struct shared_search *search, struct session *session,
                        struct slice program);
void shared_search_clear(struct shared_search *search); /* may run twice, and on a zeroed struct */

/* Whether the filter needs the list of shared mailboxes (imapd/shared/shared_names.h). */
bool shared_search_wants_names(const struct mailbox_filter *filter);

/* Adds the mailboxes that the filter selects. */
void shared_search_add(struct shared_search *search, const struct mailbox_filter *filter,
                       struct slice shared);
/* Adds the selected mailbox of another account. */
void shared_search_add_selected(struct shared_search *search);

/* SHARED_SEARCH_WAITS: the session's step waits, then calls this again. FAILED: an owner's process
 * cannot be asked, or has refused; an empty result would be wrong. Mailboxes that do not exist, or
 * that the client may not read, are skipped, as in the client's own account (2.2). */
enum shared_search_result { SHARED_SEARCH_DONE, SHARED_SEARCH_WAITS, SHARED_SEARCH_FAILED };
enum shared_search_result shared_search_step(struct shared_search *search);

#endif
