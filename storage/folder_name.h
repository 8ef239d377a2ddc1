/*
 * A folder's name as the user knows it and as it is on disk (Maildir++):
 *
 *     INBOX             .                       the account's own directory
 *     Archive/2026      .Archive.2026
 *     Entwürfe/v1.2     .Entw&APw-rfe.v1&AC4-2  modified UTF-7, also for a dot within a level
 *
 * Names are UTF-8 with '/' between levels; INBOX is INBOX in any case, also as the first level of a
 * longer name. The mapping is exact both ways: one folder, one name. Pure.
 */
#ifndef STORAGE_FOLDER_NAME_H
#define STORAGE_FOLDER_NAME_H

#include "common/buffer.h"
#include "common/error.h"
#include "storage/maildir_name.h"

enum { FOLDER_SEPARATOR = '/' };

/* ERROR_PERMANENT, with words for the user, if there can be no such folder: an empty name or level,
 * invalid UTF-8, control characters, or too long for a directory. */
bool folder_name_to_directory(struct slice name, char directory[MAILDIR_NAME_SIZE],
                              struct error *error);

/* Appends the name. False if no name leads to that directory: another program made it; its mail
 * counts, but nobody can ask for it. Look at name->failed besides. */
bool folder_name_from_directory(const char *directory, struct buffer *name);

/* "INBOX" in any case. */
bool folder_name_is_inbox(struct slice name);

#endif
