/*
 * COPY and MOVE between mailboxes of different accounts (RFC 3501 6.4.7, RFC 6851): messages go
 * from a visit to a visit (imapd/shared/visit.h), in plain IMAP, and each owner's process judges
 * what may be done with its mailboxes (RFC 4314 4). To the client's own account it is a visit, too,
 * of a process to itself.
 *
 *     source: [MYRIGHTS], FETCH (UID)   UID FETCH of each   [UID STORE, UID EXPUNGE]
 *     target:                           one APPEND of all (RFC 3502)
 *
 * So a COPY is all or nothing, as APPEND is, and a MOVE removes nothing before all is there and on
 * disk. Nothing is gathered on the way: a message goes through this process as it comes.
 * imapd-mailbox.
 */
#ifndef IMAPD_SHARED_CARRY_H
#define IMAPD_SHARED_CARRY_H

#include "imapd/session/session.h"

/* The command that the session runs; its arguments. It is ended, or goes on. */
void carry_begin(struct session *session, struct imap_parser *arguments);

#endif
