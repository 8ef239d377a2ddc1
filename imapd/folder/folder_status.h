/*
 * What STATUS says of a mailbox (RFC 3501 6.3.10, RFC 7162 3.1.7, RFC 7889 4, RFC 8438, RFC
 * 8474 4.3, RFC 9208 4.1.4), found in slices: the sum of 100 000 sizes takes a while. The mailbox
 * is opened like any other, but nobody is told that messages are recent. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_FOLDER_STATUS_H
#define IMAPD_FOLDER_FOLDER_STATUS_H

#include "common/buffer.h"
#include "imapd/folder/folder.h"
#include "imapd/syntax/mailbox_name.h"

struct folder_status {
    struct folder *folder; /* NULL: none is open */
    unsigned items;        /* enum imap_status_item */
    uint32_t next_uid;     /* the sizes of those before it are in: */
    uint64_t octets;       /* what RFC822.SIZE is for each, summed */
    uint64_t deleted_octets;
};

/* ERROR_NOT_FOUND: there is no such mailbox. Each success wants one folder_status_end(). */
bool folder_status_begin(struct folder_status *status, struct mailbox *mailbox,
                         const char *directory, unsigned items, struct error *error);

/* A slice. False: folder_status_write() may follow, in the same turn. */
bool folder_status_step(struct folder_status *status);

/* Appends "* STATUS name (...)", the name (ours, UTF-8) in that form of the wire. */
void folder_status_write(const struct folder_status *status, struct slice name,
                         enum mailbox_name_form form, struct buffer *text);

void folder_status_end(struct folder_status *status); /* may run twice, and on a zeroed struct */

#endif
