/*
 * The subscriptions of another server: Dovecot's "subscriptions", Courier's
 * "courierimapsubscribed", in the account's directory.
 *
 *     V<TAB>2                  Dovecot since 2.2.19: levels with HTAB between
 *     <empty line>
 *     Work<TAB>Entw&APw-rfe
 *
 *     Work.Entw&APw-rfe        Dovecot before: as the directory is called, without its first dot
 *     INBOX.Work               Courier: all folders lie below INBOX
 *
 * Names are in modified UTF-7, as on disk; Courier's later versions write UTF-8.
 */
#ifndef STORAGE_FOREIGN_FOREIGN_SUBSCRIPTIONS_H
#define STORAGE_FOREIGN_FOREIGN_SUBSCRIPTIONS_H

#include "storage/subscriptions.h"

struct foreign_subscriptions {
    const char *from; /* the file that was read; NULL: there is none */
    size_t bad_lines; /* lines that cannot be a folder's name */
};

/* Adds the subscriptions found. False only if it must be tried again. */
bool foreign_subscriptions_load(int account_fd, struct subscriptions *subscriptions,
                                struct foreign_subscriptions *found, struct error *error);

/* Pure: parses the text of either server's file; adds to *bad_lines. */
void foreign_subscriptions_parse(struct slice text, bool is_courier,
                                 struct subscriptions *subscriptions, size_t *bad_lines);

#endif
