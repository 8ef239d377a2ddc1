/*
 * `staffetta restored ACCOUNT`, after an old copy of the Maildir was put back. Clients may have
 * seen UIDs and MODSEQs newer than the copy, so its numbers must not be continued: every folder
 * gets a new UIDVALIDITY (RFC 9051 2.3.1.1), and its messages new UIDs, in the old order. Special
 * use, keywords and the folder's id (RFC 8474 4) stay; derived data is removed. The account's
 * sessions are ended first. A job of imapd/upkeep/upkeep.h.
 */
#ifndef IMAPD_UPKEEP_RESTORED_H
#define IMAPD_UPKEEP_RESTORED_H

struct mailbox;
struct upkeep_job;

void restored_begin(struct upkeep_job *job);

/* Ends all sessions and folders in memory, so that no old numbers are shown any more. */
void restored_end_sessions(struct mailbox *mailbox);

#endif
