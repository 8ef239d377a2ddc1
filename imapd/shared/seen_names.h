/*
 * Names of mailboxes that a visitor who listens (NOTIFY, RFC 5465 5.4) knows he may look up: what
 * he is told of names is how these change. A set, where one is found as fast among ten thousand;
 * pure. imapd-mailbox; session/notify.c alone has one.
 */
#ifndef IMAPD_SHARED_SEEN_NAMES_H
#define IMAPD_SHARED_SEEN_NAMES_H

#include <stdbool.h>

#include "common/slice.h"

struct seen_name;

struct seen_names {
    struct seen_name *names;
    size_t octets; /* of all, together */
    bool failed;
};

void seen_names_init(struct seen_names *seen);
void seen_names_clear(struct seen_names *seen); /* may run twice; it is as new then */

bool seen_names_has(const struct seen_names *seen, struct slice name);
/* One that is not among them yet. */
void seen_names_add(struct seen_names *seen, struct slice name);
void seen_names_remove(struct seen_names *seen, struct slice name);

/* No memory, or more than a mebibyte of names: what it says is worth nothing any more. */
bool seen_names_failed(const struct seen_names *seen);

/* One after the other, those that were added first before others; NULL: the first, or there is no
 * more. One may be removed once the next is known. */
const struct seen_name *seen_names_next(const struct seen_names *seen, const struct seen_name *one);
struct slice seen_name_text(const struct seen_name *one); /* until it is removed */

#endif
