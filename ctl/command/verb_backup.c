/*
 * `staffetta backup DIR` and `staffetta restore DIR`. A backup is
 *
 *   queue/     the queue's directory: database and long bodies
 *   journal/   the history's; missing where none is kept
 *   files/     configuration, accounts, aliases, the key of rewritten senders: each under its path
 *
 * The process that owns a database copies it below its own directory (smtpd/queue/store/backup.h,
 * ctl/journal/journal_backup.h), and the command takes it from there: no process needs additional
 * rights for a backup. DIR is called DIR.partial until it is complete and on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/disk/tree.h"
#include "common/role/role_user.h"
#include "ctl/command/backup_files.h"
#include "ctl/command/command.h"

static const struct part {
    const char *name; /* of the directory, in the state and in the backup */
    const char *verb; /* of the control socket */
    enum role_kind role;
} parts[] = {
    {"journal", "backup-journal", ROLE_JOURNAL},
    {"queue", "backup-queue", ROLE_QUEUE}, /* last: mail flows once it is there again */
};

/* Of QUEUE_STORE_RESTORED; ctl knows nothing else of smtpd. */
static const char restored_name[] = "restored";

/* ---- backup ---- */

static bool ask_part(const struct config *config, const struct part *part, char *word,
                     struct error *error)
{
    char *words[] = {word};
    const struct command question = {.verb = part->verb, .count = 1, .arguments = words};
    return command_ask(&question, config->control_socket.text, error);
}

/* A directory two steps below another. */
static int open_below(const char *path, const char *name, const char *inner, struct error *error)
{
    int fd = -1, name_fd = -1;
    int path_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (path_fd < 0)
        error_errno(error, "open %s", path);
    else
        name_fd = tree_open(path_fd, name, error);
    if (name_fd >= 0)
        fd = tree_open(name_fd, inner, error);
    fd_discard(&path_fd);
    fd_discard(&name_fd);
    return fd;
}

static bool save_part(const struct config *config, const struct part *part, int backup_fd,
                      struct error *error)
{
    bool saved = false;
    int from_fd = -1, to_fd = -1;
    if (!ask_part(config, part, (char[]){"begin"}, error))
        return false;
    from_fd = open_below(config->state.text, part->name, "backup", error);
    if (from_fd >= 0)
        to_fd = tree_make(backup_fd, part->name, error);
    saved = to_fd >= 0 && tree_copy(from_fd, to_fd, NULL, error);
    fd_discard(&from_fd);
    fd_discard(&to_fd);
    /* Where that fails the next backup or start removes what is left. */
    return ask_part(config, part, (char[]){"end"}, saved ? error : NULL) && saved;
}

static bool is_kept(const struct config *config, const struct part *part)
{
    return part->role != ROLE_JOURNAL || config->log.history_ms > 0;
}

static bool save_parts(const struct command *command, const struct config *config, int backup_fd,
                       struct error *error)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (is_kept(config, &parts[i]) && !save_part(config, &parts[i], backup_fd, error))
            return false;
    int files_fd = tree_make(backup_fd, "files", error);
    bool saved = files_fd >= 0 && backup_files_save(config, command->config_path, files_fd, error);
    fd_discard(&files_fd);
    return saved && fd_sync_filesystem(backup_fd, error);
}

/* The name is on disk with the directory that has it. */
static bool finish_backup(const char *partial, const char *path, struct error *error)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof(parent), "%s/..", path);
    if (rename(partial, path) != 0)
        return error_errno(error, "rename %s to %s", partial, path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool flushed = fd >= 0 && fsync(fd) == 0;
    if (!flushed)
        error_errno(error, "flush %s", parent);
    fd_discard(&fd);
    return flushed;
}

static bool back_up(const struct command *command, const struct config *config, const char *path,
                    struct error *error)
{
    char partial[PATH_MAX];
    int length = snprintf(partial, sizeof(partial), "%s.partial", path);
    if (length < 0 || (size_t)length + sizeof("/..") > sizeof(partial))
        return error_set(error, ERROR_PERMANENT, "%s is too long", path);
    if (access(path, F_OK) == 0)
        return error_set(error, ERROR_EXISTS, "%s is there already", path);
    if (mkdir(partial, 0700) != 0)
        return error_errno(error, "make %s", partial);
    int fd = tree_open(AT_FDCWD, partial, error);
    bool saved = fd >= 0 && save_parts(command, config, fd, error);
    fd_discard(&fd);
    if (!saved) {
        tree_remove(AT_FDCWD, partial, NULL);
        return false;
    }
    return finish_backup(partial, path, error);
}

/* Without what a shell's completion puts after a directory's name. */
static void cut_slashes(char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
}

enum command_status verb_backup(const struct command *command)
{
    struct config config;
    struct error error = {0};
    if (command->count != 1 || command->arguments[0][0] == '\0')
        return command_usage(command, "DIRECTORY");
    cut_slashes(command->arguments[0]);
    enum command_status status = COMMAND_FAILED;
    if (command_read_config_as_it_is(command, &config))
        status = back_up(command, &config, command->arguments[0], &error)
                     ? COMMAND_DONE
                     : command_fail(command, &error);
    config_clear(&config);
    return status;
}

/* ---- restore ---- */

/* An empty directory of an earlier start goes, and comes back with the backup or the next start. */
static bool make_way(const char *path, struct error *error)
{
    if (rmdir(path) == 0 || errno == ENOENT)
        return true;
    if (errno == ENOTEMPTY || errno == EEXIST)
        return error_set(error, ERROR_EXISTS,
                         "%s has something in it: a backup is put back into an empty state", path);
    return error_errno(error, "look into %s", path);
}

static bool part_path(const struct config *config, const char *name, char path[PATH_MAX],
                      struct error *error)
{
    int length = snprintf(path, PATH_MAX, "%s/%s", config->state.text, name);
    return (length >= 0 && length < PATH_MAX)
           || error_set(error, ERROR_PERMANENT, "%s is too long", config->state.text);
}

/* All that could be in the way is found before anything is done. */
static bool check_empty(const struct config *config, int files_fd, struct error *error)
{
    char path[PATH_MAX];
    if (command_server_runs(config->control_socket.text))
        return error_set(error, ERROR_EXISTS, "staffetta runs: staffetta stop first");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!part_path(config, parts[i].name, path, error) || !make_way(path, error))
            return false;
    return backup_files_check(files_fd, error);
}

static bool fill_part(const struct config *config, const struct part *part, int from_fd, int to_fd,
                      struct error *error)
{
    struct role_user user;
    struct tree_owner owner = {0};
    bool is_root = geteuid() == 0;
    if (!role_user_find(config, part->role, is_root, &user, error))
        return false;
    owner.uid = user.uid;
    owner.gid = user.gid;
    if (!tree_copy(from_fd, to_fd, &owner, error))
        return false;
    if (part->role != ROLE_QUEUE)
        return true;
    int mark = openat(to_fd, restored_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (mark < 0 || fchown(mark, owner.uid, owner.gid) != 0)
        error_errno(error, "create %s", restored_name);
    else if (fd_close(&mark, error))
        return true;
    fd_discard(&mark);
    return false;
}

static bool restore_part(const struct config *config, const struct part *part, int backup_fd,
                         struct error *error)
{
    char path[PATH_MAX], unfinished[PATH_MAX], name[64];
    int from_fd = tree_open(backup_fd, part->name, error), to_fd = -1;
    if (from_fd < 0)
        return error && error->kind == ERROR_NOT_FOUND && part->role == ROLE_JOURNAL;
    snprintf(name, sizeof(name), "%s.restoring", part->name);
    bool restored = part_path(config, part->name, path, error)
                    && part_path(config, name, unfinished, error)
                    && tree_remove(AT_FDCWD, unfinished, error);
    if (restored)
        to_fd = tree_make(AT_FDCWD, unfinished, error);
    restored = to_fd >= 0 && fill_part(config, part, from_fd, to_fd, error)
               && fd_sync_filesystem(to_fd, error)
               && (rename(unfinished, path) == 0 || error_errno(error, "rename to %s", path));
    fd_discard(&from_fd);
    fd_discard(&to_fd);
    return restored;
}

static bool restore_all(const struct config *config, int backup_fd, struct error *error)
{
    int files_fd = tree_open(backup_fd, "files", error);
    bool restored = files_fd >= 0 && check_empty(config, files_fd, error)
                    && backup_files_restore(files_fd, error);
    fd_discard(&files_fd);
    if (restored && mkdir(config->state.text, 0755) != 0 && errno != EEXIST)
        restored = error_errno(error, "make %s", config->state.text);
    for (size_t i = 0; restored && i < sizeof(parts) / sizeof(parts[0]); i++)
        restored = restore_part(config, &parts[i], backup_fd, error);
    if (!restored)
        return false;
    int state_fd = tree_open(AT_FDCWD, config->state.text, error);
    bool flushed = state_fd >= 0 && fd_sync_filesystem(state_fd, error);
    fd_discard(&state_fd);
    return flushed;
}

/* The configuration that counts is the backup's. */
static bool read_saved_config(const struct command *command, const char *backup,
                              struct config *config)
{
    char path[PATH_MAX];
    struct command saved = *command;
    int length = snprintf(path, sizeof(path), "%s/files%s", backup, command->config_path);
    *config = (struct config){0};
    if (command->config_path[0] != '/' || length < 0 || (size_t)length >= sizeof(path)) {
        struct error error;
        error_set(&error, ERROR_PERMANENT, "-c wants the whole path that the file had");
        command_fail(command, &error);
        return false;
    }
    saved.config_path = path;
    return command_read_config(&saved, config);
}

enum command_status verb_restore(const struct command *command)
{
    struct config config;
    struct error error = {0};
    if (command->count != 1)
        return command_usage(command, "DIRECTORY");
    const char *backup = command->arguments[0];
    enum command_status status = COMMAND_FAILED;
    if (!read_saved_config(command, backup, &config))
        goto done;
    int fd = tree_open(AT_FDCWD, backup, &error);
    bool restored = fd >= 0 && restore_all(&config, fd, &error);
    fd_discard(&fd);
    status = restored ? COMMAND_DONE : command_fail(command, &error);
done:
    config_clear(&config);
    return status;
}
