/* Commands before the login; see login_command.h. */
#include "imapd/login/login_command.h"

#include "common/size.h"

/* login = "LOGIN" SP userid SP password */
static bool parse_login(struct imap_parser *parser, struct imap_login_command *command)
{
    return imap_parse_space(parser) && imap_parse_astring(parser, &command->name)
           && imap_parse_space(parser) && imap_parse_astring(parser, &command->password);
}

/* authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]    RFC 4959 7 */
static bool parse_authenticate(struct imap_parser *parser, struct imap_login_command *command)
{
    if (!imap_parse_space(parser) || !imap_parse_atom(parser, &command->name))
        return false;
    return !imap_skip_octet(parser, ' ') || imap_parse_atom(parser, &command->initial);
}

static bool parse_id(struct imap_parser *parser, struct imap_login_command *command)
{
    return imap_parse_client_id(parser, &command->client);
}

static bool parse_nothing(struct imap_parser *parser, struct imap_login_command *command)
{
    (void)parser;
    (void)command;
    return true;
}

static const struct {
    const char *word;
    enum imap_login_verb verb;
    bool (*parse)(struct imap_parser *parser, struct imap_login_command *command);
} verbs[] = {
    {"CAPABILITY", IMAP_LOGIN_CAPABILITY, parse_nothing},
    {"NOOP", IMAP_LOGIN_NOOP, parse_nothing},
    {"LOGOUT", IMAP_LOGIN_LOGOUT, parse_nothing},
    {"ID", IMAP_LOGIN_ID, parse_id},
    {"STARTTLS", IMAP_LOGIN_STARTTLS, parse_nothing},
    {"LOGIN", IMAP_LOGIN_LOGIN, parse_login},
    {"AUTHENTICATE", IMAP_LOGIN_AUTHENTICATE, parse_authenticate},
};

/* tag SP verb; the verb's place in the table, or ARRAY_LENGTH for another */
static bool parse_start(struct imap_parser *parser, struct imap_login_command *command,
                        size_t *place)
{
    struct slice word;
    *command = (struct imap_login_command){.verb = IMAP_LOGIN_UNKNOWN};
    if (!imap_parse_tag(parser, &command->tag) || !imap_parse_space(parser)
        || !imap_parse_word(parser, &word))
        return false;
    for (*place = 0; *place < ARRAY_LENGTH(verbs); ++*place)
        if (slice_equal_nocase(word, slice_of_string(verbs[*place].word)))
            break;
    if (*place < ARRAY_LENGTH(verbs))
        command->verb = verbs[*place].verb;
    return true;
}

bool imap_login_command_parse(struct imap_parser *parser, struct imap_login_command *command)
{
    size_t place;
    if (!parse_start(parser, command, &place))
        return false;
    if (place == ARRAY_LENGTH(verbs))
        return true;
    return verbs[place].parse(parser, command) && imap_parse_end(parser);
}

void imap_login_command_peek(struct imap_parser *parser, struct imap_login_command *command)
{
    size_t place;
    struct imap_parser start = *parser;
    struct slice tag;
    bool tagged = imap_parse_tag(&start, &tag) && imap_parse_space(&start);
    parse_start(parser, command, &place);
    if (!tagged)
        command->tag = SLICE("");
}
