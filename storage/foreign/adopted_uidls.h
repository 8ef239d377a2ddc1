/*
 * The POP3 unique-ids (RFC 1939 7) of mail taken over from another server, by which clients
 * recognise their messages. The file "staffetta-uidls" in the account's directory, made once,
 * before anything else in INBOX is changed:
 *
 *     staffetta-uidls 1
 *     000000016b0a1197 1795821975.M941820P1990.vm,S=18
 *
 * the unique-id and the key (maildir_name.h) of each message, in that server's order. Later mail
 * has no entry. Made by the account's mailbox or maildrop process, whichever comes first; maildrop
 * shortens it. Blocking file I/O.
 */
#ifndef STORAGE_FOREIGN_ADOPTED_UIDLS_H
#define STORAGE_FOREIGN_ADOPTED_UIDLS_H

#include "common/buffer.h"
#include "storage/foreign/foreign_uids.h"
#include "storage/maildir.h"

enum { ADOPTED_UIDLS_OCTETS_MAX = 1 << 28 };

struct adopted_uidl {
    struct slice uidl;
    struct slice key;
    size_t order; /* of messages, from 1 on */
};

struct adopted_uidls {
    struct buffer text;         /* owns the octets */
    struct adopted_uidl *items; /* in the order of keys */
    size_t count;
};

void adopted_uidls_init(struct adopted_uidls *uidls);
void adopted_uidls_clear(struct adopted_uidls *uidls); /* may run twice */

/* Makes the file, if INBOX was another server's and there is none yet: from Dovecot's list with
 * this pop3_uidl_format (common/text/uidl_format.h), or from Courier's "courierpop3dsizelist".
 * False only if it must be tried again. */
bool adopted_uidls_make(const struct maildir *inbox, struct slice format, struct error *error);

/* No file is an empty list; a damaged line is left out. */
bool adopted_uidls_load(int account_fd, struct adopted_uidls *uidls, struct error *error);

/* NULL: the message has none. */
const struct adopted_uidl *adopted_uidls_find(const struct adopted_uidls *uidls, struct slice key);

/* Sorts the items by `order`, and replaces the file by them. */
bool adopted_uidls_store(int account_fd, struct adopted_uidl *items, size_t count,
                         struct error *error);

#endif
