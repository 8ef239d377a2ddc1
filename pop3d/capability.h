/*
 * The answer of CAPA (RFC 2449): the lines that are the same before and after the login.
 * pop3d-login and pop3d-maildrop.
 */
#ifndef POP3D_CAPABILITY_H
#define POP3D_CAPABILITY_H

#include "common/buffer.h"
#include "common/config/config.h"

/* Appends these lines, each with CRLF, without the first and last line of the answer. */
void pop3_capabilities_append(const struct config *config, struct buffer *text);

#endif
