/* `staffetta run`: the checks, then this process becomes libexec/master beside it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/check.h"
#include "ctl/command.h"

/* "<directory of this executable>/libexec/master" */
static bool find_master(char path[PATH_MAX], struct error *error)
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

static bool check_before_start(const struct command *command)
{
    struct config config;
    struct config_mistakes mistakes = {0};
    bool good = command_read_config(command, &config);
    if (good) {
        check_house(&config, CHECK_STOPPED, &mistakes);
        config_mistakes_print(&mistakes, command->config_path);
        good = mistakes.fatal == 0;
    }
    config_mistakes_clear(&mistakes);
    config_clear(&config);
    return good;
}

enum command_status verb_run(const struct command *command)
{
    char master[PATH_MAX];
    struct error error = {0};
    if (command->count != 0)
        return command_usage(command, "");
    if (!check_before_start(command))
        return COMMAND_FAILED;
    if (!find_master(master, &error))
        return command_fail(command, &error);
    /* execv takes what it does not write as writable. */
    execv(master, (char *const[]){master, (char *)(uintptr_t)command->config_path, NULL});
    error_errno(&error, "run %s", master);
    return command_fail(command, &error);
}
