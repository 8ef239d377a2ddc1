/* `staffetta run`: the checks, then this process becomes libexec/master beside it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/command/command.h"

bool command_find_master(char path[PATH_MAX], struct error *error)
{
    static const char master[] = "/libexec/master";
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length < 0)
        return error_errno(error, "read /proc/self/exe");
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) + sizeof(master) > PATH_MAX)
        return error_set(error, ERROR_PERMANENT, "no directory in %.100s", path);
    memcpy(slash, master, sizeof(master));
    return true;
}

enum command_status verb_run(const struct command *command)
{
    char master[PATH_MAX];
    struct error error = {0};
    if (command->count != 0)
        return command_usage(command, "");
    if (!command_check(command, CHECK_STOPPED))
        return COMMAND_FAILED;
    if (!command_find_master(master, &error))
        return command_fail(command, &error);
    /* execv takes what it does not write as writable. */
    execv(master, (char *const[]){master, (char *)(uintptr_t)command->config_path, NULL});
    error_errno(&error, "run %s", master);
    return command_fail(command, &error);
}
