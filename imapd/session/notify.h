/*
 * What a client wants to hear of without asking (RFC 5465): one struct for each session that said
 * NOTIFY. It watches the mailboxes that are not selected, and keeps what is to be told until the
 * session may say it; of the selected mailbox it knows only which of the view's news are wanted.
 *
 *     folders ──folder_watcher──> watched mailbox: dirty ─┐
 *     other sessions ──notify_on_...──> `pending` text ───┼─ notify_tell() <── session, when it may
 *     other accounts ──imapd/shared/listeners.h───────────┘
 *
 * Only so many mailboxes are watched, and only so much is kept: beyond that the client is told
 * NOTIFICATIONOVERFLOW and hears nothing more (5.8). imapd-mailbox.
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

/* Takes over the arena in which the request lies. No mailbox is open yet. NULL: no memory; the
 * arena stays the caller's. */
struct notify *notify_new(struct session *session, const struct notify_request *request,
                          struct arena *arena);
void notify_free(struct notify *notify); /* NULL is fine */

/* Finds the mailboxes that the request wants. ERROR_PERMANENT: there are too many to be watched. */
bool notify_find_mailboxes(struct notify *notify, struct error *error);

/* Opens the next of them, one at each call, and writes its STATUS if that was asked for. True: call
 * again. *failed: one cannot be opened, and `error` says why. */
bool notify_open_step(struct notify *notify, bool *failed, struct error *error);

/* What listens for it in other accounts: to be started, and waited for, before
 * session_set_notify(). */
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

/* Appends "NOTIFY SET (selected (...))", or "NOTIFY NONE": what the client wants of the selected
 * mailbox, as a command for the process of the account that has it. */
void notify_append_selected(const struct notify *notify, struct buffer *command);

/* What FETCH is to say of new messages; empty: nothing. */
struct slice notify_message_data(const struct notify *notify);

/* ---- telling ---- */

/* Writes what waits: LIST, METADATA and STATUS responses. */
void notify_tell(struct notify *notify);

/* ---- what session `by` did, for all others (notify_names.c) ---- */

void notify_on_created(struct session *by, struct slice name);
void notify_on_deleted(struct session *by, struct slice name);
void notify_on_renamed(struct session *by, struct slice from, struct slice to);
void notify_on_subscription(struct session *by, struct slice name);
/* The rights to it: visitors are told that it is there, or is no longer (5.4). */
void notify_on_rights(struct session *by, struct slice name);
/* Entries as in the response: "/private/comment /shared/comment". Whom those of /private do not
 * belong to hears of /shared alone. Empty name: the account's. */
struct notify_entries {
    struct slice all;
    struct slice shared;
};
void notify_on_metadata(struct session *by, struct slice name,
                        const struct notify_entries *entries);

#endif
