/*
 * Index records of the header fields that clients search (Subject, From, To, Cc, Bcc): decoded and
 * folded, so that a search of these fields reads no message; one record per group of fields, so
 * that it reads only what it needs. Results are the same as from search_text_feed_header(). Pure;
 * imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_FIELDS_H
#define IMAPD_SEARCH_SEARCH_FIELDS_H

#include "imapd/search/search_text.h"
#include "storage/index.h"

enum search_fields_group {
    SEARCH_FIELDS_SUBJECT,
    SEARCH_FIELDS_SENDER,     /* From */
    SEARCH_FIELDS_RECIPIENTS, /* To, Cc, Bcc */
    SEARCH_FIELDS_GROUPS,
};

/* The kind of index record that holds this group. */
static inline enum index_kind search_fields_kind(enum search_fields_group group)
{
    return (enum index_kind)(INDEX_SUBJECT + (int)group);
}

/* Whether these records can decide all header terms; marks the terms' fields for
 * search_fields_match(). *groups: the groups they look into, one bit each. */
bool search_fields_decide(struct search_term *terms, unsigned *groups);

/* Appends the record of one group of a header's fields. Failure is the buffer's. */
void search_fields_format(struct slice header, enum search_fields_group group,
                          struct buffer *record);

/* Marks the terms found in the record. False: the record is malformed, and nothing is marked. */
bool search_fields_match(struct slice record, struct search_term *terms);

/* For each term that looks into this group: marks whether it is absent from all of these
 * consecutive records, or may be in one of them. */
void search_fields_mark_absent(struct slice records, enum search_fields_group group,
                               struct search_term *terms);

#endif
