/*
 * Opens the directory of one account, given its place (a directory tree with the mail of many
 * accounts). Makes missing directories with mode 0700. For processes that work for an account, when
 * they start.
 */
#ifndef STORAGE_ACCOUNT_DIRECTORY_H
#define STORAGE_ACCOUNT_DIRECTORY_H

#include "common/error.h"

/* For a virtual account: `path` is relative, without "..". Follows no symbolic link, since many
 * accounts share the uid. */
bool account_directory_open(int place_fd, const char *path, int *fd, struct error *error);

/* For a system user: `path` is below "/" in `root_fd`. Follows links (/home may be one), since the
 * process has only that user's rights. */
bool account_directory_open_system(int root_fd, const char *path, int *fd, struct error *error);

#endif
