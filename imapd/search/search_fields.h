/*
 * What SEARCH compares of the header fields that clients search (Subject, From, To, Cc, Bcc), as a
 * record of the index: decoded and folded, so that a search of these alone reads no message. It
 * answers as search_text_feed_header() would. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_FIELDS_H
#define IMAPD_SEARCH_SEARCH_FIELDS_H

#include "imapd/search/search_text.h"

/* Whether a record decides all of these terms that look into the header; marks their fields for
 * search_fields_match(). */
bool search_fields_decide(struct search_term *terms);

/* Appends the record of a header. Failure is the buffer's. */
void search_fields_format(struct slice header, struct buffer *record);

/* Marks the terms that are found. False: the record is malformed, and nothing is said. */
bool search_fields_match(struct slice record, struct search_term *terms);

#endif
