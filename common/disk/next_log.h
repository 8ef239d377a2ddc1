/*
 * Preallocates the next log file of a Berkeley DB environment at full size, filled with zeros. A
 * commit into such a file flushes only data; into a growing file, also the inode and block map, one
 * after the other. Used only by db.c.
 *
 * The file is `next-log` beside the log until the library opens the log file that it becomes. It
 * never outlives its process, since a power cut may leave the old name beside the new one.
 */
#ifndef COMMON_DISK_NEXT_LOG_H
#define COMMON_DISK_NEXT_LOG_H

#include <stdint.h>

#include "common/error.h"

/* Removes a file left by an earlier process. */
void next_log_clear(int directory_fd);

/* Does nothing if the file exists. Any thread, one at a time. */
bool next_log_make(const char *directory, uint32_t octets, struct error *error);

/* Renames the file, if there is one, to `path`, which is about to be created. False: the new name
 * may not be on disk (errno). */
bool next_log_take(const char *path);

#endif
