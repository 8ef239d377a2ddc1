/*
 * System users by NSS: who of them may have mail. root and the system's own users (below uid 1000,
 * and nobody's 65534) have none of their own; an alias gives it to somebody. Where not root but an
 * ordinary user started the house, he is the only one. Blocks; `check` and the command line.
 */
#ifndef COMMON_AUTH_SYSTEM_LOOKUP_H
#define COMMON_AUTH_SYSTEM_LOOKUP_H

#include "common/auth/system_users.h"

/* As system_user_lookup says. Under root everybody who may have mail is found. */
bool system_lookup_any(const char *name, struct system_user *user, struct error *error);

/* Nobody but the user of this process. */
bool system_lookup_self(const char *name, struct system_user *user, struct error *error);

#endif
