/*
 * Reads the names in a directory, without "." and "..", by getdents64(2) in reads of 16 KiB. Not a
 * DIR, so that an open descriptor can be read repeatedly.
 */
#ifndef STORAGE_DIRECTORY_H
#define STORAGE_DIRECTORY_H

#include "common/error.h"

/* `type` is DT_REG, DT_DIR, ... or DT_UNKNOWN. False, with *error filled, stops the reading. */
typedef bool directory_visitor(void *owner, const char *name, unsigned char type,
                               struct error *error);

/* Calls the visitor for each name, from the beginning. A name added or removed meanwhile may be
 * visited or not; one renamed meanwhile may be visited twice or not at all. False: reading failed
 * or the visitor returned false. */
bool directory_read(int fd, directory_visitor *visit, void *owner, struct error *error);

#endif
