/*
 * A command line of a POP3 client that has not logged in (RFC 1939 4, 2449 5, 2595 4, 5034 4,
 * 6856). Pure. pop3d-login.
 */
#ifndef POP3D_LOGIN_COMMAND_H
#define POP3D_LOGIN_COMMAND_H

#include "common/slice.h"

enum pop3_login_verb {
    POP3_CAPA,
    POP3_USER, /* argument: the name, which may hold spaces */
    POP3_PASS, /* argument: the password, likewise (RFC 1939 7) */
    POP3_AUTH, /* without argument: lists the mechanisms */
    POP3_STLS,
    POP3_UTF8,
    POP3_LANG, /* argument: a language range, or none */
    POP3_QUIT,
    POP3_LATER, /* a command allowed only after the login */
    POP3_UNKNOWN,
};

struct pop3_login_command {
    enum pop3_login_verb verb;
    struct slice argument; /* empty: none */
    struct slice initial;  /* AUTH: the initial response; .ptr is NULL if there is none */
};

/* False, with *wrong for the reply: the arguments are not what the command takes. Every line has a
 * verb, if no other POP3_UNKNOWN. */
bool pop3_login_command_parse(struct slice line, struct pop3_login_command *command,
                              const char **wrong);

#endif
