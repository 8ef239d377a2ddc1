/*
 * An OpenSSL 3 provider for private keys held by another process: its keys hold only the public
 * half and pass each message to be signed to a function, which asks `keys`. Thus a network process
 * makes TLS handshakes with keys it never sees. RSA (PKCS #1 1.5, PSS) and ECDSA, one-shot
 * digest-sign only: no raw signature, no decryption, no export of a private half. Network roles.
 */
#ifndef COMMON_TLS_KEYS_PROVIDER_H
#define COMMON_TLS_KEYS_PROVIDER_H

#include "common/error.h"
#include "common/slice.h"

struct evp_pkey_st;
struct x509_st;

/* Must outlive all keys made with it. */
struct keys_signer {
    /* `scheme` is a TLS SignatureScheme; `signature` has room for KEYS_SIGNATURE_MAX octets. May
     * block, for KEYS_TIMEOUT_MS at most. */
    bool (*sign)(void *owner, uint32_t certificate, uint16_t scheme, struct slice message,
                 uint8_t *signature, size_t *octets, struct error *error);
    void *owner;
};

/* Adds the provider to the default library context. Call once per process, before any certificate
 * is parsed and before the sandbox is entered (OpenSSL initialises itself). openssl.cnf is not
 * read. */
bool keys_provider_load(struct error *error);

/* A key for the certificate of that index, whose public half is in `leaf`. Free it with
 * EVP_PKEY_free. NULL on failure: ERROR_PERMANENT if it is neither RSA nor EC. */
struct evp_pkey_st *keys_provider_key(const struct keys_signer *signer, uint32_t certificate,
                                      struct x509_st *leaf, struct error *error);

#endif
