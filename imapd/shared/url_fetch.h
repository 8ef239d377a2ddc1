/*
 * The octets that a URL of CATENATE (RFC 4469) names in another account's mailbox: EXAMINE and UID
 * FETCH on a visit of their own, so the owner's process says whether the client may read them (RFC
 * 4314 4). They go into the message that is being taken in as they come. imapd-mailbox;
 * folder/catenate.c alone calls it.
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
    bool is_fetching; /* else the mailbox is being opened */
    bool is_other;    /* its UIDVALIDITY is not the URL's */
    bool in_value;    /* the octets come */
    bool is_taken;    /* all of them did, or there are none */
    struct error error;
};

/* The URL's mailbox is another account's: by its name, or it is the selected one. */
bool url_fetch_is_needed(const struct session *session, const struct message_url *url);

/* False: it cannot be asked. */
bool url_fetch_begin(struct url_fetch *fetch, struct session *session,
                     const struct message_url *url, struct error *error);

/* SOURCE_MORE: the session's step waits, and is to call this again. ERROR_NOT_FOUND: there is no
 * such message or part, or the client may not read it. */
enum source_result url_fetch_step(struct url_fetch *fetch, struct intake *intake,
                                  struct error *error);

void url_fetch_end(struct url_fetch *fetch); /* may run twice, and on a zeroed struct */

#endif
