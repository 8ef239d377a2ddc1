/*
 * The role `check`: answers one question of `auth` at a time, and may block: checks passwords (PAM
 * or Argon2id), access tokens and certificates, looks up system users (NSS). Not root: a uid of its
 * own, and the group shadow for pam_unix. Modules of PAM and NSS are confined by Landlock only; if
 * one hangs, `auth` has the worker replaced.
 */
#ifndef COMMON_AUTH_CHECK_H
#define COMMON_AUTH_CHECK_H

#include "common/auth/shared_file.h"
#include "common/role/role.h"

/* A file that is checked for changes at each question. */
struct check_file {
    int dir_fd; /* -1: not configured */
    struct shared_file file;
    struct buffer text; /* as last read */
};

struct check {
    struct check_file keys;        /* oauth.keys */
    struct check_file authorities; /* client-certificates.authorities */
};

extern const struct role_spec check_role; /* its state is a struct check */

#endif
