/* Commands after the login; see command.h. Pure. */
#include "pop3d/command.h"

#include "common/size.h"

enum arguments { NONE, MESSAGE, MAY_BE_MESSAGE, MESSAGE_AND_LINES, MAY_BE_TEXT, ANYTHING };

static const struct {
    const char *keyword;
    enum maildrop_verb verb;
    enum arguments arguments;
} keywords[] = {
    {"CAPA", MAILDROP_CAPA, NONE},           {"DELE", MAILDROP_DELE, MESSAGE},
    {"LANG", MAILDROP_LANG, MAY_BE_TEXT},    {"LIST", MAILDROP_LIST, MAY_BE_MESSAGE},
    {"NOOP", MAILDROP_NOOP, NONE},           {"QUIT", MAILDROP_QUIT, NONE},
    {"RETR", MAILDROP_RETR, MESSAGE},        {"RSET", MAILDROP_RSET, NONE},
    {"STAT", MAILDROP_STAT, NONE},           {"TOP", MAILDROP_TOP, MESSAGE_AND_LINES},
    {"UIDL", MAILDROP_UIDL, MAY_BE_MESSAGE}, {"USER", MAILDROP_EARLY, ANYTHING},
    {"PASS", MAILDROP_EARLY, ANYTHING},      {"APOP", MAILDROP_EARLY, ANYTHING},
    {"AUTH", MAILDROP_EARLY, ANYTHING},      {"STLS", MAILDROP_EARLY, ANYTHING},
    {"UTF8", MAILDROP_EARLY, ANYTHING},
};

static enum arguments find_keyword(struct slice word, enum maildrop_verb *verb)
{
    for (size_t i = 0; i < ARRAY_LENGTH(keywords); i++) {
        if (!slice_equal_nocase(word, slice_of_string(keywords[i].keyword)))
            continue;
        *verb = keywords[i].verb;
        return keywords[i].arguments;
    }
    *verb = MAILDROP_UNKNOWN;
    return ANYTHING;
}

static bool take_message(struct slice text, struct maildrop_command *command)
{
    command->has_message = slice_parse_number(text, &command->message);
    return command->has_message;
}

static bool take_message_and_lines(struct slice text, struct maildrop_command *command)
{
    size_t space = slice_find_octet(text, ' ');
    return take_message(slice_range(text, 0, space), command)
           && slice_parse_number(slice_from(text, space + 1), &command->lines);
}

bool maildrop_command_parse(struct slice line, struct maildrop_command *command, const char **wrong)
{
    size_t space = slice_find_octet(line, ' ');
    bool given = space < line.len;
    struct slice rest = slice_from(line, space + 1);
    *command = (struct maildrop_command){.argument = {NULL, 0}};
    switch (find_keyword(slice_range(line, 0, space), &command->verb)) {
    case NONE:
        *wrong = "That command takes no argument";
        return !given;
    case MESSAGE:
        *wrong = "That command needs the number of a message";
        return take_message(rest, command);
    case MAY_BE_MESSAGE:
        *wrong = "That command takes the number of a message, or nothing";
        return !given || take_message(rest, command);
    case MESSAGE_AND_LINES:
        *wrong = "That command needs the number of a message and how many lines of its body";
        return take_message_and_lines(rest, command);
    case MAY_BE_TEXT:
        command->argument = rest;
        return true;
    case ANYTHING:
        break;
    }
    return true;
}
