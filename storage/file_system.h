/*
 * What storage may assume of the Maildir's file system. One table by type, consulted once per
 * process; a type that is not in it (FUSE, network file systems, overlays) is trusted with POSIX
 * only: there syncfs(2) may return 0 and flush nothing, as GlusterFS does.
 */
#ifndef STORAGE_FILE_SYSTEM_H
#define STORAGE_FILE_SYSTEM_H

#include "common/error.h"

struct file_system {
    const char *name; /* "ext4", or "unknown"; static */
    bool syncfs;      /* one syncfs covers a batch of files and reports write errors */
    bool inotify;     /* inotify reports changes by any process of this host */
    bool tmpfile;     /* O_TMPFILE works in this directory, and linkat gives it a name */
};

/* Examines the file system of an open directory. O_TMPFILE is tested by using it. */
bool file_system_probe(int dir_fd, struct file_system *fs, struct error *error);

#endif
