/*
 * A command of an IMAP client that has not logged in (RFC 3501 6.1, 6.2; 2971; 4959), over the text
 * collected by imapd/syntax/command.h. No I/O. imapd-login.
 */
#ifndef IMAPD_LOGIN_LOGIN_COMMAND_H
#define IMAPD_LOGIN_LOGIN_COMMAND_H

#include "imapd/syntax/client_id.h"

enum imap_login_verb {
    IMAP_LOGIN_CAPABILITY,
    IMAP_LOGIN_NOOP,
    IMAP_LOGIN_LOGOUT,
    IMAP_LOGIN_ID,
    IMAP_LOGIN_STARTTLS,
    IMAP_LOGIN_LOGIN,
    IMAP_LOGIN_AUTHENTICATE,
    IMAP_LOGIN_UNKNOWN, /* or one for after the login */
};

struct imap_login_command {
    struct slice tag; /* empty: none, the answer is untagged */
    enum imap_login_verb verb;
    struct slice name; /* of LOGIN; of AUTHENTICATE's mechanism */
    struct slice password;
    struct slice initial;         /* AUTHENTICATE: initial response; .ptr NULL: none */
    struct imap_client_id client; /* ID */
};

/* False: parser->expected says what was expected; tag and verb are set as far as they were read. */
bool imap_login_command_parse(struct imap_parser *parser, struct imap_login_command *command);

/* Only tag and verb, of an incomplete command: a literal is announced, or it is too long. A tag
 * without a space after it may be incomplete and is not set. */
void imap_login_command_peek(struct imap_parser *parser, struct imap_login_command *command);

#endif
