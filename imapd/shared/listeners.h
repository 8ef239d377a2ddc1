/*
 * What a client with NOTIFY (RFC 5465) hears of other accounts' mailboxes: a visit to each owner
 * who is meant, on which NOTIFY SET was said, and that listens from then on.
 *
 *     owner's process ──"* STATUS", "* LIST", "* METADATA"──> told.h ──> notify's pending text
 *
 * Told is what is of a mailbox of that owner, whole and of the grammar; nothing else that he says
 * reaches the client. What the client does not take in time the owner's process keeps. The client
 * hears which owner's mailboxes he may look up by that owner alone. imapd-mailbox; session/notify.c
 * and commands/notify.c alone call it.
 */
#ifndef IMAPD_SHARED_LISTENERS_H
#define IMAPD_SHARED_LISTENERS_H

#include "imapd/shared/exchange.h"
#include "imapd/syntax/notify_request.h"

enum { LISTENERS_MAX = 20 }; /* owners */

struct listener;

struct listeners {
    struct session *session;
    struct buffer *told; /* the caller's */
    struct listener *all;
    size_t count;
    bool lost; /* one of them, after it was set up: news may be missing */
};

/* Nothing begins yet. */
void listeners_init(struct listeners *listeners, struct session *session, struct buffer *told);
void listeners_clear(struct listeners *listeners); /* may run twice, and on a zeroed struct */

/* The request means mailboxes that only the list of what others share names. */
bool listeners_want_names(const struct session *session, const struct notify_request *request);

/* Goes to all owners who are meant; `shared` as imapd/shared/shared_names.h has it.
 * ERROR_PERMANENT: too many. */
bool listeners_begin(struct listeners *listeners, const struct notify_request *request,
                     struct slice shared, struct error *error);

/* LISTENERS_READY: all listen, but those who share nothing with the client. LISTENERS_WAIT: the
 * session's step waits. ERROR_PERMANENT: one of them refused; ERROR_TEMPORARY: he cannot be asked.
 */
enum listeners_result { LISTENERS_READY, LISTENERS_WAIT, LISTENERS_FAILED };
enum listeners_result listeners_step(struct listeners *listeners, struct error *error);

/* What was told is said, and there is room again. */
void listeners_go_on(struct listeners *listeners);

#endif
