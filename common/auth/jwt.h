/*
 * Access tokens that are JSON Web Tokens (RFC 7519, 9068), signed by a key of a set (RFC 7515,
 * 7517, 7518 3): RS256, ES256, EdDSA (RFC 8037). Nothing else is believed: not `none`, no algorithm
 * with a shared secret, none that is not the key's. Pure, but for OpenSSL; `check`.
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
    const char *issuer;   /* `iss` */
    const char *audience; /* `aud`, or one of them */
    const char *claim;    /* that names the account */
    int64_t now;          /* seconds since 1970: `exp`, which must be there, and `nbf` */
};

/* Appends whose token it is to `account`. False: ERROR_PERMANENT, with what is wrong with it, or
 * ERROR_TEMPORARY: the set cannot be read, no memory. */
bool jwt_check(struct slice token, struct slice key_set, const struct jwt_policy *policy,
               struct buffer *account, struct error *error);

#endif
