/*
 * The values of a FETCH (RFC 3501 7.4.2) except FLAGS, UID and MODSEQ, one message after another:
 * from the index if it has them, else from the message; values that were read are added to the
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
    bool entered;        /* message_cache_enter() was called */
    struct index *index; /* used by `readers`; NULL: none */
    struct index_reader readers[INDEX_KINDS];
    /* For the current message: */
    bool looked_up; /* in the index */
    struct index_facts facts;
    bool facts_known; /* from the index */
    int64_t saved;    /* 0: not known */
    char email_id[EMAIL_ID_SIZE];
    struct slice texts[INDEX_KINDS]; /* .ptr NULL: not known yet */
    struct buffer made[INDEX_KINDS]; /* texts that the index did not have */
    struct fetch_binary binary;      /* for the item being written */
};

/* For these items of messages of this folder; borrows both until fetch_values_clear(). */
void fetch_values_init(struct fetch_values *values, struct folder *folder,
                       const struct fetch_item *items);
void fetch_values_clear(struct fetch_values *values); /* may run twice */

/* Switches to another message. */
void fetch_values_turn_to(struct fetch_values *values, uint32_t uid);

/* Prepares the values: once done, only reading the octets of a section can fail. ERROR_NOT_FOUND:
 * the message was removed. ERROR_PERMANENT: a part to be decoded has an unknown encoding. */
enum source_result fetch_values_prepare(struct fetch_values *values, struct error *error);

/* Measures, in slices, what a FETCH_BINARY of an existing part will write: when done,
 * values->binary has the result. */
enum source_result fetch_value_measure(struct fetch_values *values, const struct fetch_item *item,
                                       struct error *error);

/* Writes the value of one item. A long section is written in parts: *position, 0 at first, is the
 * progress. SOURCE_MORE: something is left, and the stream is full or the turn is over.
 * SOURCE_FAILED: a value was begun that cannot be completed. */
enum source_result fetch_value_write(struct fetch_values *values, const struct fetch_item *item,
                                     uint64_t *position, struct writer *writer,
                                     struct error *error);

#endif
