/*
 * `staffetta export`: an account's mail, written into an existing empty directory and read in a
 * session of the account while it is in use:
 *
 *   maildir   a Maildir++ with Dovecot's files (dovecot-uidlist, dovecot-keywords,
 *             subscriptions), with the same UIDVALIDITY, UIDs, flags and keywords: clients that
 *             move there download nothing again
 *   mbox      a file for each folder (mboxrd, with Status, X-Status and X-Keywords)
 *
 * INTERNALDATE is the files' time; in an mbox it stands in the "From " line.
 */
#ifndef CTL_IMPORT_EXPORT_H
#define CTL_IMPORT_EXPORT_H

#include "common/error.h"

enum export_kind { EXPORT_MAILDIR, EXPORT_MBOX };

/* Takes the session's socket. */
bool export_run(enum export_kind kind, int session, int directory_fd, struct error *error);

#endif
