/*
 * The arguments of NOTIFY (RFC 5465 8). Pure; imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_NOTIFY_REQUEST_H
#define IMAPD_SYNTAX_NOTIFY_REQUEST_H

#include "imapd/syntax/mailbox_filter.h"

enum notify_event {
    NOTIFY_MESSAGE_NEW = 1 << 0,
    NOTIFY_MESSAGE_EXPUNGE = 1 << 1,
    NOTIFY_FLAG_CHANGE = 1 << 2,
    NOTIFY_MAILBOX_NAME = 1 << 3,
    NOTIFY_SUBSCRIPTION_CHANGE = 1 << 4,
    NOTIFY_MAILBOX_METADATA = 1 << 5,
    NOTIFY_SERVER_METADATA = 1 << 6,
};

enum { NOTIFY_MESSAGE_EVENTS = NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE | NOTIFY_FLAG_CHANGE };

enum { NOTIFY_GROUPS_MAX = 50 };

struct notify_group {
    struct mailbox_filter filter;
    unsigned events; /* enum notify_event; 0: NONE */
};

/* Everything is in the parser's arena. */
struct notify_request {
    bool wants_status;
    bool knows_all_events; /* false: an unknown event was named */
    struct notify_group *groups;
    size_t group_count;        /* 0: NONE */
    struct slice message_data; /* "(UID FLAGS)", what FETCH is to say of new messages in the
                                  selected mailbox; empty: nothing */
};

/* notify = "NOTIFY" SP (notify-set / notify-none), after "NOTIFY" */
bool notify_request_parse(struct imap_parser *parser, struct notify_request *request);

/* The names of all supported events, for BADEVENT. */
extern const char notify_events[];

/* "(MessageNew MessageExpunge)"; "NONE" of 0. Appended. */
void notify_events_format(unsigned events, struct buffer *text);

#endif
