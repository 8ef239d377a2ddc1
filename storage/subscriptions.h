/*
 * The user's subscriptions: the file "staffetta-subscriptions" in the account's directory, one name
 * per line, UTF-8, sorted. Names of folders that do not exist are kept (RFC 9051 6.3.9).
 *
 * One writer: the user's mailbox process. Blocking file I/O.
 */
#ifndef STORAGE_SUBSCRIPTIONS_H
#define STORAGE_SUBSCRIPTIONS_H

#include "common/buffer.h"
#include "common/error.h"

enum {
    SUBSCRIPTIONS_MAX = 4 << 20,   /* octets of the file */
    SUBSCRIPTIONS_NAME_MAX = 1000, /* octets of a name */
};

struct subscriptions {
    struct buffer text; /* the file: each name with its LF, in the order of slice_compare */
};

void subscriptions_init(struct subscriptions *subscriptions);
void subscriptions_clear(struct subscriptions *subscriptions); /* may run twice */

/* Replaces the contents. ERROR_NOT_FOUND: there is no file, and so no subscription. */
bool subscriptions_load(int account_fd, struct subscriptions *subscriptions, struct error *error);

/* Durable when it returns true. */
bool subscriptions_store(int account_fd, const struct subscriptions *subscriptions,
                         struct error *error);

bool subscriptions_has(const struct subscriptions *subscriptions, struct slice name);

/* The name may be in the list already. ERROR_PERMANENT: the name is empty, too long, has a control
 * character, or the list is full. */
bool subscriptions_add(struct subscriptions *subscriptions, struct slice name, struct error *error);

/* False: it was not there. */
bool subscriptions_remove(struct subscriptions *subscriptions, struct slice name);

/* Reads the next name: *rest starts as buffer_slice(&subscriptions->text). False at the end.
 * Pure. */
bool subscriptions_next(struct slice *rest, struct slice *name);

#endif
