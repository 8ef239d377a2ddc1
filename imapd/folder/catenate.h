/*
 * The octets that a URL of CATENATE (RFC 4469) names, copied into a message that is being taken in:
 * the mailbox is opened, the message read and its part copied, all in slices. What is in another
 * account's mailbox its process is asked for. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_CATENATE_H
#define IMAPD_FOLDER_CATENATE_H

#include "imapd/fetch/message_source.h"
#include "imapd/folder/intake.h"
#include "imapd/shared/url_fetch.h"
#include "imapd/syntax/message_url.h"

struct session;

struct catenate {
    bool begun;        /* the rest is of the URL that is being copied */
    bool is_elsewhere; /* in another account's mailbox: then `fetch` copies */
    struct url_fetch fetch;
    struct message_url url;
    struct folder *folder; /* NULL: not open */
    struct message_source source;
    bool resolved;
    struct mime_span run;
    uint64_t copied;
};

/* A slice of one URL, which lies in the command's arena. SOURCE_FAILED with ERROR_NOT_FOUND: it is
 * no URL of a message that there is, BADURL. */
enum source_result catenate_copy(struct catenate *catenate, struct session *session,
                                 struct slice url, struct intake *intake, struct error *error);

void catenate_clear(struct catenate *catenate); /* may run twice, and on a zeroed struct */

#endif
