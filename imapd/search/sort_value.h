/*
 * Finds the values by which SORT and THREAD order messages, one message after another: from the
 * index if it has the ENVELOPE, else from the message, in slices. imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SORT_VALUE_H
#define IMAPD_SEARCH_SORT_VALUE_H

#include "imapd/fetch/fetch_value.h"
#include "imapd/search/sort_key.h"

struct sort_values {
    const struct sort_program *program; /* borrowed */
    struct fetch_item items[4];
    struct fetch_values fetched;
    struct arena scratch; /* strings of one ENVELOPE */
};

/* `program` has at least one key. Borrows it and the folder until sort_values_clear(). */
void sort_values_init(struct sort_values *values, struct folder *folder,
                      const struct sort_program *program);
/* To be called before the first sort_values_find(), if the identifiers for THREAD are wanted
 * too. */
void sort_values_want_ids(struct sort_values *values);
void sort_values_clear(struct sort_values *values); /* may run twice, and on a zeroed struct */

/* Finds one value for each key, in the arena. ERROR_NOT_FOUND: the message was removed;
 * SOURCE_MORE: call again for the same message. *is_reply: from the subject, if that is a key. */
enum source_result sort_values_find(struct sort_values *values, uint32_t uid, struct arena *arena,
                                    struct sort_entry *entry, bool *is_reply, struct error *error);

/* Identifiers of the last message found, as in message_ids.h; borrowed until the next. */
static inline struct slice sort_values_ids(const struct sort_values *values)
{
    return values->fetched.texts[INDEX_REFERENCES];
}

#endif
