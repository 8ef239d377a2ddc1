/* Declarations shared by the files of NOTIFY; see notify.h. */
#ifndef IMAPD_SESSION_NOTIFY_INTERNAL_H
#define IMAPD_SESSION_NOTIFY_INTERNAL_H

#include "common/arena.h"
#include "imapd/session/notify.h"
#include "imapd/shared/listeners.h"
#include "imapd/shared/seen_names.h"

struct watched_mailbox;

struct notify {
    struct session *session;
    struct notify_request request;
    struct arena arena; /* holds the request */
    struct watched_mailbox *watched;
    size_t watched_count;
    bool is_set_up;         /* every mailbox has been opened once */
    bool is_stale;          /* names have changed: the mailboxes must be found again */
    bool knows_names;       /* `seen` is filled */
    struct seen_names seen; /* for a visitor's MailboxName: names that it knows it may look up */
    struct buffer pending;
    struct listeners listeners; /* in other accounts */
};

/* Whether the client has these rights (enum acl_right) to the mailbox in this directory. A visitor
 * uses longer names, and is told only of mailboxes that it has rights to, and nothing of the
 * owner's subscriptions (RFC 4314 4: "l"; "r" for what STATUS says). */
bool notify_may(const struct notify *notify, const char *directory, unsigned needed);

/* The events (enum notify_event) that the client wants for the owner's mailbox of this name. */
unsigned notify_events_for(const struct notify *notify, struct slice name, bool is_subscribed);

#endif
