/*
 * What this account shares, for the house's list of that (ctl/master/shares.c), by which others
 * find the names. It is made anew from the folders' lists whenever one of these changed, and at the
 * start of the process; nobody has a right by it. imapd-mailbox.
 *
 *     rights SP identifier HTAB folder LF
 *
 * once for each entry of each folder's list (storage/acl.h): identifier with its "-", the folder's
 * name in UTF-8.
 */
#ifndef IMAPD_SHARED_SHARES_H
#define IMAPD_SHARED_SHARES_H

#include "common/buffer.h"

struct mailbox;

/* Tells the master. Where the list is too long it ends early; what cannot be read is logged and
 * left out. Nothing, where imap.shared-mailboxes is not set. */
void shares_changed(struct mailbox *mailbox);

/* A folder was made, or is called otherwise, or was removed: the same, if the account shares any.
 */
void shares_on_folders(struct mailbox *mailbox);

#endif
