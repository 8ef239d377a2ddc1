/*
 * Channel bindings, which tie a login to its TLS connection (RFC 5802 6): both sides compute them,
 * and a proxy in between cannot have the same on both of its connections. Available after the
 * handshake. Network roles.
 */
#ifndef COMMON_TLS_TLS_BINDING_H
#define COMMON_TLS_TLS_BINDING_H

#include "common/slice.h"

struct ssl_st;
struct x509_st;

struct tls_binding {
    uint8_t octets[64];
    size_t length; /* 0: there is none */
};

/* tls-exporter, RFC 9266: with TLS 1.3, and with TLS 1.2 if it has the extended master secret. */
void tls_binding_export(struct ssl_st *ssl, struct tls_binding *binding);

/* tls-server-end-point, RFC 5929 4, of the server's certificate; NULL is fine. */
void tls_binding_end_point(const struct x509_st *certificate, struct tls_binding *binding);

/* Both bindings, computed by the server. */
struct tls_bindings {
    struct tls_binding exporter;
    struct tls_binding end_point;
};
void tls_bindings_of_server(const struct ssl_st *ssl, struct tls_bindings *bindings);

#endif
