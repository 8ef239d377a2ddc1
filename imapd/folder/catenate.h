/*
 * Copies the octets that a CATENATE URL (RFC 4469) names into the message under construction: opens
 * the mailbox, reads the message and copies its part, all in slices. For another account's mailbox
 * it asks that account's process. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_CATENATE_H
#define IMAPD_FOLDER_CATENATE_H

#include "imapd/fetch/message_source.h"
#include "imapd/folder/intake.h"
#include "imapd/shared/url_fetch.h"
#include "imapd/syntax/message_url.h"

struct session;

struct catenate {
    bool begun;        /* the other fields are valid */
    bool is_elsewhere; /* the URL is in another account's mailbox: `fetch` copies */
    struct url_fetch fetch;
    struct message_url url;
    struct folder *folder; /* NULL: not open */
    struct message_source source;
    bool resolved;
    struct mime_span run;
    uint64_t copied;
};

/* Copies a slice of one URL, which is in the command's arena. SOURCE_FAILED with ERROR_NOT_FOUND:
 * the URL does not name an existing message, BADURL. */
enum source_result catenate_copy(struct catenate *catenate, struct session *session,
                                 struct slice url, struct intake *intake, struct error *error);

void catenate_clear(struct catenate *catenate); /* may run twice, and on a zeroed struct */

#endif
