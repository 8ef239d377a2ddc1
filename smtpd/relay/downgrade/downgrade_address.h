/*
 * Converts the addresses of a header field (RFC 5322 3.4 with the obsolete forms of 4.4) with
 * octets above 127 to ASCII: see downgrade_field.h. No input leaves an octet above 127 in the
 * output; ASCII stays as written. An unclosed comment or quoted string extends to the end, as in
 * common/mime/token.h. Linear; pure except for memory of libidn2; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_ADDRESS_H
#define SMTPD_RELAY_DOWNGRADE_ADDRESS_H

#include "common/mime/word_writer.h"

/* `body` is unfolded. Failure is recorded in the writer's buffer. */
void downgrade_addresses(struct slice body, struct word_writer *writer);

#endif
