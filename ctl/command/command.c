/* What several verbs of the `staffetta` command do in the same way. */
#include "ctl/command/command.h"

#include <stdio.h>
#include <unistd.h>

#include "common/disk/fd.h"

static bool read_config(const struct command *command, struct config *config,
                        struct config_mistakes *mistakes)
{
    struct error error = {0};
    *config = (struct config){0};
    int fd = config_open(command->config_path, &error);
    if (fd < 0) {
        command_fail(command, &error);
        return false;
    }
    config_parse_fd(fd, config, mistakes);
    fd_discard(&fd);
    return true;
}

bool command_read_config(const struct command *command, struct config *config)
{
    struct config_mistakes mistakes = {0};
    bool good = read_config(command, config, &mistakes) && mistakes.fatal == 0;
    config_mistakes_print(&mistakes, command->config_path);
    config_mistakes_clear(&mistakes);
    return good;
}

bool command_read_config_as_it_is(const struct command *command, struct config *config)
{
    struct config_mistakes mistakes = {0};
    struct error error = {0};
    bool read = read_config(command, config, &mistakes);
    config_mistakes_clear(&mistakes);
    if (!read || config->control_socket.text)
        return read;
    error_set(&error, ERROR_PERMANENT, "control-socket is mistaken: see staffetta check");
    command_fail(command, &error);
    return false;
}

bool command_check(const struct command *command, enum check_when when)
{
    struct config config;
    struct config_mistakes mistakes = {0};
    bool good = read_config(command, &config, &mistakes);
    if (good) {
        check_config(&config, when, &mistakes);
        config_mistakes_print(&mistakes, command->config_path);
        good = mistakes.fatal == 0;
    }
    config_mistakes_clear(&mistakes);
    config_clear(&config);
    return good;
}

enum command_status command_fail(const struct command *command, const struct error *error)
{
    if (slice_starts_with(slice_of_string(error->text), SLICE("usage: "))) {
        fprintf(stderr, "%s\n", error->text);
        return COMMAND_USAGE;
    }
    fprintf(stderr, "staffetta %s: %s\n", command->verb, error->text);
    return COMMAND_FAILED;
}

enum command_status command_usage(const struct command *command, const char *arguments)
{
    fprintf(stderr, "usage: staffetta %s %s\n", command->verb, arguments);
    return COMMAND_USAGE;
}
