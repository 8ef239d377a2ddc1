/*
 * The way from a place (a directory tree with the mail of many accounts) to the directory of one
 * account. Missing directories are made with mode 0700. For the processes that work for accounts,
 * when they are started.
 */
#ifndef STORAGE_ACCOUNT_DIRECTORY_H
#define STORAGE_ACCOUNT_DIRECTORY_H

#include "common/error.h"

/* A virtual account: `path` is relative, without "..". No symbolic link is followed on the way, for
 * many accounts share the uid that walks it. */
bool account_directory_open(int place_fd, const char *path, int *fd, struct error *error);

/* A system user's, below "/" in `root_fd`. Links are followed (/home may be one): the process that
 * walks has that user's rights and no others. */
bool account_directory_open_system(int root_fd, const char *path, int *fd, struct error *error);

#endif
