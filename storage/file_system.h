/*
 * What storage may assume of the file system that a Maildir lies on. One table by type, looked at
 * once per process; whatever is not in it (FUSE, network file systems, overlays) is trusted with
 * nothing beyond POSIX: there syncfs(2) may return 0 and flush nothing, as GlusterFS does.
 */
#ifndef STORAGE_FILE_SYSTEM_H
#define STORAGE_FILE_SYSTEM_H

#include "common/error.h"

struct file_system {
    const char *name; /* "ext4", or "unknown"; static */
    bool syncfs;      /* one syncfs covers a batch of files and reports write errors */
    bool inotify;     /* changes by any process of this host are announced */
    bool tmpfile;     /* O_TMPFILE works in this directory, and linkat gives it a name */
};

/* Looks at the file system of an open directory. O_TMPFILE is tried, not believed. */
bool file_system_probe(int dir_fd, struct file_system *fs, struct error *error);

#endif
