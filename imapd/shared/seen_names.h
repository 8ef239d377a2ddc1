/*
 * Names of mailboxes that a visitor who listens (NOTIFY, RFC 5465 5.4) knows he may look up: what
 * he is told of names is how these change. A set; pure. imapd-mailbox; session/notify.c alone has
 * one.
 */
#ifndef IMAPD_SHARED_SEEN_NAMES_H
#define IMAPD_SHARED_SEEN_NAMES_H

#include "common/buffer.h"

struct seen_names {
    struct buffer lines; /* name LF */
};

void seen_names_init(struct seen_names *seen);
void seen_names_clear(struct seen_names *seen); /* may run twice */

bool seen_names_has(const struct seen_names *seen, struct slice name);
/* One that is not among them yet. */
void seen_names_add(struct seen_names *seen, struct slice name);
void seen_names_remove(struct seen_names *seen, struct slice name);

/* No memory, or more than a mebibyte of names: what it says is worth nothing any more. */
bool seen_names_failed(const struct seen_names *seen);

/* One after the other: *rest starts as seen_names_all(), until one is added or removed. */
struct slice seen_names_all(const struct seen_names *seen);
bool seen_names_next(struct slice *rest, struct slice *name);

#endif
