/*
 * System users as accounts: what is known of their names, remembered for a minute, so that a RCPT
 * costs a microsecond and a stream of invented names no more than one look each.
 *
 * `auth` never asks NSS itself: modules of NSS open sockets, load libraries and may hang. What the
 * cache does not know it says (ERROR_TEMPORARY, and system_users_take_wanted() names it); a `check`
 * worker looks it up, system_users_learn() takes the answer, and the question is asked again. The
 * command line, which may block, gives the cache a function that looks up at once. Pure but for
 * that.
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

/* Fills *user with the user of that name, or the first of all if it is empty. ERROR_NOT_FOUND:
 * there is none with mail; ERROR_TEMPORARY: nobody can tell now. See system_lookup.h. */
typedef bool system_user_lookup(const char *name, struct system_user *user, struct error *error);

struct system_users;

/* look_up: NULL where others look up. NULL with *error where there is no memory. sodium_init() was
 * called. */
struct system_users *system_users_new(system_user_lookup *look_up, struct error *error);
void system_users_free(struct system_users *users); /* NULL is fine */

/* The user of that name, which is in lower case as canonical.h makes it; the empty name is the
 * first user of all, whoever that is (for `postmaster`). ERROR_NOT_FOUND: there is none.
 * ERROR_TEMPORARY: not known. */
bool system_users_find(struct system_users *users, struct slice name, uint64_t now_ms,
                       struct system_user *user, struct error *error);

/* The name that find() did not know since this was last called; false if there was none. */
bool system_users_take_wanted(struct system_users *users, char name[SYSTEM_USER_NAME_MAX + 1]);

/* user: NULL if there is none. */
void system_users_learn(struct system_users *users, struct slice name,
                        const struct system_user *user, uint64_t now_ms);

#endif
