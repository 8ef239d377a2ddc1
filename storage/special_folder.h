/*
 * The folder of an account that has a special use (RFC 6154), for a process that has no folder in
 * memory: deliver. Blocking file I/O.
 */
#ifndef STORAGE_SPECIAL_FOLDER_H
#define STORAGE_SPECIAL_FOLDER_H

#include "storage/folder_record.h"
#include "storage/maildir_name.h"

/* Its name on disk. One that is in *directory already and still has that use stays; else the first
 * whose record says so, or, where no record does, the first without a record that is called so by
 * custom (a Maildir whose owner has never used IMAP here). ERROR_NOT_FOUND: the account has none.
 */
bool special_folder_find(int account_fd, enum special_use use, char directory[MAILDIR_NAME_SIZE],
                         struct error *error);

#endif
