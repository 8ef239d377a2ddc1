/*
 * The values of a FETCH (RFC 3501 7.4.2), but for FLAGS, UID and MODSEQ: of one message after the
 * other, from the index where it has them, else from the message. What was read goes into the
 * index. imapd-mailbox.
 */
#ifndef IMAPD_FETCH_FETCH_VALUE_H
#define IMAPD_FETCH_FETCH_VALUE_H

#include "imapd/fetch/fetch_binary.h"
#include "imapd/fetch/fetch_item.h"
#include "imapd/fetch/message_source.h"
#include "imapd/syntax/writer.h"

struct fetch_values {
    struct message_source source;
    const struct fetch_item *items;
    bool entered;        /* the cache, for its index */
    struct index *index; /* that the readers read; NULL: none */
    struct index_reader readers[INDEX_KINDS];
    /* Of the message that is answered: */
    bool looked_up; /* in the index */
    struct index_facts facts;
    bool facts_known; /* from the index */
    int64_t saved;    /* 0: not known */
    char email_id[EMAIL_ID_SIZE];
    struct slice texts[INDEX_KINDS]; /* .ptr NULL: not known yet */
    struct buffer made[INDEX_KINDS]; /* those that the index did not have */
    struct fetch_binary binary;      /* of the item that is being written */
};

/* For these items of messages of that folder; both are borrowed until the clear. */
void fetch_values_init(struct fetch_values *values, struct folder *folder,
                       const struct fetch_item *items);
void fetch_values_clear(struct fetch_values *values); /* may run twice */

/* Turns to another message. */
void fetch_values_turn_to(struct fetch_values *values, uint32_t uid);

/* Finds out what the items need: once it is done, only the reading of a section's octets can fail.
 * ERROR_NOT_FOUND: the message is gone. ERROR_PERMANENT: a part is wanted decoded whose encoding
 * nobody knows. */
enum source_result fetch_values_prepare(struct fetch_values *values, struct error *error);

/* Finds out what a FETCH_BINARY of a part that there is will write, in slices: values->binary has
 * it once it is done. */
enum source_result fetch_value_measure(struct fetch_values *values, const struct fetch_item *item,
                                       struct error *error);

/* Writes the value of one of those items. A long section is written in parts: *position, 0 at
 * first, says how far it is, and the answer is SOURCE_MORE as long as something is left and the
 * stream wants no more now, or the turn is over. SOURCE_FAILED: a value that was begun cannot be
 * ended. */
enum source_result fetch_value_write(struct fetch_values *values, const struct fetch_item *item,
                                     uint64_t *position, struct writer *writer,
                                     struct error *error);

#endif
