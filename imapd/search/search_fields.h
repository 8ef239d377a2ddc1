/*
 * What SEARCH compares of the header fields that clients search (Subject, From, To, Cc, Bcc), as
 * records of the index: decoded and folded, so that a search of these alone reads no message, and
 * each group of fields for itself, so that it reads no others. They answer as
 * search_text_feed_header() would. Pure; imapd-mailbox.
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

/* Where the index has its records. */
static inline enum index_kind search_fields_kind(enum search_fields_group group)
{
    return (enum index_kind)(INDEX_SUBJECT + (int)group);
}

/* Whether records decide all of these terms that look into the header; marks their fields for
 * search_fields_match(). *groups: those that they look into, a bit each. */
bool search_fields_decide(struct search_term *terms, unsigned *groups);

/* Appends the record of a group of fields of a header. Failure is the buffer's. */
void search_fields_format(struct slice header, enum search_fields_group group,
                          struct buffer *record);

/* Marks the terms that are found in that group of fields. False: the record is malformed, and
 * nothing is said. */
bool search_fields_match(struct slice record, struct search_term *terms);

/* Marks which of the terms that look into that group are in none of these records, which lie one
 * after the other, and which may be in one. */
void search_fields_mark_absent(struct slice records, enum search_fields_group group,
                               struct search_term *terms);

#endif
