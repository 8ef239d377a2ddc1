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
    MAILDROP_EARLY, /* a command for before the login, whatever stands after it */
    MAILDROP_UNKNOWN,
};

struct maildrop_command {
    enum maildrop_verb verb;
    bool has_message;
    uint64_t message;      /* as the client numbers them, from 1; 0 and too large are possible */
    uint64_t lines;        /* TOP */
    struct slice argument; /* LANG; empty: none */
};

/* False, with *wrong for the reply, if the arguments are not what the command takes: they are
 * separated by one space each, and numbers are digits alone. A line always has a verb,
 * MAILDROP_UNKNOWN if no other. */
bool maildrop_command_parse(struct slice line, struct maildrop_command *command,
                            const char **wrong);

#endif
