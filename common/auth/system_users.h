/*
 * A cache of system users, which are accounts too. Entries last a minute, so that a RCPT costs a
 * microsecond, and a stream of invented names one look-up each.
 *
 * `auth` never asks NSS itself: modules of NSS open sockets, load libraries and may hang. For a
 * name that is not cached system_users_find() fails with ERROR_TEMPORARY;
 * system_users_take_wanted() returns that name, a `check` worker looks it up, system_users_learn()
 * takes the answer, and the request is tried again. The command line, which may block, gives the
 * cache a function that looks up at once. Pure but for that.
 */
#ifndef COMMON_AUTH_SYSTEM_USERS_H
#define COMMON_AUTH_SYSTEM_USERS_H

#include "common/error.h"
#include "common/slice.h"

enum {
    SYSTEM_USER_NAME_MAX = 64,
    SYSTEM_USER_HOME_MAX = 512, /* with its NUL */
};

struct system_user {
    uint32_t uid;
    uint32_t gid;
    char name[SYSTEM_USER_NAME_MAX + 1];
    char home[SYSTEM_USER_HOME_MAX]; /* absolute, no '/' at its end */
};

/* Fills *user with the user of that name, or with the first user if it is empty. ERROR_NOT_FOUND:
 * no such user has mail; ERROR_TEMPORARY: NSS cannot tell now. See system_lookup.h. */
typedef bool system_user_lookup(const char *name, struct system_user *user, struct error *error);

struct system_users;

/* look_up: NULL in `auth`, which uses system_users_take_wanted(). After sodium_init(). NULL with
 * *error: no memory. */
struct system_users *system_users_new(system_user_lookup *look_up, struct error *error);
void system_users_free(struct system_users *users); /* NULL is fine */

/* The user of that canonical (lower-case) name; the empty name means the first user (for
 * `postmaster`). ERROR_NOT_FOUND: no such user. ERROR_TEMPORARY: not known yet. */
bool system_users_find(struct system_users *users, struct slice name, uint64_t now_ms,
                       struct system_user *user, struct error *error);

/* The name that system_users_find() did not know since the last call; false: none. */
bool system_users_take_wanted(struct system_users *users, char name[SYSTEM_USER_NAME_MAX + 1]);

/* user: NULL if there is none. */
void system_users_learn(struct system_users *users, struct slice name,
                        const struct system_user *user, uint64_t now_ms);

#endif
