/* `staffetta check`: every mistake in the configuration and in what it names. */
#include <stdio.h>
#include <string.h>

#include "ctl/check.h"
#include "ctl/command.h"

enum command_status verb_check(const struct command *command)
{
    struct config config;
    struct config_mistakes mistakes = {0};
    bool running = command->count == 1 && strcmp(command->arguments[0], "--running") == 0;
    if (command->count > (running ? 1 : 0))
        return command_usage(command, "[--running]");
    bool good = command_read_config(command, &config);
    if (good) {
        check_house(&config, running ? CHECK_RUNNING : CHECK_STOPPED, &mistakes);
        config_mistakes_print(&mistakes, command->config_path);
        good = mistakes.fatal == 0;
    }
    config_mistakes_clear(&mistakes);
    config_clear(&config);
    if (good)
        printf("%s: no mistakes\n", command->config_path);
    return good ? COMMAND_DONE : COMMAND_FAILED;
}
