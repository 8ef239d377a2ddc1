/*
 * Requests for annotations and the answers to them (RFC 5464 5, RFC 9590). Pure;
 * imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_METADATA_H
#define IMAPD_SYNTAX_METADATA_H

#include "imapd/syntax/parser.h"
#include "storage/annotations.h"

enum { METADATA_ENTRIES_MAX = 100 }; /* of one command */

enum metadata_depth {
    METADATA_ENTRY_ALONE, /* DEPTH 0 */
    METADATA_CHILDREN,    /* DEPTH 1: also entries directly below it */
    METADATA_ALL_BELOW,   /* DEPTH infinity */
};

struct metadata_request {
    enum metadata_depth depth;
    bool is_limited;
    uint32_t max_octets;   /* MAXSIZE, where limited */
    struct slice *entries; /* in the parser's arena, in lower case; NULL: none is asked for. With a
                              depth "/private" and "/shared", too */
    size_t entry_count;
};

/* entry = astring, of at least two parts: "/private/..." or "/shared/..." (3.2). In lower case,
 * because names ignore case. */
bool metadata_parse_entry(struct imap_parser *parser, struct slice *entry);

/* [getmetadata-options SP] mailbox SP [getmetadata-options SP] entries, of which the mailbox is
 * `take_mailbox`'s to parse: the grammar has the options before it, the examples of 4.2 after it.
 */
typedef bool metadata_mailbox_parser(struct imap_parser *parser, void *mailbox);
bool metadata_request_parse(struct imap_parser *parser, metadata_mailbox_parser *take_mailbox,
                            void *mailbox, struct metadata_request *request);

/* The same without a mailbox, for LIST RETURN (METADATA ...). */
bool metadata_request_parse_entries(struct imap_parser *parser, struct metadata_request *request);

/* Appends "* METADATA name (entry value ...)", the name as on the wire, if there is any
 * entry. A single requested entry that does not exist is NIL. Raises *longest to the octets of
 * values omitted for their length. */
void metadata_write(const struct metadata_request *request, const struct annotations *annotations,
                    struct slice wire_name, struct buffer *text, uint64_t *longest);

#endif
