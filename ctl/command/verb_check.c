/* `staffetta check`: every mistake in the configuration and in what it names. */
#include <stdio.h>
#include <string.h>

#include "ctl/command/command.h"

enum command_status verb_check(const struct command *command)
{
    bool running = command->count == 1 && strcmp(command->arguments[0], "--running") == 0;
    if (command->count > (running ? 1 : 0))
        return command_usage(command, "[--running]");
    if (!command_check(command, running ? CHECK_RUNNING : CHECK_STOPPED))
        return COMMAND_FAILED;
    printf("%s: no mistakes\n", command->config_path);
    return COMMAND_DONE;
}
