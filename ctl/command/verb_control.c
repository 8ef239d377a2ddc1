/*
 * The verbs that the running server answers, over its control socket (ctl/master/control.c): one
 * line goes there, the answer comes until the end of the stream, "ok" or "error: ..." first.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/disk/fd.h"
#include "common/role/master_protocol.h"
#include "ctl/command/command.h"

static int connect_to(const char *path, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof(address.sun_path)) {
        error_set(error, ERROR_PERMANENT, "control-socket: the path is too long");
        return -1;
    }
    memcpy(address.sun_path, path, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (errno == ENOENT || errno == ECONNREFUSED)
        error_set(error, ERROR_NOT_FOUND, "staffetta does not run (nobody answers on %s)", path);
    else if (errno == EACCES)
        error_set(error, ERROR_PERMANENT,
                  "only root, or who started it, may ask the running server (%s)", path);
    else
        error_errno(error, "%s", path);
    fd_discard(&fd);
    return -1;
}

/* The verb and its arguments, HTAB between them. */
static bool send_line(const struct command *command, int fd, struct error *error)
{
    struct buffer line = BUFFER_WITH_LIMIT(ROLE_CONTROL_LINE_MAX);
    buffer_append_string(&line, command->verb);
    for (int i = 0; i < command->count; i++) {
        struct slice word = slice_of_string(command->arguments[i]);
        if (slice_find_octet(word, '\t') < word.len || slice_find_octet(word, '\n') < word.len)
            line.failed = true;
        buffer_append_octet(&line, '\t');
        buffer_append(&line, word);
    }
    buffer_append_octet(&line, '\n');
    bool sent = line.failed ? error_set(error, ERROR_PERMANENT, "arguments nobody understands")
                            : fd_write_all(fd, buffer_slice(&line), error);
    buffer_clear(&line);
    return sent;
}

/* "ok", or "error: ..." */
static bool judge(struct slice verdict, struct error *error)
{
    if (slice_equal(verdict, SLICE("ok")))
        return true;
    if (slice_starts_with(verdict, SLICE("error: ")))
        verdict = slice_from(verdict, 7);
    return error_set(error, ERROR_PERMANENT, "%.*s", SLICE_PRINTF(verdict));
}

/* The first line is the verdict, what follows is the answer. */
static bool copy_answer(FILE *answer, FILE *out, struct error *error)
{
    char octets[65536];
    if (!fgets(octets, sizeof(octets), answer))
        return error_set(error, ERROR_TEMPORARY, "no answer: see the log");
    struct slice line = slice_of_string(octets);
    if (!judge(slice_range(line, 0, slice_find_octet(line, '\n')), error))
        return false;
    size_t got;
    while ((got = fread(octets, 1, sizeof(octets), answer)) > 0)
        if (fwrite(octets, 1, got, out) != got)
            return error_errno(error, "write the answer");
    if (ferror(answer))
        return error_errno(error, "read the answer");
    return fflush(out) == 0 || error_errno(error, "write the answer");
}

bool command_ask_into(const struct command *command, const char *path, FILE *out,
                      struct error *error)
{
    int fd = connect_to(path, error);
    if (fd < 0)
        return false;
    FILE *answer = send_line(command, fd, error) ? fdopen(fd, "r") : NULL;
    if (!answer) {
        fd_discard(&fd);
        return false;
    }
    bool answered = copy_answer(answer, out, error);
    fclose(answer);
    return answered;
}

/* The verdict octet by octet: what is behind it is for somebody else. */
static bool read_verdict(int fd, struct error *error)
{
    uint8_t line[512];
    size_t length = 0, got;
    for (;;) {
        if (!fd_read_full(fd, &line[length], 1, &got, error))
            return false;
        if (got == 0)
            return error_set(error, ERROR_TEMPORARY, "no answer: see the log");
        if (line[length] == '\n')
            return judge(slice_of(line, length), error);
        if (++length == sizeof(line))
            return error_set(error, ERROR_TEMPORARY, "an answer without an end");
    }
}

int command_ask_for_socket(const struct command *command, const char *path, struct error *error)
{
    int fd = connect_to(path, error);
    if (fd >= 0 && (!send_line(command, fd, error) || !read_verdict(fd, error)))
        fd_discard(&fd);
    return fd;
}

bool command_ask(const struct command *command, const char *path, struct error *error)
{
    return command_ask_into(command, path, stdout, error);
}

bool command_server_runs(const char *path)
{
    int fd = connect_to(path, NULL);
    bool runs = fd >= 0;
    fd_discard(&fd);
    return runs;
}

typedef bool config_reader(const struct command *command, struct config *config);

static enum command_status control(const struct command *command, config_reader *read_config)
{
    struct config config;
    struct error error = {0};
    enum command_status status = COMMAND_FAILED;
    if (!read_config(command, &config))
        goto done;
    status = command_ask(command, config.control_socket.text, &error)
                 ? COMMAND_DONE
                 : command_fail(command, &error);
done:
    config_clear(&config);
    return status;
}

static enum command_status control_alone(const struct command *command, config_reader *read_config)
{
    return command->count == 0 ? control(command, read_config) : command_usage(command, "");
}

enum command_status verb_reload(const struct command *command)
{
    return control_alone(command, command_read_config);
}

enum command_status verb_status(const struct command *command)
{
    return control_alone(command, command_read_config_as_it_is);
}

enum command_status verb_stop(const struct command *command)
{
    return control_alone(command, command_read_config_as_it_is);
}

enum command_status verb_upgrade(const struct command *command)
{
    char master[PATH_MAX];
    char *arguments[] = {master};
    struct command with_path = *command;
    struct error error = {0};
    if (command->count != 0)
        return command_usage(command, "");
    if (!command_find_master(master, &error))
        return command_fail(command, &error);
    with_path.count = 1;
    with_path.arguments = arguments;
    return control(&with_path, command_read_config_as_it_is);
}

enum command_status verb_ask_role(const struct command *command)
{
    return control(command, command_read_config_as_it_is);
}
