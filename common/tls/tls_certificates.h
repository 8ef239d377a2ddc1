/*
 * The certificate that a client has shown in its handshake, for SASL EXTERNAL (RFC 4422 A). OpenSSL
 * has seen that the client has its key, and nothing else: whose it is and who has issued it `check`
 * says. Network roles.
 */
#ifndef COMMON_TLS_TLS_CERTIFICATES_H
#define COMMON_TLS_TLS_CERTIFICATES_H

#include <stdbool.h>

#include "common/buffer.h"

struct ssl_st;

enum { TLS_CERTIFICATES_MAX = 8192 }; /* octets, of the client's and of those above it */

/* NULL (no TLS) has none. */
bool tls_has_client_certificate(const struct ssl_st *ssl);

/* Appends DER: the client's own first, then those it sent along. Failure is the buffer's. */
void tls_append_client_certificates(const struct ssl_st *ssl, struct buffer *der);

#endif
