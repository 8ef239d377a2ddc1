/*
 * Copies and removes directory trees of regular files and directories, for backups. Links are never
 * followed: the owner of a tree may try to lead a more privileged process elsewhere.
 */
#ifndef COMMON_DISK_TREE_H
#define COMMON_DISK_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

enum { TREE_DEPTH_MAX = 32 };

/* The owner of a copy. */
struct tree_owner {
    bool as_before; /* the original's, as far as the caller's rights allow; else uid and gid */
    uint32_t uid, gid;
};

/* Copies what is in `from_fd` into the directory `to_fd`, with the modes it has. NULL: what is made
 * is the caller's. Not flushed. A link, a device or the like is ERROR_PERMANENT. */
bool tree_copy(int from_fd, int to_fd, const struct tree_owner *owner, struct error *error);

/* The same for one file, which must not exist in `to_fd` (ERROR_EXISTS). */
bool tree_copy_file(int from_fd, const char *name, int to_fd, const char *new_name,
                    const struct tree_owner *owner, struct error *error);

/* Removes the directory and all in it. That it is not there is no failure. */
bool tree_remove(int directory_fd, const char *name, struct error *error);

/* Opens a directory for the above, no link; -1 on failure. tree_make() makes it (0700) where it is
 * missing. */
int tree_open(int directory_fd, const char *name, struct error *error);
int tree_make(int directory_fd, const char *name, struct error *error);

#endif
