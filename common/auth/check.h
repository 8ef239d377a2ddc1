/*
 * The role `check`: answers one question of `auth` at a time, and blocks meanwhile: is this the
 * password (PAM or Argon2id), whose is that access token or certificate, who is that system user
 * (NSS). No root: a uid of its own, and the group shadow for pam_unix. Modules of PAM and NSS do as
 * they like here, within Landlock; one that hangs is met by `auth`, which has the worker replaced.
 */
#ifndef COMMON_AUTH_CHECK_H
#define COMMON_AUTH_CHECK_H

#include "common/auth/shared_file.h"
#include "common/role/role.h"

/* A file that is looked at for each question. */
struct check_file {
    int dir_fd; /* -1: it was not configured */
    struct shared_file file;
    struct buffer text; /* as last read */
};

struct check {
    struct check_file keys;        /* oauth.keys */
    struct check_file authorities; /* client-certificates.authorities */
};

extern const struct role_spec check_role; /* its state is a struct check */

#endif
