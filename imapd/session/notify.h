/*
 * NOTIFY (RFC 5465): one struct for each session that used the command. It watches the mailboxes
 * that are not selected and keeps their notifications until the session may send them; for the
 * selected mailbox it only says which of the view's changes the client wants.
 *
 *     folders ──folder_watcher──> watched mailbox: dirty ─┐
 *     other sessions ──notify_on_...──> `pending` text ───┼─ notify_tell() <── session, when it may
 *     other accounts ──imapd/shared/listeners.h───────────┘
 *
 * The number of watched mailboxes and the pending text are limited: beyond that the client is told
 * NOTIFICATIONOVERFLOW and gets no more notifications (5.8). imapd-mailbox.
 */
#ifndef IMAPD_SESSION_NOTIFY_H
#define IMAPD_SESSION_NOTIFY_H

#include "common/buffer.h"
#include "common/error.h"
#include "imapd/syntax/notify_request.h"

enum { NOTIFY_WATCHED_MAX = 100 };

struct listeners;
struct mailbox;
struct notify;
struct session;

/* Takes over the arena that holds the request. Opens no mailbox yet. NULL: no memory; the caller
 * keeps the arena. */
struct notify *notify_new(struct session *session, const struct notify_request *request,
                          struct arena *arena);
void notify_free(struct notify *notify); /* NULL is fine */

/* Finds the mailboxes that the request covers. ERROR_PERMANENT: too many to be watched. */
bool notify_find_mailboxes(struct notify *notify, struct error *error);

/* Opens the next mailbox and writes its STATUS if requested. True: call again. *failed: a mailbox
 * cannot be opened, and `error` says why. */
bool notify_open_step(struct notify *notify, bool *failed, struct error *error);

/* The listeners in other accounts: to be started, and waited for, before session_set_notify(). */
struct listeners *notify_listeners(struct notify *notify);
const struct notify_request *notify_wanted(const struct notify *notify);
bool notify_listens_elsewhere(const struct notify *notify);

/* ---- the selected mailbox ---- */

enum notify_manner {
    NOTIFY_TELLS_NOTHING,
    NOTIFY_TELLS_DELAYED, /* EXPUNGE only when a command allows it */
    NOTIFY_TELLS_AT_ONCE,
};
enum notify_manner notify_manner(const struct notify *notify);
bool notify_tells_flags(const struct notify *notify);

/* Appends "NOTIFY SET (selected (...))" or "NOTIFY NONE": the request for the selected mailbox, as
 * a command for the process of the account that owns it. */
void notify_append_selected(const struct notify *notify, struct buffer *command);

/* The FETCH items to be sent for new messages; empty: none. */
struct slice notify_message_data(const struct notify *notify);

/* ---- sending ---- */

/* Writes the pending LIST, METADATA and STATUS responses. */
void notify_tell(struct notify *notify);

/* ---- actions of session `by`, reported to all other sessions (notify_names.c) ---- */

void notify_on_created(struct session *by, struct slice name);
void notify_on_deleted(struct session *by, struct slice name);
void notify_on_renamed(struct session *by, struct slice from, struct slice to);
void notify_on_subscription(struct session *by, struct slice name);
/* The mailbox's rights have changed: visitors are told that it appeared or disappeared (5.4). */
void notify_on_rights(struct session *by, struct slice name);
/* Changed entries as in the response: "/private/comment /shared/comment". Sessions that the
 * /private ones do not belong to are told of `shared` only. Empty name: annotations of the
 * account. */
struct notify_entries {
    struct slice all;
    struct slice shared;
};
void notify_on_metadata(struct session *by, struct slice name,
                        const struct notify_entries *entries);

#endif
