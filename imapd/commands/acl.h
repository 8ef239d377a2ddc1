/* What other commands have of MYRIGHTS. imapd-mailbox. */
#ifndef IMAPD_COMMANDS_ACL_H
#define IMAPD_COMMANDS_ACL_H

#include "imapd/session/session.h"

/* "* MYRIGHTS name rights" (RFC 4314 3.8) of a mailbox that there is; the name ours, UTF-8.
 * rights: to another account's, enum acl_right; 0: it is one of this account. */
void acl_tell_rights(struct session *session, struct slice name, unsigned rights);

#endif
