/*
 * Checks a client's certificate and finds the account it names (RFC 4422 A, RFC 5280): it must be
 * issued by a configured authority, valid now, for TLS clients, and contain a name. Pure, but for
 * OpenSSL and its clock; `check`.
 */
#ifndef COMMON_AUTH_CLIENT_CERTIFICATE_H
#define COMMON_AUTH_CLIENT_CERTIFICATE_H

#include "common/buffer.h"
#include "common/config/config.h"
#include "common/error.h"

/* certificates: DER, the client's own first. Appends one of its names of that `kind`: `wanted` if
 * it is among them, else the first. False: ERROR_PERMANENT, with what is wrong with it;
 * ERROR_TEMPORARY: the authorities cannot be read, or no memory. */
bool client_certificate_check(struct slice certificates, struct slice authorities_pem,
                              enum config_certificate_name kind, struct slice wanted,
                              struct buffer *name, struct error *error);

#endif
