/*
 * Mail addresses as SMTP writes them: Path and Mailbox of RFC 5321 4.1.2 with the octets above 127
 * of RFC 6531 3.3, exact, within the sizes of RFC 5321 4.5.3.1 (local part 64 octets, domain 255,
 * path 256). Source routes are read and forgotten. Address literals are IPv4 and IPv6: no other tag
 * was ever registered. Pure but for libidn2's own memory; any process.
 *
 * An address borrows from the text it was parsed from and keeps how it was written, quotes and
 * escapes too, so formatting gives back what came in. To compare, canonicalise.
 */
#ifndef COMMON_TEXT_ADDRESS_H
#define COMMON_TEXT_ADDRESS_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/net/ip_address.h"
#include "common/text/cursor.h"

enum {
    ADDRESS_LOCAL_PART_LIMIT = 64,          /* RFC 5321 4.5.3.1.1 */
    ADDRESS_DOMAIN_LIMIT = 255,             /* RFC 5321 4.5.3.1.2 */
    ADDRESS_PATH_LIMIT = 256,               /* RFC 5321 4.5.3.1.3, with its angle brackets */
    ADDRESS_LIMIT = ADDRESS_PATH_LIMIT - 2, /* a mailbox */

    /* An upper bound of what address_canonicalise() appends: A-labels and requoting may grow. */
    ADDRESS_CANONICAL_LIMIT = 2 * ADDRESS_LOCAL_PART_LIMIT + 2 + 1 + ADDRESS_DOMAIN_LIMIT,
};

enum address_host {
    ADDRESS_HOST_NONE, /* the null path, and <postmaster> */
    ADDRESS_HOST_DOMAIN,
    ADDRESS_HOST_LITERAL,
};

struct address {
    struct slice local_part; /* as written: a Dot-string, or a Quoted-string with its quotes */
    struct slice domain;     /* as written, a literal with its brackets */
    enum address_host host;  /* what `domain` is */
    struct ip_address ip;    /* what a literal says */
    bool utf8;               /* has octets above 127, which RFC 6531 allows with SMTPUTF8 only */
};

/* The null path <> or no address at all. */
static inline bool address_is_null(const struct address *address)
{
    return address->local_part.len == 0;
}

/* These fail with ERROR_PEER and a text for the peer ("local part longer than 64 octets"), and then
 * leave the cursor where it was and *address untouched. */

/* Reverse-path = Path / "<>". The cursor is left after the ">". */
bool address_parse_reverse_path(struct cursor *in, struct address *address, struct error *error);

/* Forward-path = Path / "<Postmaster>", this in any case. */
bool address_parse_forward_path(struct cursor *in, struct address *address, struct error *error);

/* The whole text is a Mailbox, no brackets round it. */
bool address_parse_mailbox(struct slice text, struct address *address, struct error *error);

/* The whole text is a Domain or an address-literal; local_part stays empty. */
bool address_parse_host(struct slice text, struct address *address, struct error *error);

/* As it was written: local-part "@" domain, "postmaster", or nothing for the null path. Failure is
 * the buffer's. */
void address_format(const struct address *address, struct buffer *out);

/* The same between "<" and ">". */
void address_format_path(const struct address *address, struct buffer *out);

/* Appends the one form of all spellings of an address: the local part quoted only where it must be
 * (its letters keep their case: RFC 5321 2.4 leaves their meaning to the receiving host), the
 * domain as A-labels (IDNA2008, UTS 46 mapping) in lower case, a literal as RFC 5952 writes it.
 * Parses again as a Mailbox. Fails, nothing appended, with ERROR_PEER if the domain is no IDNA name
 * and with ERROR_TEMPORARY if there is no memory or no room in the buffer. */
bool address_canonicalise(const struct address *address, struct buffer *out, struct error *error);

/* The same of the domain alone. */
bool address_canonicalise_domain(const struct address *address, struct buffer *out,
                                 struct error *error);

#endif
