/* System users, the kernel, descriptors, PAM. */
#include <linux/landlock.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/role/role.h"
#include "common/role/role_user.h"
#include "ctl/check/check.h"

enum { LANDLOCK_ABI_NEEDED = 2 }; /* REFER: new/ to cur/ is a rename between directories */

static void check_role_users(const struct config *config, struct config_mistakes *mistakes)
{
    unsigned missing = 0;
    const char *first = NULL;
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++) {
        struct role_user user;
        const char *suffix = role_user_suffix(kind);
        if (kind == ROLE_HTTP && !config_has_service(config, CONFIG_HTTP))
            continue; /* the users of an older version do as long as nothing new is asked for */
        if (*suffix && !role_user_find(config, kind, true, &user, NULL)) {
            first = first ? first : suffix;
            missing++;
        }
    }
    if (missing > 0)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, config->role_users.line,
                            "there is no system user %.60s%s, nor %u others: run systemd-sysusers "
                            "after make install, or write role-users",
                            config->role_users.text, first, missing - 1);
}

static void check_mail_users(const struct config *config, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < config->accounts_count; i++) {
        const struct config_accounts *accounts = &config->accounts[i];
        struct role_user user;
        if (accounts->source != CONFIG_SOURCE_FILE
            || role_user_find_mail(config, accounts, true, &user, NULL))
            continue;
        config_mistakes_add(mistakes, CONFIG_MISTAKE,
                            accounts->user.line ? accounts->user.line : accounts->line,
                            "there is no system user %.60s to own the mail: make it, or write "
                            "user = another",
                            accounts->user.text);
    }
}

static void check_landlock(struct config_mistakes *mistakes)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < LANDLOCK_ABI_NEEDED)
        config_mistakes_add(mistakes, CONFIG_WARNING, 0,
                            "this kernel has no Landlock (ABI 2, Linux 5.19): users are kept apart "
                            "by their uids alone");
}

/* Of a server that starts with fewer most roles run, and none takes a connection. */
static void check_descriptors(struct config_mistakes *mistakes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max >= ROLE_DESCRIPTORS_LEAST)
        return;
    config_mistakes_add(mistakes, CONFIG_MISTAKE, 0,
                        "a process may open %llu files here, and %d are needed, 65536 for many "
                        "connections: raise ulimit -Hn, or LimitNOFILE of the systemd unit",
                        (unsigned long long)limit.rlim_max, ROLE_DESCRIPTORS_LEAST);
}

static void check_pam(const struct config *config, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < config->accounts_count; i++)
        if (config->accounts[i].source == CONFIG_SOURCE_PAM
            && access("/etc/pam.d/staffetta", R_OK) != 0)
            config_mistakes_add(mistakes, CONFIG_WARNING, config->accounts[i].line,
                                "there is no /etc/pam.d/staffetta, so PAM asks its service "
                                "\"other\": install conf/staffetta.pam there");
}

void check_system(const struct config *config, struct config_mistakes *mistakes)
{
    if (geteuid() == 0 && config->uid_base == 0) {
        check_role_users(config, mistakes);
        check_mail_users(config, mistakes);
    }
    check_landlock(mistakes);
    check_descriptors(mistakes);
    check_pam(config, mistakes);
}
