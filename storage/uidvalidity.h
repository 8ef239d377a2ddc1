/*
 * Numbers for UIDVALIDITY (RFC 9051 2.3.1.1) that never come twice in an account: not for another
 * folder, not for one deleted and made again, not after a restored backup. The seconds since 1970,
 * or one more than the last number given, whichever is larger. The last one is in the file
 * "staffetta-uidvalidity" in the account's directory, with those that were taken over from another
 * server; where that is lost, the folder records say which numbers are in use.
 *
 * Called by the user's mailbox process. Blocking file I/O.
 */
#ifndef STORAGE_UIDVALIDITY_H
#define STORAGE_UIDVALIDITY_H

#include <stdint.h>

#include "common/error.h"

/* Takes a number that another server gave to that folder (its name on disk). *claimed is false
 * where another folder of the account has it already. What is claimed is on disk, and never given.
 */
bool uidvalidity_claim(int account_fd, const char *directory, uint32_t uidvalidity, int64_t now,
                       bool *claimed, struct error *error);

/* The number is on disk as given when it returns true. */
bool uidvalidity_next(int account_fd, int64_t now, uint32_t *uidvalidity, struct error *error);

#endif
