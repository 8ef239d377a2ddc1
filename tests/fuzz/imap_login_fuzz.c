/* What an IMAP client sends before it logs in, cut into commands and parsed as imapd-login does:
 * every result lies in the text or in the arena, and a beginning of a command shows the same verb,
 * and the same tag if a space ends it. */
#include <stdlib.h>

#include "imapd/login/login_command.h"
#include "imapd/syntax/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(struct slice octets)
{
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < octets.len; i++)
        sum = (uint8_t)(sum + octets.ptr[i]);
}

static void parse(struct slice text)
{
    struct arena arena;
    struct imap_parser parser;
    struct imap_login_command command, beginning;
    arena_init(&arena, 4096);
    imap_parser_init(&parser, text, &arena);
    bool valid = imap_login_command_parse(&parser, &command);
    if (!valid && !parser.expected)
        abort();
    touch(command.tag);
    touch(command.name);
    touch(command.password);
    touch(command.initial);
    touch(command.client.name);
    touch(command.client.version);
    imap_parser_init(&parser, text, NULL);
    imap_login_command_peek(&parser, &beginning);
    bool tagged = command.tag.len < text.len && text.ptr[command.tag.len] == ' ';
    if (beginning.verb != command.verb
        || !slice_equal(beginning.tag, tagged ? command.tag : SLICE("")))
        abort();
    arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct command_reader reader;
    command_reader_init(&reader, (struct command_limits){512, 128, 1024, 4096});
    struct cursor input = cursor_of(slice_of(data, size));
    struct slice octets;
    for (;;) {
        enum command_event event = command_read(&reader, &input, &octets);
        if (event == COMMAND_MORE || event == COMMAND_CLOSE)
            break;
        if (event == COMMAND_READY)
            parse(command_text(&reader));
        if (event == COMMAND_LITERAL && !command_accept_literal(&reader)
            && !command_refuse_literal(&reader))
            break;
    }
    command_reader_clear(&reader);
    return 0;
}
