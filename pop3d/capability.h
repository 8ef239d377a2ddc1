/*
 * What CAPA answers (RFC 2449), before and after the login alike, but for what is only for logging
 * in. pop3d-login and pop3d-maildrop.
 */
#ifndef POP3D_CAPABILITY_H
#define POP3D_CAPABILITY_H

#include "common/buffer.h"
#include "common/config/config.h"

/* The lines that hold in both states, each with its CRLF; no first and no last line. */
void pop3_capabilities_append(const struct config *config, struct buffer *text);

#endif
