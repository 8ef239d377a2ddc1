/*
 * Looks up system users by NSS. root and other users below uid 1000, and nobody (65534), have no
 * mailbox; an alias can forward their mail. In single-user mode the user who started the server is
 * the only one. Blocks; `check` and the command line.
 */
#ifndef COMMON_AUTH_SYSTEM_LOOKUP_H
#define COMMON_AUTH_SYSTEM_LOOKUP_H

#include "common/auth/system_users.h"

/* A system_user_lookup that finds all users with mail, for a server started by root. */
bool system_lookup_any(const char *name, struct system_user *user, struct error *error);

/* A system_user_lookup that finds only the user of this process. */
bool system_lookup_self(const char *name, struct system_user *user, struct error *error);

#endif
