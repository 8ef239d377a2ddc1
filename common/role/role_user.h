/*
 * The uid and gid of a role when root started the server: those of the system account
 * <role-users><name> ("staffetta-queue"), or, with uid-base, numbers without an account. In
 * single-user mode all roles have the uid of the user who started the server. Used by the master,
 * auth and the command.
 */
#ifndef COMMON_ROLE_ROLE_USER_H
#define COMMON_ROLE_ROLE_USER_H

#include "common/config/config.h"
#include "common/role/role_kind.h"

struct role_user {
    uint32_t uid;
    uint32_t gid;
};

/* The part of the account's name after role-users: "queue", "smtp". Static. */
const char *role_user_suffix(enum role_kind kind);

/* False, ERROR_NOT_FOUND: the account does not exist. Not for deliver, mailbox and maildrop, which
 * run under the uid of the mail's owner. */
bool role_user_find(const struct config *config, enum role_kind kind, bool is_root,
                    struct role_user *user, struct error *error);

/* The owner of virtual mail: `accounts { user = … }`, or uid-base + ROLE_USER_MAIL. */
enum { ROLE_USER_MAIL = 50 };
bool role_user_find_mail(const struct config *config, const struct config_accounts *accounts,
                         bool is_root, struct role_user *user, struct error *error);

#endif
