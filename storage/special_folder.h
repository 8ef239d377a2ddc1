/*
 * Finds the folder of an account with a special use (RFC 6154), for deliver, which has no folders
 * in memory. Blocking file I/O.
 */
#ifndef STORAGE_SPECIAL_FOLDER_H
#define STORAGE_SPECIAL_FOLDER_H

#include "storage/folder_record.h"
#include "storage/maildir_name.h"

/* Finds its directory name. If *directory already names a folder that still has this use, it stays;
 * else the first folder whose record has the use; if none has, the first without a record that has
 * the customary name (the owner has never used IMAP here). ERROR_NOT_FOUND: there is none. */
bool special_folder_find(int account_fd, enum special_use use, char directory[MAILDIR_NAME_SIZE],
                         struct error *error);

#endif
