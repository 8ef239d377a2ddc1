/*
 * Reads the octets that a CATENATE URL (RFC 4469) names in another account's mailbox, by EXAMINE
 * and UID FETCH on a visit of their own, so the owner's process decides whether the client may read
 * them (RFC 4314 4). They are streamed into the message under construction. imapd-mailbox; called
 * only by folder/catenate.c.
 */
#ifndef IMAPD_SHARED_URL_FETCH_H
#define IMAPD_SHARED_URL_FETCH_H

#include "imapd/fetch/message_source.h"
#include "imapd/folder/intake.h"
#include "imapd/shared/exchange.h"
#include "imapd/syntax/message_url.h"

struct url_fetch {
    struct session *session;
    struct exchange exchange;
    const struct message_url *url; /* the caller's */
    struct intake *intake;
    bool is_fetching; /* false: the mailbox is being opened */
    bool is_other;    /* the mailbox's UIDVALIDITY is not the URL's */
    bool in_value;    /* the octets are arriving */
    bool is_taken;    /* all octets have arrived, or there are none */
    struct error error;
};

/* Whether the URL's mailbox is another account's, by its name or as the selected mailbox. */
bool url_fetch_is_needed(const struct session *session, const struct message_url *url);

/* False: the owner's process cannot be asked. */
bool url_fetch_begin(struct url_fetch *fetch, struct session *session,
                     const struct message_url *url, struct error *error);

/* SOURCE_MORE: the session's step waits, then calls this again. ERROR_NOT_FOUND: there is no such
 * message or part, or the client may not read it. */
enum source_result url_fetch_step(struct url_fetch *fetch, struct intake *intake,
                                  struct error *error);

void url_fetch_end(struct url_fetch *fetch); /* may run twice, and on a zeroed struct */

#endif
