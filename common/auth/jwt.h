/*
 * Access tokens that are JSON Web Tokens (RFC 7519, 9068), signed by a key of a set (RFC 7515,
 * 7517, 7518 3): RS256, ES256, EdDSA (RFC 8037). All else is refused: `none`, algorithms with a
 * shared secret, and those that differ from the key's. Also introspection answers (RFC 7662), by
 * the same claims. Pure, but for OpenSSL; `check`.
 */
#ifndef COMMON_AUTH_JWT_H
#define COMMON_AUTH_JWT_H

#include "common/buffer.h"
#include "common/error.h"

enum {
    JWT_MAX = 8192,         /* octets of a token */
    JWT_LEEWAY_SECONDS = 60 /* tolerated difference of our clock and the issuer's */
};

/* What a token must contain. All borrowed. */
struct jwt_policy {
    const char *issuer;   /* `iss`; NULL: any */
    const char *audience; /* `aud`, or one of them; NULL: any */
    const char *scope;    /* one of those in `scope`, RFC 9068 2.2.3, RFC 7662 2.2; NULL: any */
    const char *claim;    /* the claim that names the account */
    int64_t now;          /* seconds since 1970, for `exp` and `nbf` */
};

/* Appends the token's account to `account`; the token must have an `exp`. False: ERROR_PERMANENT,
 * with what is wrong with it; ERROR_TEMPORARY: the key set cannot be read, or no memory. */
bool jwt_check(struct slice token, struct slice key_set, const struct jwt_policy *policy,
               struct buffer *account, struct error *error);

/* jwt_check() for an introspection answer: *until is its `exp`, 0 if it has none. ERROR_TEMPORARY
 * also if it is not an answer of RFC 7662 2.2. */
bool jwt_check_introspection(struct slice said, const struct jwt_policy *policy,
                             struct buffer *account, int64_t *until, struct error *error);

#endif
