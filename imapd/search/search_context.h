/*
 * Searches whose results are kept up to date for the client (CONTEXT=SEARCH, RFC 5267 4.3; RFC 5465
 * 7). Each stores the UIDs it found; messages that have changed since, by MODSEQ, are searched
 * again in slices. imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_CONTEXT_H
#define IMAPD_SEARCH_SEARCH_CONTEXT_H

#include "imapd/search/search_key.h"
#include "imapd/search/search_result.h"

enum { SEARCH_CONTEXTS_MAX = 8 }; /* of one session */

struct search_context;
struct session;

/* The client's request: the search program as received, and `data`, the items "(UID FLAGS)" to be
 * fetched for new matching messages, which may be empty. */
struct search_context_request {
    struct slice tag;
    bool by_uid;
    struct slice program;
    struct slice data;
};

/* Whether there is a context with this tag. */
bool search_context_has(const struct session *session, struct slice tag);

/* False: SEARCH_CONTEXTS_MAX is reached, or no memory. */
bool search_context_add(struct session *session, const struct search_context_request *request,
                        const struct search_result *found);

/* False: there is no context with this tag. */
bool search_context_cancel(struct session *session, struct slice tag);

/* Frees all contexts: the mailbox is no longer selected. */
void search_contexts_clear(struct session *session);

/* Writes REMOVEFROM for messages whose EXPUNGE is about to be sent: "MUST be sent prior to the
 * expunge notification itself" (4.3.4). */
void search_contexts_tell_gone(struct session *session);

/* Whether the client was told of changes that the contexts do not reflect yet. */
bool search_contexts_are_due(const struct session *session);

/* Begins the update, as the session's internal command, which writes only ESEARCH responses. */
void search_contexts_update(struct session *session);

/* Takes the next FETCH that is due: " 17,23 (UID FLAGS)". False: none is due. */
bool search_contexts_take_fetch(struct session *session, struct buffer *text);

#endif
