/*
 * The verbs that the running master answers, over its control socket: one line goes there, the
 * answer comes until the end of the stream, "ok" or "error: ..." first.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/fd.h"
#include "ctl/command.h"

enum { ANSWER_OCTETS_MAX = 1 << 20 };

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
    else
        error_errno(error, "%s", path);
    fd_discard(&fd);
    return -1;
}

static bool read_all(int fd, struct buffer *answer, struct error *error)
{
    for (;;) {
        if (!buffer_reserve(answer, 4096))
            return error_memory(error);
        ssize_t got = read(fd, answer->ptr + answer->len, 4096);
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR)
            return error_errno(error, "read the answer");
        if (got > 0)
            buffer_commit(answer, (size_t)got);
    }
}

/* Splits "ok" or "error: ..." from the lines for people. */
static bool judge(struct slice *answer, struct error *error)
{
    size_t end = slice_find_octet(*answer, '\n');
    struct slice verdict = slice_range(*answer, 0, end);
    *answer = slice_from(*answer, end + 1);
    if (slice_equal(verdict, SLICE("ok")))
        return true;
    if (slice_starts_with(verdict, SLICE("error: ")))
        verdict = slice_from(verdict, 7);
    if (verdict.len == 0)
        return error_set(error, ERROR_TEMPORARY, "no answer: see the log");
    return error_set(error, ERROR_PERMANENT, "%.*s", SLICE_PRINTF(verdict));
}

static bool ask(const char *path, const char *verb, struct buffer *answer, struct error *error)
{
    char line[64];
    int length = snprintf(line, sizeof(line), "%s\n", verb);
    int fd = connect_to(path, error);
    bool asked = fd >= 0 && fd_write_all(fd, slice_of(line, (size_t)length), error)
                 && read_all(fd, answer, error);
    fd_discard(&fd);
    return asked;
}

typedef bool config_reader(const struct command *command, struct config *config);

static enum command_status control(const struct command *command, config_reader *read_config)
{
    struct config config;
    struct error error = {0};
    struct buffer answer = BUFFER_WITH_LIMIT(ANSWER_OCTETS_MAX);
    enum command_status status = COMMAND_FAILED;
    if (command->count != 0)
        return command_usage(command, "");
    if (!read_config(command, &config))
        goto done;
    struct slice text = {0};
    bool good = ask(config.control_socket.text, command->verb, &answer, &error);
    if (good) {
        text = buffer_slice(&answer);
        good = judge(&text, &error);
    }
    if (!good) {
        command_fail(command, &error);
        goto done;
    }
    if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0)
        status = COMMAND_DONE;
done:
    buffer_clear(&answer);
    config_clear(&config);
    return status;
}

enum command_status verb_reload(const struct command *command)
{
    return control(command, command_read_config);
}

enum command_status verb_status(const struct command *command)
{
    return control(command, command_read_config_as_it_is);
}

enum command_status verb_stop(const struct command *command)
{
    return control(command, command_read_config_as_it_is);
}
