/* xtext of RFC 3461 4: how DSN parameters encode "+", "=" and spaces. Pure; sessions, relay. */
#ifndef SMTPD_SESSION_XTEXT_H
#define SMTPD_SESSION_XTEXT_H

#include "common/buffer.h"

/* xtext = *( xchar / hexchar ) that decodes to printable ASCII: no line end can be smuggled into a
 * report this way. */
bool xtext_is_valid(struct slice text);

/* Appends what a valid xtext means. Failure is the buffer's. */
void xtext_decode(struct slice text, struct buffer *out);

/* Appends the octets as xtext. */
void xtext_encode(struct slice octets, struct buffer *out);

#endif
