/*
 * Secrets that must outlive the server: random octets in a file of the state directory, which only
 * the master may read. The master only.
 */
#ifndef CTL_MASTER_SECRET_H
#define CTL_MASTER_SECRET_H

#include "common/error.h"
#include "common/role/master_protocol.h"

/* Reads the file of that name, or makes it first. */
bool secret_load(int state_fd, const char *name, uint8_t octets[MASTER_SECRET_OCTETS],
                 struct error *error);

#endif
