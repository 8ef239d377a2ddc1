/*
 * The names of mailboxes that a visitor with NOTIFY (RFC 5465 5.4) knows it may look up: it is told
 * of changes to this set. Look-up is fast with ten thousand names too. Pure. imapd-mailbox; used
 * only by session/notify.c.
 */
#ifndef IMAPD_SHARED_SEEN_NAMES_H
#define IMAPD_SHARED_SEEN_NAMES_H

#include <stdbool.h>

#include "common/slice.h"

struct seen_name;

struct seen_names {
    struct seen_name *names;
    size_t octets; /* total of all names */
    bool failed;
};

void seen_names_init(struct seen_names *seen);
void seen_names_clear(struct seen_names *seen); /* may run twice; then empty and usable */

bool seen_names_has(const struct seen_names *seen, struct slice name);
/* The name must not be in the set yet. */
void seen_names_add(struct seen_names *seen, struct slice name);
void seen_names_remove(struct seen_names *seen, struct slice name);

/* No memory, or more than 1 MiB of names: the set is incomplete. */
bool seen_names_failed(const struct seen_names *seen);

/* The name added after `one`; the first one if `one` is NULL; NULL: no more. A name may be removed
 * once the next is known. */
const struct seen_name *seen_names_next(const struct seen_names *seen, const struct seen_name *one);
struct slice seen_name_text(const struct seen_name *one); /* until it is removed */

#endif
