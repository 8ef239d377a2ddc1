/*
 * Reading a directory: its names without "." and "..", by getdents64(2) in reads of 64 KiB. Not a
 * DIR, so that a descriptor that is kept open can be read again and again.
 */
#ifndef STORAGE_DIRECTORY_H
#define STORAGE_DIRECTORY_H

#include "common/error.h"

/* `type` is DT_REG, DT_DIR, ... or DT_UNKNOWN. False ends the reading; *error is then filled. */
typedef bool directory_visitor(void *owner, const char *name, unsigned char type,
                               struct error *error);

/* Calls the visitor for each name, from the beginning. A name that is added or removed meanwhile
 * may come or not; one that is renamed meanwhile may come twice or not at all. False if reading
 * failed or the visitor said so. */
bool directory_read(int fd, directory_visitor *visit, void *owner, struct error *error);

#endif
