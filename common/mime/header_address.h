/*
 * Reads the addresses of From, To and similar fields (RFC 5322 3.4 with the obsolete forms of 4.4,
 * RFC 6532), one at a time, in the form of IMAP's ENVELOPE (RFC 3501 7.4.2): a group has a marker
 * before and after its members. Invalid text is returned too, as a mailbox without a domain or as a
 * bare name, marked malformed. Linear; memory at most twice the field; any process.
 *
 *     struct header_address_reader reader;
 *     struct header_address address;
 *     header_address_reader_init(&reader, field.body);
 *     while (header_address_next(&reader, &address))
 *         ...
 *     if (header_address_reader_failed(&reader)) ...
 *     header_address_reader_clear(&reader);
 */
#ifndef COMMON_MIME_HEADER_ADDRESS_H
#define COMMON_MIME_HEADER_ADDRESS_H

#include "common/buffer.h"
#include "common/text/cursor.h"

enum header_address_kind {
    HEADER_ADDRESS_MAILBOX,
    HEADER_ADDRESS_GROUP,     /* the group's name is in `name`; its members follow */
    HEADER_ADDRESS_GROUP_END, /* end of the last group, even if its ";" is missing; no text */
};

struct header_address {
    enum header_address_kind kind;
    bool malformed;          /* octets were skipped or guessed; never trust it as identity */
    struct slice name;       /* display-name, or the comment after an addr-spec; may be empty */
    struct slice route;      /* obs-route without its colon, "@a,@b"; usually empty */
    struct slice local_part; /* without quotes and backslashes */
    struct slice domain;     /* a domain-literal keeps its brackets; empty: none */
};

struct header_address_reader {
    struct cursor in;
    bool in_group;
    struct buffer text; /* text of the address returned last */
};

/* Borrows the field's body, folded or not, until the last header_address_next. */
void header_address_reader_init(struct header_address_reader *reader, struct slice body);
void header_address_reader_clear(struct header_address_reader *reader);

/* The next address, borrowed until the next call. False: the end, or no memory. */
bool header_address_next(struct header_address_reader *reader, struct header_address *address);

/* Whether reading ended for lack of memory. */
static inline bool header_address_reader_failed(const struct header_address_reader *reader)
{
    return reader->text.failed;
}

/* RFC 5321 4.1.2: whether it is atoms separated by dots, which need no quotes. */
bool header_address_is_dot_string(struct slice local_part);

/* Appends the local part in SMTP syntax, quoted where needed. */
void header_address_append_local_part(struct buffer *text, struct slice local_part);

#endif
