/*
 * Mailboxes as NOTIFY and ESEARCH name them (RFC 5465 6, RFC 7377 2.2). Pure; imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_MAILBOX_FILTER_H
#define IMAPD_SYNTAX_MAILBOX_FILTER_H

#include "imapd/syntax/parser.h"

enum mailbox_filter_kind {
    FILTER_SELECTED = 1 << 0,
    FILTER_SELECTED_DELAYED = 1 << 1,
    FILTER_PERSONAL = 1 << 2, /* and INBOXES: mail may be delivered to any (RFC 5465 6.3) */
    FILTER_SUBSCRIBED = 1 << 3,
    FILTER_SUBTREE = 1 << 4,
    FILTER_SUBTREE_ONE = 1 << 5, /* it and what is directly below it */
    FILTER_MAILBOXES = 1 << 6,
};

enum { FILTER_NAMES_MAX = 200 };

struct mailbox_filter {
    enum mailbox_filter_kind kind;
    struct slice *names; /* in the parser's arena; ours, UTF-8; those that no mailbox can have are
                            left out */
    size_t name_count;
    struct slice *shared; /* the same for other accounts' mailboxes, and their parents */
    size_t shared_count;
};

/* filter-mailboxes, of the kinds that are allowed. */
bool mailbox_filter_parse(struct imap_parser *parser, unsigned allowed,
                          struct mailbox_filter *filter);

/* Whether the filter covers that mailbox. The first two kinds cover none. */
bool mailbox_filter_matches(const struct mailbox_filter *filter, struct slice name,
                            bool is_subscribed);

#endif
