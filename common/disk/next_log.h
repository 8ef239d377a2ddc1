/*
 * The file in which the log of a Berkeley DB environment will go on, made in advance: whole, with
 * zeros in it. A commit into such a file flushes octets; into one that grows, also its inode and
 * the map of its blocks, one after the other. db.c alone uses it.
 *
 * It lies beside the log as `next-log` until the library opens the file that it is to become. None
 * outlives its process: a power cut may leave an old name beside the new one.
 */
#ifndef COMMON_DISK_NEXT_LOG_H
#define COMMON_DISK_NEXT_LOG_H

#include <stdint.h>

#include "common/error.h"

/* What an earlier life left goes. */
void next_log_clear(int directory_fd);

/* Does nothing where there is one. Any thread, one at a time. */
bool next_log_make(const char *directory, uint32_t octets, struct error *error);

/* `path`, which is about to be created, is that file from now on, if there is one. False: it is
 * not sure to have its name on disk (errno). */
bool next_log_take(const char *path);

#endif
