/*
 * The addresses of a header field (RFC 5322 3.4 with the obsolete forms of 4.4) with octets above
 * 127, as ASCII: see downgrade_field.h. Whatever stands there, no octet above 127 is left; what is
 * ASCII stays as it is written. What is opened and never closed reaches to the end, as in
 * common/mime/token.h. Linear; pure but for libidn2's own memory; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_ADDRESS_H
#define SMTPD_RELAY_DOWNGRADE_ADDRESS_H

#include "common/mime/word_writer.h"

/* `body` is unfolded. Failure is that of the writer's buffer. */
void downgrade_addresses(struct slice body, struct word_writer *writer);

#endif
