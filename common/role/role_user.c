/* Users of the roles; see role_user.h. Looks into the system's accounts. */
#include "common/role/role_user.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

static const char *const suffixes[ROLE_KINDS] = {
    [ROLE_JOURNAL] = "journal", [ROLE_AUTH] = "auth",         [ROLE_CHECK] = "check",
    [ROLE_KEYS] = "keys",       [ROLE_SMTP] = "smtp",         [ROLE_SUBMISSION] = "submission",
    [ROLE_FILTER] = "filter",   [ROLE_QUEUE] = "queue",       [ROLE_IMAP_LOGIN] = "imap",
    [ROLE_POP3_LOGIN] = "pop3", [ROLE_RESOLVER] = "resolver", [ROLE_RELAY] = "relay",
    [ROLE_FETCH] = "fetch",     [ROLE_HTTP] = "http",
};

const char *role_user_suffix(enum role_kind kind)
{
    return (unsigned)kind < ROLE_KINDS && suffixes[kind] ? suffixes[kind] : "";
}

static bool find_account(const char *name, struct role_user *user, struct error *error)
{
    char memory[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    int code = getpwnam_r(name, &entry, memory, sizeof(memory), &found);
    if (code != 0) {
        errno = code;
        return error_errno(error, "system user %s", name);
    }
    if (!found)
        return error_set(error, ERROR_NOT_FOUND,
                         "there is no system user %s: make it, or set uid-base", name);
    *user = (struct role_user){.uid = found->pw_uid, .gid = found->pw_gid};
    return true;
}

bool role_user_find(const struct config *config, enum role_kind kind, bool is_root,
                    struct role_user *user, struct error *error)
{
    *user = (struct role_user){.uid = geteuid(), .gid = getegid()};
    if (!is_root)
        return true;
    if (config->uid_base) {
        user->uid = user->gid = config->uid_base + (uint32_t)kind;
        return true;
    }
    char name[256];
    snprintf(name, sizeof(name), "%s%s", config->role_users.text, role_user_suffix(kind));
    return find_account(name, user, error);
}

bool role_user_find_mail(const struct config *config, const struct config_accounts *accounts,
                         bool is_root, struct role_user *user, struct error *error)
{
    *user = (struct role_user){.uid = geteuid(), .gid = getegid()};
    if (!is_root)
        return true;
    if (config->uid_base) {
        user->uid = user->gid = config->uid_base + ROLE_USER_MAIL;
        return true;
    }
    return find_account(accounts->user.text, user, error);
}
