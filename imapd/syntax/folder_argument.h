/*
 * The mailbox that a command names. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_FOLDER_ARGUMENT_H
#define IMAPD_SYNTAX_FOLDER_ARGUMENT_H

#include "imapd/syntax/parser.h"
#include "storage/maildir_name.h"

struct folder_argument {
    struct slice name;  /* UTF-8; in the parser's arena */
    struct slice given; /* what the client called it, if that is not NFC; else NULL */
    char directory[MAILDIR_NAME_SIZE]; /* on disk */
    bool is_expunged;                  /* it, or a folder below it: storage/expunged.h */
    bool is_shared;      /* another account's: no folder here, which `problem` says besides */
    const char *problem; /* NULL; else there can be no such mailbox, and this is what to say */
};

/* With `problem`, to who asks for a mailbox: of another account's it is not known whether there is
 * one, only that the command stops at the account (RFC 5530 3). */
static inline struct slice folder_argument_code(const struct folder_argument *folder)
{
    return folder->is_shared ? SLICE("CANNOT") : SLICE("NONEXISTENT");
}

/* What to say to who wants to put something there. */
#define FOLDER_ARGUMENT_EXPUNGED "Only what is expunged gets there"

/* mailbox = "INBOX" / astring. False: the syntax is wrong. A name that is well written but that no
 * mailbox can have is for the caller to refuse, with NO. */
bool folder_argument_parse(struct imap_parser *parser, struct folder_argument *folder);

/* The same; "/" at the end, by which CREATE says that others will follow (RFC 3501 6.3.3), is left
 * out. */
bool folder_argument_parse_level(struct imap_parser *parser, struct folder_argument *folder);

/* The same of a mailbox that is to be made: a name in UTF-8 becomes what Unicode's form NFC has for
 * it (RFC 9051 6.3.4, RFC 5198 2). */
bool folder_argument_parse_new(struct imap_parser *parser, struct folder_argument *folder);

#endif
