/*
 * Access tokens that are JSON Web Tokens (RFC 7519, 9068), signed by a key of a set (RFC 7515,
 * 7517, 7518 3): RS256, ES256, EdDSA (RFC 8037). Nothing else is believed: not `none`, no algorithm
 * with a shared secret, none that is not the key's. And what a token's server says of it (RFC
 * 7662), by the same claims. Pure, but for OpenSSL; `check`.
 */
#ifndef COMMON_AUTH_JWT_H
#define COMMON_AUTH_JWT_H

#include "common/buffer.h"
#include "common/error.h"

enum {
    JWT_MAX = 8192,         /* octets of a token */
    JWT_LEEWAY_SECONDS = 60 /* between our clock and the issuer's */
};

/* What a token must say. All borrowed. */
struct jwt_policy {
    const char *issuer;   /* `iss`; NULL: any */
    const char *audience; /* `aud`, or one of them; NULL: any */
    const char *scope;    /* one of those in `scope`, RFC 9068 2.2.3, RFC 7662 2.2; NULL: any */
    const char *claim;    /* that names the account */
    int64_t now;          /* seconds since 1970: `exp` and `nbf` */
};

/* Appends whose token it is to `account`; it must have an `exp`. False: ERROR_PERMANENT, with what
 * is wrong with it, or ERROR_TEMPORARY: the set cannot be read, no memory. */
bool jwt_check(struct slice token, struct slice key_set, const struct jwt_policy *policy,
               struct buffer *account, struct error *error);

/* The same for what the server says: *until is its `exp`, 0 where there is none. ERROR_TEMPORARY
 * too: it is no answer of RFC 7662 2.2. */
bool jwt_check_introspection(struct slice said, const struct jwt_policy *policy,
                             struct buffer *account, int64_t *until, struct error *error);

#endif
