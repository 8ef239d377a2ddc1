/*
 * Computes what STATUS returns for a mailbox (RFC 3501 6.3.10, RFC 7162 3.1.7, RFC 7889 4, RFC
 * 8438, RFC 8474 4.3, RFC 9208 4.1.4), in slices: to add up 100 000 sizes takes a while. Opens the
 * mailbox, but clears no \Recent. imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_FOLDER_STATUS_H
#define IMAPD_FOLDER_FOLDER_STATUS_H

#include "common/buffer.h"
#include "imapd/folder/folder.h"
#include "imapd/syntax/mailbox_name.h"

struct folder_status {
    struct folder *folder; /* NULL: none is open */
    unsigned items;        /* enum imap_status_item */
    uint32_t next_uid;     /* lower UIDs are already included in the next two */
    uint64_t octets;       /* sum of RFC822.SIZE */
    uint64_t deleted_octets;
};

/* ERROR_NOT_FOUND: there is no such mailbox. Each success needs one folder_status_end(). */
bool folder_status_begin(struct folder_status *status, struct mailbox *mailbox,
                         const char *directory, unsigned items, struct error *error);

/* Computes one slice. False: done; call folder_status_write() in the same turn. */
bool folder_status_step(struct folder_status *status);

/* Appends "* STATUS name (...)", with the name (given in UTF-8) in the form `form`. */
void folder_status_write(const struct folder_status *status, struct slice name,
                         enum mailbox_name_form form, struct buffer *text);

void folder_status_end(struct folder_status *status); /* may run twice, and on a zeroed struct */

#endif
