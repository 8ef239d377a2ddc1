/*
 * The arguments of LIST (RFC 3501 6.3.8, RFC 5258, RFC 5819, RFC 6154, RFC 9590). Pure;
 * imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_LIST_REQUEST_H
#define IMAPD_SYNTAX_LIST_REQUEST_H

#include "imapd/syntax/metadata.h"

/* Options of selection, of return, or of both. */
enum list_option {
    LIST_SUBSCRIBED = 1 << 0,     /* both */
    LIST_SPECIAL_USE = 1 << 1,    /* both */
    LIST_REMOTE = 1 << 2,         /* selection: no effect, there is no other server */
    LIST_RECURSIVEMATCH = 1 << 3, /* selection */
    LIST_CHILDREN = 1 << 4,       /* return */
    LIST_MYRIGHTS = 1 << 5,       /* return, RFC 8440 */
};

enum { LIST_PATTERNS_MAX = 100 }; /* of one command */

struct list_request {
    bool extended;         /* options or several patterns were given: RFC 5258 */
    bool returns_are_told; /* ... among them "RETURN (...)"; else as plain LIST */
    unsigned selection;    /* enum list_option */
    unsigned returns;      /* enum list_option */
    unsigned status_items; /* enum imap_status_item, RFC 5819; 0: no STATUS is wanted */
    struct metadata_request metadata;
    struct slice status_text; /* both as written, in the parser's arena; or empty */
    struct slice metadata_text;
    struct slice reference;
    struct slice *patterns; /* in the parser's arena */
    size_t pattern_count;
};

/* list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts], after
 * "LIST". An option that is not known is bad syntax (RFC 5258 3), and so is RECURSIVEMATCH with no
 * option beside it that selects. */
bool list_request_parse(struct imap_parser *parser, struct list_request *request);

#endif
