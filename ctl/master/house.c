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

static bool open_state(struct house *house, bool is_root, struct error *error)
{
    const char *path = house->config.state.text;
    struct role_user queue, journal, fetch;
    if (!role_user_find(&house->config, ROLE_QUEUE, is_root, &queue, error)
        || !role_user_find(&house->config, ROLE_JOURNAL, is_root, &journal, error)
        || !role_user_find(&house->config, ROLE_FETCH, is_root, &fetch, error))
        return false;
    if (!make_directory(AT_FDCWD, path, 0755, error))
        return false;
    house->state_fd = open_directory(AT_FDCWD, path, error);
    if (house->state_fd < 0)
        return false;
    if (!make_directory(house->state_fd, "empty", 0555, error)
        || !make_directory(house->state_fd, "queue", 0700, error)
        || !make_directory(house->state_fd, "journal", 0700, error)
        || !make_directory(house->state_fd, "fetch", 0700, error))
        return error_prefix(error, "%s", path);
    house->empty_fd = open_directory(house->state_fd, "empty", error);
    house->queue_fd = open_directory(house->state_fd, "queue", error);
    house->journal_fd = open_directory(house->state_fd, "journal", error);
    house->fetch_fd = open_directory(house->state_fd, "fetch", error);
    if (house->empty_fd < 0 || house->queue_fd < 0 || house->journal_fd < 0 || house->fetch_fd < 0
        || !give_directory(house->queue_fd, &queue, 0700, error)
        || !give_directory(house->journal_fd, &journal, 0700, error)
        || !give_directory(house->fetch_fd, &fetch, 0700, error))
        return error_prefix(error, "%s", path);
    return true;
}

/* The tree of virtual mail is made where it is missing; one that is there keeps its owner. */
static bool make_mail_trees(const struct house *house, bool is_root, struct error *error)
{
    for (size_t i = 0; i < house->config.accounts_count; i++) {
        const struct config_accounts *accounts = &house->config.accounts[i];
        struct role_user user;
        if (accounts->source != CONFIG_SOURCE_FILE)
            continue;
        if (!role_user_find_mail(&house->config, accounts, is_root, &user, error))
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

static bool read_config(struct house *house, const char *path, struct error *error)
{
    house->config_fd = config_open(path, error);
    if (house->config_fd < 0)
        return false;
    struct config_mistakes mistakes = {0};
    bool parsed = config_parse_fd(house->config_fd, &house->config, &mistakes);
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

static bool count_from(struct house *house, const struct house *before, struct error *error)
{
    house->number = house->places_since = before ? before->number + 1 : 1;
    if (!before)
        return true;
    if (are_same_places(&house->config, &before->config))
        house->places_since = before->places_since;
    return may_follow(&house->config, &before->config, error);
}

bool house_open(struct house *house, const struct master *master, const struct open_sockets *open,
                const struct house *before, struct error *error)
{
    *house = (struct house){
        .config_fd = -1,
        .state_fd = -1,
        .empty_fd = -1,
        .queue_fd = -1,
        .journal_fd = -1,
        .fetch_fd = -1,
    };
    return read_config(house, master->config_path, error) && count_from(house, before, error)
           && open_state(house, master->is_root, error)
           && make_mail_trees(house, master->is_root, error) && listeners_open(house, open, error);
}

void house_close(struct house *house)
{
    for (size_t i = 0; i < house->listener_count; i++)
        fd_discard(&house->listeners[i].fd);
    house->listener_count = 0;
    fd_discard(&house->config_fd);
    fd_discard(&house->state_fd);
    fd_discard(&house->empty_fd);
    fd_discard(&house->queue_fd);
    fd_discard(&house->journal_fd);
    fd_discard(&house->fetch_fd);
    config_clear(&house->config);
}
