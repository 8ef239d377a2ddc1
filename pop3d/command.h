/*
 * A command line of a POP3 client that has logged in: RFC 1939 5, 2449 5 (CAPA), 6856 (UTF8, LANG).
 * Pure. pop3d-maildrop.
 */
#ifndef POP3D_COMMAND_H
#define POP3D_COMMAND_H

#include "common/slice.h"

enum maildrop_verb {
    MAILDROP_CAPA,
    MAILDROP_DELE, /* message */
    MAILDROP_LANG, /* argument: a language range, or none */
    MAILDROP_LIST, /* message, or none */
    MAILDROP_NOOP,
    MAILDROP_QUIT,
    MAILDROP_RETR, /* message */
    MAILDROP_RSET,
    MAILDROP_STAT,
    MAILDROP_TOP,   /* message, lines */
    MAILDROP_UIDL,  /* message, or none */
    MAILDROP_EARLY, /* a command allowed only before the login, with any arguments */
    MAILDROP_UNKNOWN,
};

struct maildrop_command {
    enum maildrop_verb verb;
    bool has_message;
    uint64_t message;      /* number from the client, from 1; may be 0 or too large */
    uint64_t lines;        /* TOP */
    struct slice argument; /* LANG; empty: none */
};

/* False, with *wrong for the reply: the arguments are not what the command takes. Arguments are
 * separated by one space, and numbers consist of digits only. Every line has a verb, if no other
 * MAILDROP_UNKNOWN. */
bool maildrop_command_parse(struct slice line, struct maildrop_command *command,
                            const char **wrong);

#endif
