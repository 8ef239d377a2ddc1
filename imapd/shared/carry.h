/*
 * COPY and MOVE between mailboxes of different accounts (RFC 3501 6.4.7, RFC 6851): messages go
 * from one visit to another (imapd/shared/visit.h), in plain IMAP, and each owner's process decides
 * what may be done with its mailboxes (RFC 4314 4). The client's own account is reached by a visit
 * too, of the process to itself.
 *
 *     source: [MYRIGHTS], FETCH (UID)   UID FETCH of each   [UID STORE, UID EXPUNGE]
 *     target:                           one APPEND of all (RFC 3502)
 *
 * So a COPY is all or nothing, like APPEND, and a MOVE removes nothing before all messages are in
 * the target and on disk. Messages are streamed through this process, not stored. imapd-mailbox.
 */
#ifndef IMAPD_SHARED_CARRY_H
#define IMAPD_SHARED_CARRY_H

#include "imapd/session/session.h"

/* Runs the session's COPY or MOVE with these arguments: ends the command or leaves a step. */
void carry_begin(struct session *session, struct imap_parser *arguments);

#endif
