/*
 * What a FETCH asks for (RFC 3501 6.4.5 and 9, fetch-att; RFC 3516, RFC 7162, RFC 8474, RFC 8514,
 * RFC 8970): the list as a struct, with the words that each answer begins with. Pure;
 * imapd-mailbox.
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
    FETCH_REFERENCES, /* of THREAD, in the form of message_ids.h: no client can ask for it */
    FETCH_PREVIEW,    /* RFC 8970 */
    FETCH_SECTION,    /* BODY[...], and RFC822, RFC822.HEADER, RFC822.TEXT, which are the same */
    FETCH_BINARY,     /* BINARY[...], RFC 3516 4.2 */
    FETCH_BINARY_SIZE,
};

struct fetch_item {
    struct fetch_item *next;
    enum fetch_kind kind;
    struct slice label; /* "FLAGS", "BODY[1.TEXT]<0>": what the answer begins with */

    bool lazy; /* FETCH_PREVIEW: only if it costs nothing */

    /* FETCH_SECTION; of the two others only parts, SECTION_ALL */
    struct section section;
    struct slice *fields; /* of HEADER.FIELDS and HEADER.FIELDS.NOT, by section_sort_names() */
    size_t field_count;
    bool sets_seen; /* not a .PEEK, not RFC822.HEADER, not BINARY.SIZE */
    bool partial;
    uint64_t offset; /* of the part of it that is wanted; that and `octets` have 63 bits */
    uint64_t octets; /* not 0 */
};

/* "ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")". The items lie in the
 * parser's arena, in the order asked for. */
bool fetch_items_parse(struct imap_parser *parser, struct fetch_item **items);

#endif
