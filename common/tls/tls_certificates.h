/*
 * The certificate that a client presented in its handshake, for SASL EXTERNAL (RFC 4422 A). OpenSSL
 * has verified only that the client has its key; the role `check` verifies owner and issuer.
 * Network roles.
 */
#ifndef COMMON_TLS_TLS_CERTIFICATES_H
#define COMMON_TLS_TLS_CERTIFICATES_H

#include <stdbool.h>

#include "common/buffer.h"

struct ssl_st;

enum { TLS_CERTIFICATES_MAX = 8192 }; /* octets of the client's certificate and its chain */

/* False for NULL (no TLS). */
bool tls_has_client_certificate(const struct ssl_st *ssl);

/* Appends DER: the client's certificate first, then the others it sent. Failure is recorded in the
 * buffer. */
void tls_append_client_certificates(const struct ssl_st *ssl, struct buffer *der);

#endif
