/*
 * The RETURN options of SEARCH and SORT (RFC 4731, RFC 5182, RFC 5267 3, RFC 9394; RFC 9051 6.4.4).
 * Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_RETURN_H
#define IMAPD_SEARCH_SEARCH_RETURN_H

#include "imapd/syntax/parser.h"

enum search_return_item {
    SEARCH_RETURNS_MIN = 1 << 0,
    SEARCH_RETURNS_MAX = 1 << 1,
    SEARCH_RETURNS_COUNT = 1 << 2,
    SEARCH_RETURNS_ALL = 1 << 3,
    SEARCH_RETURNS_PARTIAL = 1 << 4,
    SEARCH_SAVES = 1 << 5,   /* save the result as "$" */
    SEARCH_CONTEXT = 1 << 6, /* a hint that the search will be repeated, RFC 5267 4.2; ignored */
    SEARCH_UPDATES = 1 << 7, /* report later changes of the result, RFC 5267 4.3 */
};

/* "1:500" of the result, or "-1:-500" from its end: "a range 500:400 is the same as 400:500" (RFC
 * 9394 4), and is returned in that order. */
struct partial_range {
    bool from_end;
    uint32_t low; /* at least 1 */
    uint32_t high;
};

struct search_return {
    unsigned items; /* enum search_return_item; 0: there was no RETURN */
    struct partial_range partial;
    struct slice update_data; /* "(UID FLAGS)", as sent: to fetch for new messages, RFC 5465 7 */
};

/* ["RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")" SP]; "()" is "(ALL)". */
bool search_return_parse(struct imap_parser *parser, struct search_return *returns);

/* Whether only the first, or only the last, match is needed; also if it is saved, as "$" then has
 * only that message (RFC 5182 2.4). */
bool search_return_wants_first(const struct search_return *returns);
bool search_return_wants_last(const struct search_return *returns);

/* partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number    RFC 9394 4 */
bool partial_range_parse(struct imap_parser *parser, struct partial_range *range);
void partial_range_format(const struct partial_range *range, struct buffer *text);

/* The part of `count` results that the range selects: from *first up to, not including, *end. */
void partial_range_resolve(const struct partial_range *range, size_t count, size_t *first,
                           size_t *end);

#endif
