/*
 * The role `check`: answers one question of `auth` at a time, and blocks meanwhile: is this the
 * password (PAM or Argon2id), whose is that access token (oauth.keys), who is that system user
 * (NSS). No root: a uid of its own, and the
 * group shadow for pam_unix. Modules of PAM and NSS do as they like here, within Landlock; one that
 * hangs is met by `auth`, which has the worker replaced.
 */
#ifndef COMMON_AUTH_CHECK_H
#define COMMON_AUTH_CHECK_H

#include "common/auth/shared_file.h"
#include "common/role.h"

/* The issuer's keys, which are looked at for each token. */
struct check {
    int keys_dir_fd;
    struct shared_file keys_file;
    struct buffer keys; /* as last read */
};

extern const struct role_spec check_role; /* its state is a struct check */

#endif
