/*
 * The items of a FETCH (RFC 3501 6.4.5 and 9, fetch-att; RFC 3516, RFC 7162, RFC 8474, RFC 8514,
 * RFC 8970), parsed into a list, with the label that each has in the response. Pure; imapd-mailbox.
 */
#ifndef IMAPD_FETCH_FETCH_ITEM_H
#define IMAPD_FETCH_FETCH_ITEM_H

#include "common/mime/section.h"
#include "imapd/syntax/parser.h"

enum fetch_kind {
    FETCH_FLAGS,
    FETCH_UID,
    FETCH_MODSEQ, /* RFC 7162 3.1.4.2 */
    FETCH_INTERNALDATE,
    FETCH_SIZE,     /* RFC822.SIZE */
    FETCH_SAVEDATE, /* RFC 8514 4.2 */
    FETCH_EMAILID,  /* RFC 8474 5.3 */
    FETCH_THREADID,
    FETCH_ENVELOPE,
    FETCH_BODY, /* BODYSTRUCTURE without its extension data */
    FETCH_BODYSTRUCTURE,
    FETCH_REFERENCES, /* for THREAD, as in message_ids.h; internal, not for clients */
    FETCH_PREVIEW,    /* RFC 8970 */
    FETCH_SECTION,    /* BODY[...], and its equivalents RFC822, RFC822.HEADER, RFC822.TEXT */
    FETCH_BINARY,     /* BINARY[...], RFC 3516 4.2 */
    FETCH_BINARY_SIZE,
};

struct fetch_item {
    struct fetch_item *next;
    enum fetch_kind kind;
    struct slice label; /* "FLAGS", "BODY[1.TEXT]<0>": the item's name in the response */

    bool lazy; /* FETCH_PREVIEW: only if it is in the index */

    /* For FETCH_SECTION; for FETCH_BINARY and FETCH_BINARY_SIZE always SECTION_ALL. */
    struct section section;
    struct slice *fields; /* of HEADER.FIELDS and HEADER.FIELDS.NOT, by section_sort_names() */
    size_t field_count;
    bool sets_seen; /* false for .PEEK, RFC822.HEADER and BINARY.SIZE */
    bool partial;
    uint64_t offset; /* of the requested range; at most 63 bits, like `octets` */
    uint64_t octets; /* length of the range; not 0 */
};

/* "ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")". The items are in the
 * parser's arena, in the order requested. */
bool fetch_items_parse(struct imap_parser *parser, struct fetch_item **items);

#endif
