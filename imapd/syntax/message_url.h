/*
 * URLs of messages and their parts, as CATENATE uses them (RFC 4469 3, RFC 5092): relative, to
 * the account's own mailboxes.
 *
 *     /INBOX;UIDVALIDITY=785799047/;UID=113330/;SECTION=1.5.9/;PARTIAL=0.1024
 *
 * Pure; imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_MESSAGE_URL_H
#define IMAPD_SYNTAX_MESSAGE_URL_H

#include "imapd/fetch/fetch_item.h"

struct message_url {
    struct slice mailbox; /* UTF-8, decoded; empty: the selected one */
    uint32_t uidvalidity; /* 0: not given */
    uint32_t uid;
    struct fetch_item *item; /* BODY.PEEK[section]<partial> of it; all in the arena */
    struct slice item_text;  /* the same as text, for another process */
};

/* False: not such a URL, or no memory. */
bool message_url_parse(struct slice text, struct arena *arena, struct message_url *url);

/* Decodes "%" HEXDIG HEXDIG, in the arena. NULL: malformed, or no memory. */
struct slice message_url_decode(struct slice text, struct arena *arena);

#endif
