/*
 * System users as accounts: who of them may have mail, looked up through NSS and remembered for a
 * minute, so that a RCPT costs a microsecond and a stream of invented names no more than one look
 * each. With `files` and `systemd` in nsswitch.conf a look takes some 10 us; a directory service
 * that hangs makes `auth` hang with it, like everything else on such a host.
 *
 * root and the system's own users (below uid 1000, and nobody's 65534) have no mail of their own;
 * an alias gives it to somebody. In single-user mode there is one user, the one who started it.
 * Process `auth`, and `staffetta check`.
 */
#ifndef COMMON_AUTH_SYSTEM_USERS_H
#define COMMON_AUTH_SYSTEM_USERS_H

#include "common/error.h"
#include "common/slice.h"

struct system_users;

enum { SYSTEM_USER_HOME_MAX = 512 };

struct system_user {
    uint32_t uid;
    uint32_t gid;
    char home[SYSTEM_USER_HOME_MAX]; /* absolute, NUL-terminated */
};

/* only_uid: the one user there is in single-user mode; 0 (root): all that may have mail. NULL with
 * *error where there is no memory. sodium_init() was called. */
struct system_users *system_users_new(uint32_t only_uid, struct error *error);
void system_users_free(struct system_users *users); /* NULL is fine */

/* Asks again from now on, whatever is remembered. */
void system_users_forget(struct system_users *users);

/* The user of that name, which is in lower case as canonical.h makes it. ERROR_NOT_FOUND: there is
 * none, or none with mail; ERROR_TEMPORARY: nobody can tell now. */
bool system_users_find(struct system_users *users, struct slice name, uint64_t now_ms,
                       struct system_user *user, struct error *error);

/* The name of the one with the lowest uid, for `postmaster`, NUL-terminated; ERROR_NOT_FOUND if
 * nobody has mail. Reads all of NSS's list. */
enum { SYSTEM_USER_NAME_MAX = 64 };
bool system_users_first(struct system_users *users, uint64_t now_ms,
                        char name[SYSTEM_USER_NAME_MAX + 1], struct error *error);

#endif
