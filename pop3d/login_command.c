/* Commands before the login; see login_command.h. */
#include "pop3d/login_command.h"

#include "common/size.h"

enum argument_rule { NO_ARGUMENT, MAY_HAVE_ARGUMENT, NEEDS_ARGUMENT, ANY_ARGUMENT };

static const struct {
    const char *keyword;
    enum pop3_login_verb verb;
    enum argument_rule rule;
} keywords[] = {
    {"CAPA", POP3_CAPA, NO_ARGUMENT},       {"USER", POP3_USER, NEEDS_ARGUMENT},
    {"PASS", POP3_PASS, NEEDS_ARGUMENT},    {"AUTH", POP3_AUTH, MAY_HAVE_ARGUMENT},
    {"STLS", POP3_STLS, NO_ARGUMENT},       {"UTF8", POP3_UTF8, NO_ARGUMENT},
    {"LANG", POP3_LANG, MAY_HAVE_ARGUMENT}, {"QUIT", POP3_QUIT, NO_ARGUMENT},
    {"STAT", POP3_LATER, ANY_ARGUMENT},     {"LIST", POP3_LATER, ANY_ARGUMENT},
    {"RETR", POP3_LATER, ANY_ARGUMENT},     {"DELE", POP3_LATER, ANY_ARGUMENT},
    {"NOOP", POP3_LATER, ANY_ARGUMENT},     {"RSET", POP3_LATER, ANY_ARGUMENT},
    {"TOP", POP3_LATER, ANY_ARGUMENT},      {"UIDL", POP3_LATER, ANY_ARGUMENT},
};

static enum argument_rule find_keyword(struct slice word, enum pop3_login_verb *verb)
{
    for (size_t i = 0; i < ARRAY_LENGTH(keywords); i++) {
        if (!slice_equal_nocase(word, slice_of_string(keywords[i].keyword)))
            continue;
        *verb = keywords[i].verb;
        return keywords[i].rule;
    }
    *verb = POP3_UNKNOWN;
    return ANY_ARGUMENT;
}

/* AUTH mechanism [initial-response]    RFC 5034 4 */
static bool split_auth(struct pop3_login_command *command)
{
    size_t space = slice_find_octet(command->argument, ' ');
    if (space == command->argument.len)
        return true;
    command->initial = slice_from(command->argument, space + 1);
    command->argument = slice_range(command->argument, 0, space);
    return command->argument.len > 0 && command->initial.len > 0
           && slice_find_octet(command->initial, ' ') == command->initial.len;
}

bool pop3_login_command_parse(struct slice line, struct pop3_login_command *command,
                              const char **wrong)
{
    size_t space = slice_find_octet(line, ' ');
    *command = (struct pop3_login_command){.argument = slice_from(line, space + 1)};
    enum argument_rule rule = find_keyword(slice_range(line, 0, space), &command->verb);
    bool given = command->argument.len > 0;
    *wrong = "That command takes no argument";
    if (rule == NO_ARGUMENT && space < line.len)
        return false;
    *wrong = "That command needs an argument";
    if (rule == NEEDS_ARGUMENT && !given)
        return false;
    *wrong = "Expected AUTH, a mechanism and perhaps an initial response";
    return command->verb != POP3_AUTH || split_auth(command);
}
