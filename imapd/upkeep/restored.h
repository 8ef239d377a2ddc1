/*
 * `staffetta restored ACCOUNT`: an old copy of the Maildir was put back. UIDs and MODSEQs that the
 * copy does not know of were shown to clients, so none of its numbers may go on: every folder gets
 * a new UIDVALIDITY (RFC 9051 2.3.1.1), its messages new UIDs, in the order of the old ones.
 * Special use, keywords and the folder's id (RFC 8474 4) stay; what was derived is forgotten. The
 * account's sessions are ended first. A job of imapd/upkeep/upkeep.h.
 */
#ifndef IMAPD_UPKEEP_RESTORED_H
#define IMAPD_UPKEEP_RESTORED_H

struct mailbox;
struct upkeep_job;

void restored_begin(struct upkeep_job *job);

/* Nobody may show numbers of before, nor keep a folder in memory. */
void restored_end_sessions(struct mailbox *mailbox);

#endif
