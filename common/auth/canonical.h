/*
 * The one spelling under which an address is stored, looked up and compared here: two addresses are
 * the same mailbox of ours if and only if their canonical forms are the same octets. That is
 * address_canonicalise()'s form (common/text/address.h) with the letters of the local part folded,
 * which only the host that owns the mailbox may do (RFC 5321 2.4): ASCII to lower case, beyond
 * ASCII by Unicode's case folding in NFC (RFC 6532 3.1).
 *
 * Pure but for memory. Any process.
 */
#ifndef COMMON_AUTH_CANONICAL_H
#define COMMON_AUTH_CANONICAL_H

#include "common/text/address.h"

enum { CANONICAL_MAX = ADDRESS_CANONICAL_LIMIT };

struct canonical {
    uint8_t octets[CANONICAL_MAX]; /* local part, '@', domain */
    uint16_t local_len;
    uint16_t len; /* of the whole */
};

/* The whole text is local-part "@" domain. ERROR_PEER if it is not, or if its canonical form is
 * longer than an address may be; ERROR_TEMPORARY where there is no memory to tell; *result is
 * unspecified then. What has been parsed once parses again, as itself. */
bool canonical_parse(struct slice text, struct canonical *result, struct error *error);

/* The same of a local part alone: the result ends with its '@'. */
bool canonical_parse_local_part(struct slice text, struct canonical *result, struct error *error);

/* The same of a domain alone: the result begins with its '@'. */
bool canonical_parse_domain(struct slice text, struct canonical *result, struct error *error);

/* Puts canonical parts together; false if that is too long. */
bool canonical_join(struct slice local_part, struct slice domain, struct canonical *result);

/* Borrowed from the struct. */
static inline struct slice canonical_text(const struct canonical *address)
{
    return slice_of(address->octets, address->len);
}

/* The parts of a canonical text before and after its last '@'. */
static inline size_t canonical_find_at(struct slice text)
{
    const uint8_t *at = text.len ? memrchr(text.ptr, '@', text.len) : NULL;
    return at ? (size_t)(at - text.ptr) : text.len;
}

static inline struct slice canonical_local_part(struct slice text)
{
    return slice_range(text, 0, canonical_find_at(text));
}

static inline struct slice canonical_domain(struct slice text)
{
    return slice_from(text, canonical_find_at(text) + 1);
}

#endif
