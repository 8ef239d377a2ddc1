/*
 * Maps a folder's name as the user knows it to its directory name (Maildir++), and back:
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

/* ERROR_PERMANENT, with a text for the user: the name or a level is empty, has invalid UTF-8 or
 * control characters, or is too long for a directory. */
bool folder_name_to_directory(struct slice name, char directory[MAILDIR_NAME_SIZE],
                              struct error *error);

/* Appends the user's name. False: no name maps to this directory, which another program made; its
 * mail counts for the quota, but clients cannot select it. The caller must check name->failed
 * too. */
bool folder_name_from_directory(const char *directory, struct buffer *name);

/* "INBOX" in any case. */
bool folder_name_is_inbox(struct slice name);

#endif
