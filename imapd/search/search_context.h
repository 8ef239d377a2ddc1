/*
 * Searches whose result a client wants to be kept up to date on (CONTEXT=SEARCH, RFC 5267 4.3;
 * RFC 5465 7). Each remembers the UIDs that it found; what has changed since is searched again, by
 * MODSEQ, in slices. imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_CONTEXT_H
#define IMAPD_SEARCH_SEARCH_CONTEXT_H

#include "imapd/search/search_key.h"
#include "imapd/search/search_result.h"

enum { SEARCH_CONTEXTS_MAX = 8 }; /* of one session */

struct search_context;
struct session;

/* What it was asked: the program as it came, and "(UID FLAGS)", what FETCH is to say of new
 * messages that match, which may be empty. */
struct search_context_request {
    struct slice tag;
    bool by_uid;
    struct slice program;
    struct slice data;
};

/* There is one of that tag. */
bool search_context_has(const struct session *session, struct slice tag);

/* False: there are as many as may be, or no memory. */
bool search_context_add(struct session *session, const struct search_context_request *request,
                        const struct search_result *found);

/* False: there is none of that tag. */
bool search_context_cancel(struct session *session, struct slice tag);

/* All of them: the mailbox is no longer selected. */
void search_contexts_clear(struct session *session);

/* REMOVEFROM for messages whose EXPUNGE is about to be told: "MUST be sent prior to the expunge
 * notification itself" (4.3.4). */
void search_contexts_tell_gone(struct session *session);

/* Something has changed that the client was told of, but for what it means to its contexts. */
bool search_contexts_are_due(const struct session *session);

/* Begins to find out, as the session's command, which ends with nothing but the ESEARCH responses.
 */
void search_contexts_update(struct session *session);

/* The next FETCH that is owed: " 17,23 (UID FLAGS)". False: none is. */
bool search_contexts_take_fetch(struct session *session, struct buffer *text);

#endif
