/*
 * What `keys` signs, and how. It is not a signing oracle: it takes the message itself, not a
 * digest, and signs it only if it is one that a TLS server signs in a handshake. No I/O. Runs in
 * `keys`.
 */
#ifndef COMMON_AUTH_KEYS_SIGN_H
#define COMMON_AUTH_KEYS_SIGN_H

#include "common/error.h"
#include "common/slice.h"

struct evp_pkey_st;

enum keys_message {
    KEYS_TLS13_CERTIFICATE_VERIFY, /* RFC 8446 4.4.3, the server's */
    KEYS_TLS12_KEY_EXCHANGE,       /* RFC 8422 5.4, ServerKeyExchange with ECDHE parameters */
};

/* Whether the whole message is one of the two kinds. Pure. */
bool keys_recognise(struct slice message, enum keys_message *kind);

/* Signs with the scheme (RFC 8446 4.2.3): RSA with PKCS #1 1.5 (for 1.2 only) and PSS, ECDSA, each
 * with SHA-256, -384 and -512. `signature` has room for KEYS_SIGNATURE_MAX octets. False:
 * ERROR_PEER if the message or the scheme is none that is signed, ERROR_PERMANENT if the key is of
 * another kind than the scheme, ERROR_TEMPORARY if OpenSSL failed. */
bool keys_sign_message(struct evp_pkey_st *key, uint16_t scheme, struct slice message,
                       uint8_t *signature, size_t *octets, struct error *error);

/* A private key, RSA or EC, from PEM without a passphrase. NULL: ERROR_PERMANENT. To be freed with
 * EVP_PKEY_free. */
struct evp_pkey_st *keys_parse_private_key(struct slice pem, struct error *error);

#endif
