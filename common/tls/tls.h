/*
 * TLS as a server speaks it: which versions, suites and certificates. TLS 1.2 and 1.3, ECDHE with
 * AEAD only, no renegotiation, no compression, no early data, no session tickets (several processes
 * answer on one port, and none of them should hold a key that opens yesterday's sessions). Network
 * roles; the stream is in common/tls/tls_stream.h.
 */
#ifndef COMMON_TLS_TLS_H
#define COMMON_TLS_TLS_H

#include "common/error.h"
#include "common/slice.h"
#include "common/tls/keys_provider.h"

struct evp_pkey_st;
struct ssl_st;

/* The certificates of one process; constant once they are all in. */
struct tls_context;

/* alpn: the protocol's name for RFC 7301 ("imap", "pop3"), where there is one. A client that names
 * protocols but not this one came to the wrong port and is refused (cross-protocol attacks); NULL:
 * ALPN is not looked at. NULL on failure. After keys_provider_load. */
struct tls_context *tls_context_new(const char *alpn, struct error *error);
void tls_context_free(struct tls_context *context); /* NULL is fine; not while a stream uses it */

/* Clients are asked for a certificate, which they need not have; common/tls/tls_certificates.h. */
void tls_context_ask_client(struct tls_context *context);

/* Adds a chain (PEM, the server's certificate first). `name` is a host name or "*." and one, in any
 * case. A client that asks for it (SNI) gets this chain, a client that asks for another name or
 * none the first that was added. A second chain of the same name, but with the other kind of key,
 * stands beside it. The key stays elsewhere: `certificate` is its number for the signer. */
bool tls_context_add(struct tls_context *context, const char *name, struct slice chain_pem,
                     const struct keys_signer *signer, uint32_t certificate, struct error *error);

/* The same with the private key at hand, for tests. */
bool tls_context_add_with_key(struct tls_context *context, const char *name, struct slice chain_pem,
                              struct evp_pkey_st *key, struct error *error);

/* What a connection came to. Static texts, but the name, which borrows from the connection. */
struct tls_facts {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* OpenSSL's name: "ECDHE-RSA-AES256-GCM-SHA384" */
    const char *suite;   /* IANA's: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" */
    unsigned bits;
    const char *server_name; /* what the client asked for, checked by OpenSSL; NULL: nothing */
};

/* For tls_stream.c: a server's connection, or NULL. A NULL context has no certificate. */
struct ssl_st *tls_context_connection(struct tls_context *context, int fd, struct error *error);
void tls_connection_facts(const struct ssl_st *ssl, struct tls_facts *facts);

/* Empties OpenSSL's list of errors into "what: why", always false. The oldest entry is the cause,
 * but what keys or the certificate's key said comes before it. */
bool tls_failure(struct error *error, enum error_kind kind, const char *what);

#endif
