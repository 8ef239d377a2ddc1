/* What the files of NOTIFY share; see notify.h. */
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
    struct arena arena; /* of the request */
    struct watched_mailbox *watched;
    size_t watched_count;
    bool is_set_up;         /* all were opened once */
    bool is_stale;          /* names have changed: which are wanted must be found again */
    bool knows_names;       /* `seen` is filled */
    struct seen_names seen; /* a visitor's: of MailboxName, those that he knows he may look up */
    struct buffer pending;
    struct listeners listeners; /* in other accounts */
};

/* Has the client these rights (enum acl_right) to the mailbox in that directory? A visitor knows
 * mailboxes by longer names, hears of those that he has rights to, and nothing of what the owner is
 * subscribed to (RFC 4314 4: "l"; "r" for what STATUS says). */
bool notify_may(const struct notify *notify, const char *directory, unsigned needed);

/* The events (enum notify_event) that the client wants of the owner's mailbox of that name. */
unsigned notify_events_for(const struct notify *notify, struct slice name, bool is_subscribed);

#endif
