/* `staffetta fsck ACCOUNT` and `staffetta restored ACCOUNT`: the account's mailbox process does the
 * work and reports; see imapd/upkeep/upkeep.h. */
#include <stdlib.h>

#include "common/text/printable.h"
#include "ctl/command/command.h"

/* Who tells has the rights of an account, not ours: no octet of it steers the terminal. */
static bool print(struct slice text, struct error *error)
{
    struct buffer line = BUFFER_WITH_LIMIT(1 << 20);
    bool printed = true;
    while (printed && text.len > 0) {
        size_t end = slice_find_octet(text, '\n');
        buffer_reset(&line);
        printable_append(slice_range(text, 0, end), &line);
        buffer_append_octet(&line, '\n');
        printed = fwrite(line.ptr, 1, line.len, stdout) == line.len;
        text = slice_from(text, end + 1);
    }
    buffer_clear(&line);
    return (printed && fflush(stdout) == 0) || error_errno(error, "write the answer");
}

static bool ask(const struct command *command, const char *socket, struct error *error)
{
    char *text = NULL;
    size_t octets = 0;
    FILE *out = open_memstream(&text, &octets);
    if (!out)
        return error_memory(error);
    bool asked = command_ask_into(command, socket, out, error);
    asked = (fclose(out) == 0 || error_memory(error)) && asked;
    asked = asked && print(slice_of(text, octets), error);
    free(text);
    return asked;
}

enum command_status verb_upkeep(const struct command *command)
{
    struct config config;
    struct error error = {0};
    if (command->count != 1 || command->arguments[0][0] == '\0')
        return command_usage(command, "ACCOUNT");
    enum command_status status = COMMAND_FAILED;
    if (command_read_config_as_it_is(command, &config))
        status = ask(command, config.control_socket.text, &error) ? COMMAND_DONE
                                                                  : command_fail(command, &error);
    config_clear(&config);
    return status;
}
