/*
 * The server side of TLS: versions, suites and certificates. TLS 1.2 and 1.3, ECDHE with AEAD only,
 * no renegotiation, no compression, no early data, no session tickets (several processes serve one
 * port, and none should hold a key that decrypts past sessions). Network roles; the stream is in
 * common/tls/tls_stream.h.
 */
#ifndef COMMON_TLS_TLS_H
#define COMMON_TLS_TLS_H

#include "common/error.h"
#include "common/slice.h"
#include "common/tls/keys_provider.h"

struct evp_pkey_st;
struct ssl_st;

/* The certificates of one process; constant once all are added. */
struct tls_context;

/* alpn: the protocol's name in RFC 7301 ("imap", "pop3"), if it has one. A client that offers
 * protocols but not this one is refused (cross-protocol attacks). NULL: ALPN is ignored. Returns
 * NULL on failure. Call after keys_provider_load. */
struct tls_context *tls_context_new(const char *alpn, struct error *error);
void tls_context_free(struct tls_context *context); /* NULL is fine; not while a stream uses it */

/* Requests a certificate from clients, which is optional; common/tls/tls_certificates.h. */
void tls_context_ask_client(struct tls_context *context);

/* Adds a chain (PEM, the server's certificate first). `name` is a host name, or "*." and one, in
 * any case. A client that asks for it (SNI) gets this chain; a client that asks for another name or
 * none gets the first chain added. A second chain with the same name and the other kind of key is
 * kept as well. The private key is held elsewhere: `certificate` is its number for the signer. */
bool tls_context_add(struct tls_context *context, const char *name, struct slice chain_pem,
                     const struct keys_signer *signer, uint32_t certificate, struct error *error);

/* As tls_context_add(), but with the private key itself; for tests. */
bool tls_context_add_with_key(struct tls_context *context, const char *name, struct slice chain_pem,
                              struct evp_pkey_st *key, struct error *error);

/* The parameters of a connection. Texts are static, except the name, which borrows from the
 * connection. */
struct tls_facts {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* OpenSSL's name: "ECDHE-RSA-AES256-GCM-SHA384" */
    const char *suite;   /* IANA's: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" */
    unsigned bits;
    const char *server_name; /* SNI of the client, checked by OpenSSL; NULL: none */
};

/* For tls_stream.c: a server's connection, or NULL. A NULL context has no certificate. */
struct ssl_st *tls_context_connection(struct tls_context *context, int fd, struct error *error);
void tls_connection_facts(const struct ssl_st *ssl, struct tls_facts *facts);

/* Empties OpenSSL's error queue into "what: why"; always returns false. The oldest entry is the
 * cause, but an error from `keys` or the certificate's key takes precedence. */
bool tls_failure(struct error *error, enum error_kind kind, const char *what);

#endif
