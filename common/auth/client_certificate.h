/*
 * Whose a client's certificate is (RFC 4422 A, RFC 5280): issued below one of the configured
 * authorities, valid now, for TLS clients, and naming somebody. Pure, but for OpenSSL and its
 * clock; `check`.
 */
#ifndef COMMON_AUTH_CLIENT_CERTIFICATE_H
#define COMMON_AUTH_CLIENT_CERTIFICATE_H

#include "common/buffer.h"
#include "common/config/config.h"
#include "common/error.h"

/* certificates: DER, the client's first. Appends a name of the kind that is asked for: `wanted`, if
 * it is among them, else the first. False: ERROR_PERMANENT, with what is wrong with it, or
 * ERROR_TEMPORARY: the authorities cannot be read, no memory. */
bool client_certificate_check(struct slice certificates, struct slice authorities_pem,
                              enum config_certificate_name kind, struct slice wanted,
                              struct buffer *name, struct error *error);

#endif
