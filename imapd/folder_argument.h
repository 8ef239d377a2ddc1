/*
 * The mailbox that a command names. Pure; imapd-mailbox.
 */
#ifndef IMAPD_FOLDER_ARGUMENT_H
#define IMAPD_FOLDER_ARGUMENT_H

#include "imapd/parser.h"
#include "storage/maildir_name.h"

struct folder_argument {
    struct slice name;                 /* UTF-8; in the parser's arena */
    char directory[MAILDIR_NAME_SIZE]; /* on disk */
    const char *problem; /* NULL; else there can be no such mailbox, and this is what to say */
};

/* mailbox = "INBOX" / astring. False: the syntax is wrong. A name that is well written but that no
 * mailbox can have is for the caller to refuse, with NO. */
bool folder_argument_parse(struct imap_parser *parser, struct folder_argument *folder);

/* The same; "/" at the end, by which CREATE says that others will follow (RFC 3501 6.3.3), is left
 * out. */
bool folder_argument_parse_new(struct imap_parser *parser, struct folder_argument *folder);

#endif
