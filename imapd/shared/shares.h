/*
 * What this account shares, for the server-wide list (ctl/master/shares.c) in which others find the
 * names. It is rebuilt from the folders' ACLs whenever one changes, and at the start of the
 * process; it grants no rights. imapd-mailbox.
 *
 *     rights SP identifier HTAB folder LF
 *
 * for each entry of each folder's ACL (storage/acl.h): the identifier with its "-", the folder's
 * name in UTF-8.
 */
#ifndef IMAPD_SHARED_SHARES_H
#define IMAPD_SHARED_SHARES_H

#include "common/buffer.h"

struct mailbox;

/* Sends the list to the master. A list that is too long is cut; an ACL that cannot be read is
 * logged and left out. Does nothing if imap.shared-mailboxes is not set. */
void shares_changed(struct mailbox *mailbox);

/* To be called when a folder was created, renamed or removed: the same, if the account shares any.
 */
void shares_on_folders(struct mailbox *mailbox);

#endif
