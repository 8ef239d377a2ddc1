/*
 * Numbers for UIDVALIDITY (RFC 9051 2.3.1.1) that are never reused in an account: not for another
 * folder, not for one deleted and recreated, not after a restored backup. A number is the seconds
 * since 1970, or the last number plus one, whichever is larger. The last one is in the file
 * "staffetta-uidvalidity" in the account's directory, with those taken over from another server; if
 * that file is lost, the folder records say which numbers are in use.
 *
 * Called by the user's mailbox process. Blocking file I/O.
 */
#ifndef STORAGE_UIDVALIDITY_H
#define STORAGE_UIDVALIDITY_H

#include <stdint.h>

#include "common/error.h"

/* Reserves the number that another server gave to a folder (its directory name). *claimed is false
 * if another folder of the account has it already. A claimed number is on disk, and is never given
 * by uidvalidity_next(). */
bool uidvalidity_claim(int account_fd, const char *directory, uint32_t uidvalidity, int64_t now,
                       bool *claimed, struct error *error);

/* Gives a new number. When it returns true, the number is recorded on disk. */
bool uidvalidity_next(int account_fd, int64_t now, uint32_t *uidvalidity, struct error *error);

#endif
