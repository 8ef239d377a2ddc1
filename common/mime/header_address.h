/*
 * The addresses of From, To and their kin (RFC 5322 3.4 with the obsolete forms of 4.4, RFC 6532),
 * one at a time and in the shape of IMAP's ENVELOPE (RFC 3501 7.4.2): a group is a mark before its
 * members and one after them. Whatever stands in the field, something true is handed out for it:
 * what is no address is a mailbox without a domain, or a name alone, marked malformed. Linear;
 * memory at most twice the field; any process.
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
    HEADER_ADDRESS_GROUP,     /* its name in `name`; its members follow */
    HEADER_ADDRESS_GROUP_END, /* of the last group, also where its ";" is missing; no text */
};

struct header_address {
    enum header_address_kind kind;
    bool malformed;     /* octets had to be skipped or guessed at; never trust it as identity */
    struct slice name;  /* display-name, or the comment after an addr-spec; may be empty */
    struct slice route; /* obs-route without its colon, "@a,@b"; mostly empty */
    struct slice local_part; /* without quotes and backslashes */
    struct slice domain;     /* a domain-literal with its brackets; empty if there was none */
};

struct header_address_reader {
    struct cursor in;
    bool in_group;
    struct buffer text; /* of the address handed out last */
};

/* Borrows the field's body, folded or not, until the last header_address_next. */
void header_address_reader_init(struct header_address_reader *reader, struct slice body);
void header_address_reader_clear(struct header_address_reader *reader);

/* The next address, borrowed until the next call. False: the end, or no memory. */
bool header_address_next(struct header_address_reader *reader, struct header_address *address);

/* The reading ended for lack of memory. */
static inline bool header_address_reader_failed(const struct header_address_reader *reader)
{
    return reader->text.failed;
}

/* RFC 5321 4.1.2: atoms with dots between, which need no quotes. */
bool header_address_is_dot_string(struct slice local_part);

/* The local part as SMTP writes it: the header's quotes are gone, and come back where needed. */
void header_address_append_local_part(struct buffer *text, struct slice local_part);

#endif
