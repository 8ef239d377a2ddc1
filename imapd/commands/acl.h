/* The part of MYRIGHTS that other commands use. imapd-mailbox. */
#ifndef IMAPD_COMMANDS_ACL_H
#define IMAPD_COMMANDS_ACL_H

#include "imapd/session/session.h"

/* Writes "* MYRIGHTS name rights" (RFC 4314 3.8) for an existing mailbox; name in UTF-8. `rights`:
 * enum acl_right, for another account's mailbox; 0: the mailbox is of this account. */
void acl_tell_rights(struct session *session, struct slice name, unsigned rights);

#endif
