/*
 * NOTIFY (RFC 5465) for other accounts' mailboxes: one visit to each owner concerned, on which
 * NOTIFY SET is sent and which then listens.
 *
 *     owner's process ──"* STATUS", "* LIST", "* METADATA"──> told.h ──> notify's pending text
 *
 * Only complete, well-formed responses about a mailbox of that owner reach the client. If the
 * client does not read, the owner's process keeps the responses. Which of an owner's mailboxes the
 * client may look up is reported by that owner's process only. imapd-mailbox; called only by
 * session/notify.c and commands/notify.c.
 */
#ifndef IMAPD_SHARED_LISTENERS_H
#define IMAPD_SHARED_LISTENERS_H

#include "imapd/shared/exchange.h"
#include "imapd/syntax/notify_request.h"

enum { LISTENERS_MAX = 20 }; /* owners */

struct listener;

struct listeners {
    struct session *session;
    struct buffer *told; /* responses for the client; the caller's */
    struct listener *all;
    size_t count;
    bool lost; /* a visit was lost after its setup: notifications may be missing */
};

/* Starts no visit yet. */
void listeners_init(struct listeners *listeners, struct session *session, struct buffer *told);
void listeners_clear(struct listeners *listeners); /* may run twice, and on a zeroed struct */

/* Whether the request covers mailboxes that must be found in the list of shared mailboxes. */
bool listeners_want_names(const struct session *session, const struct notify_request *request);

/* Starts a visit to each owner concerned; `shared` as from shared_names_told(). ERROR_PERMANENT:
 * too many owners. */
bool listeners_begin(struct listeners *listeners, const struct notify_request *request,
                     struct slice shared, struct error *error);

/* LISTENERS_READY: all visits listen, except to owners who share nothing with the client.
 * LISTENERS_WAIT: the session's step waits. ERROR_PERMANENT: an owner's process refused;
 * ERROR_TEMPORARY: it cannot be reached. */
enum listeners_result { LISTENERS_READY, LISTENERS_WAIT, LISTENERS_FAILED };
enum listeners_result listeners_step(struct listeners *listeners, struct error *error);

/* To be called when `told` was sent and has room again. */
void listeners_go_on(struct listeners *listeners);

#endif
