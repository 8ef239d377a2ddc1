/*
 * Opens what the configuration in force names: state directories (made if they are missing, with
 * the right owner) and listening sockets. The master only, as root or in single-user mode.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "ctl/master/master.h"

static bool make_directory(int parent, const char *name, mode_t mode, struct error *error)
{
    if (mkdirat(parent, name, mode) != 0 && errno != EEXIST)
        return error_errno(error, "make directory %s", name);
    return true;
}

static int open_directory(int parent, const char *name, struct error *error)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        error_errno(error, "open directory %s", name);
    return fd;
}

/* The directory is to belong to that user, whoever made it. */
static bool give_directory(int fd, const struct role_user *user, mode_t mode, struct error *error)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0)
        return error_errno(error, "state directory");
    if ((facts.st_uid != user->uid || facts.st_gid != user->gid)
        && fchown(fd, user->uid, user->gid) != 0)
        return error_errno(error, "give state directory to uid %u", user->uid);
    if ((facts.st_mode & 07777) != mode && fchmod(fd, mode) != 0)
        return error_errno(error, "mode of state directory");
    return true;
}

static bool open_state(struct setup *setup, bool is_root, struct error *error)
{
    const char *path = setup->config.state.text;
    struct role_user queue, journal, fetch;
    if (!role_user_find(&setup->config, ROLE_QUEUE, is_root, &queue, error)
        || !role_user_find(&setup->config, ROLE_JOURNAL, is_root, &journal, error)
        || !role_user_find(&setup->config, ROLE_FETCH, is_root, &fetch, error))
        return false;
    if (!make_directory(AT_FDCWD, path, 0755, error))
        return false;
    setup->state_fd = open_directory(AT_FDCWD, path, error);
    if (setup->state_fd < 0)
        return false;
    if (!make_directory(setup->state_fd, "empty", 0555, error)
        || !make_directory(setup->state_fd, "queue", 0700, error)
        || !make_directory(setup->state_fd, "journal", 0700, error)
        || !make_directory(setup->state_fd, "fetch", 0700, error))
        return error_prefix(error, "%s", path);
    setup->empty_fd = open_directory(setup->state_fd, "empty", error);
    setup->queue_fd = open_directory(setup->state_fd, "queue", error);
    setup->journal_fd = open_directory(setup->state_fd, "journal", error);
    setup->fetch_fd = open_directory(setup->state_fd, "fetch", error);
    if (setup->empty_fd < 0 || setup->queue_fd < 0 || setup->journal_fd < 0 || setup->fetch_fd < 0
        || !give_directory(setup->queue_fd, &queue, 0700, error)
        || !give_directory(setup->journal_fd, &journal, 0700, error)
        || !give_directory(setup->fetch_fd, &fetch, 0700, error))
        return error_prefix(error, "%s", path);
    return true;
}

/* The tree of virtual mail is made where it is missing; one that is there keeps its owner. */
static bool make_mail_trees(const struct setup *setup, bool is_root, struct error *error)
{
    for (size_t i = 0; i < setup->config.accounts_count; i++) {
        const struct config_accounts *accounts = &setup->config.accounts[i];
        struct role_user user;
        if (accounts->source != CONFIG_SOURCE_FILE)
            continue;
        if (!role_user_find_mail(&setup->config, accounts, is_root, &user, error))
            return false;
        if (mkdir(accounts->mail.text, 0700) != 0) {
            if (errno == EEXIST)
                continue;
            return error_errno(error, "make %s", accounts->mail.text);
        }
        if (is_root && chown(accounts->mail.text, user.uid, user.gid) != 0)
            return error_errno(error, "give %s to uid %u", accounts->mail.text, user.uid);
    }
    return true;
}

static bool read_config(struct setup *setup, const char *path, struct error *error)
{
    setup->config_fd = config_open(path, error);
    if (setup->config_fd < 0)
        return false;
    struct config_mistakes mistakes = {0};
    bool parsed = config_parse_fd(setup->config_fd, &setup->config, &mistakes);
    if (!parsed && mistakes.count)
        error_set(error, ERROR_PERMANENT, "%s:%u: %s", path, mistakes.items[0].line,
                  mistakes.items[0].text);
    else if (!parsed)
        error_set(error, ERROR_PERMANENT, "%s: not readable", path);
    config_mistakes_clear(&mistakes);
    return parsed;
}

/* --- What follows what -------------------------------------------------------------------------
 */

static bool is_text(struct config_text a, struct config_text b)
{
    return slice_equal(slice_of_string(a.text), slice_of_string(b.text));
}

/* Roles that live through a reload are in their directories, and have their uids, since birth. */
static bool may_follow(const struct config *config, const struct config *before,
                       struct error *error)
{
    const struct {
        const char *key;
        bool same;
    } fixed[] = {
        {"state", is_text(config->state, before->state)},
        {"control-socket", is_text(config->control_socket, before->control_socket)},
        {"role-users", is_text(config->role_users, before->role_users)},
        {"uid-base", config->uid_base == before->uid_base},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(fixed); i++)
        if (!fixed[i].same)
            return error_set(error, ERROR_PERMANENT,
                             "%s cannot change while the server runs, and all stays as it was: "
                             "stop it and start it again",
                             fixed[i].key);
    return true;
}

static bool are_same_places(const struct config *config, const struct config *before)
{
    if (config->accounts_count != before->accounts_count)
        return false;
    for (size_t i = 0; i < config->accounts_count; i++)
        if (config->accounts[i].source != before->accounts[i].source
            || !is_text(config->accounts[i].mail, before->accounts[i].mail))
            return false;
    return true;
}

static bool count_from(struct setup *setup, const struct setup *before, struct error *error)
{
    setup->number = setup->places_since = before ? before->number + 1 : 1;
    if (!before)
        return true;
    if (are_same_places(&setup->config, &before->config))
        setup->places_since = before->places_since;
    return may_follow(&setup->config, &before->config, error);
}

bool setup_open(struct setup *setup, const struct master *master, const struct open_sockets *open,
                const struct setup *before, struct error *error)
{
    *setup = (struct setup){
        .config_fd = -1,
        .state_fd = -1,
        .empty_fd = -1,
        .queue_fd = -1,
        .journal_fd = -1,
        .fetch_fd = -1,
    };
    return read_config(setup, master->config_path, error) && count_from(setup, before, error)
           && open_state(setup, master->is_root, error)
           && make_mail_trees(setup, master->is_root, error) && listeners_open(setup, open, error);
}

void setup_close(struct setup *setup)
{
    for (size_t i = 0; i < setup->listener_count; i++)
        fd_discard(&setup->listeners[i].fd);
    setup->listener_count = 0;
    fd_discard(&setup->config_fd);
    fd_discard(&setup->state_fd);
    fd_discard(&setup->empty_fd);
    fd_discard(&setup->queue_fd);
    fd_discard(&setup->journal_fd);
    fd_discard(&setup->fetch_fd);
    config_clear(&setup->config);
}
