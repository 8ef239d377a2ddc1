/*
 * The mailbox that a command names. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_FOLDER_ARGUMENT_H
#define IMAPD_SYNTAX_FOLDER_ARGUMENT_H

#include "imapd/syntax/parser.h"
#include "storage/maildir_name.h"

struct folder_argument {
    struct slice name;                 /* UTF-8; in the parser's arena */
    struct slice given;                /* the client's spelling, if that is not NFC; else NULL */
    char directory[MAILDIR_NAME_SIZE]; /* on disk */
    bool is_expunged;    /* the mailbox of expunged mail or below it: storage/expunged.h */
    bool is_shared;      /* another account's: no folder here, `problem` is set too */
    const char *problem; /* NULL; else no such mailbox can exist, and this is the answer's text */
};

/* With `problem`, to who asks for a mailbox: of another account's it is not known whether there is
 * one, only that the command stops at the account (RFC 5530 3). */
static inline struct slice folder_argument_code(const struct folder_argument *folder)
{
    return folder->is_shared ? SLICE("CANNOT") : SLICE("NONEXISTENT");
}

/* The answer to a command that would put something there. */
#define FOLDER_ARGUMENT_EXPUNGED "Only what is expunged gets there"

/* mailbox = "INBOX" / astring. False: syntax error. The caller refuses, with NO, a well-formed name
 * that no mailbox can have. */
bool folder_argument_parse(struct imap_parser *parser, struct folder_argument *folder);

/* The same without a "/" at the end, by which CREATE announces children (RFC 3501 6.3.3). */
bool folder_argument_parse_level(struct imap_parser *parser, struct folder_argument *folder);

/* The same for a mailbox to be created: a name in UTF-8 is converted to Unicode's form NFC (RFC
 * 9051 6.3.4, RFC 5198 2). */
bool folder_argument_parse_new(struct imap_parser *parser, struct folder_argument *folder);

#endif
