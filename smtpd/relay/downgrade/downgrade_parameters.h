/*
 * Converts Content-Type and Content-Disposition with octets above 127 to ASCII: a parameter that
 * has such octets, or is too long for a line, is written as in RFC 2231 3 and 4, with the charset
 * UTF-8 or unknown-8bit (RFC 1428 3); all others are kept, each on its own line. In a boundary,
 * which has no other encoding (RFC 2046 5.1.1), "=XX" replaces such an octet, as in the delimiter
 * lines (transfer_mender.h). Comments are dropped. Pure; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_PARAMETERS_H
#define SMTPD_RELAY_DOWNGRADE_PARAMETERS_H

#include "common/mime/scan.h"
#include "common/mime/word_writer.h"

/* Append to the writer's buffer, starting with a space. False, with nothing written, if the field's
 * syntax cannot be parsed. */
bool downgrade_content_type(struct slice body, struct word_writer *writer);
bool downgrade_content_disposition(struct slice body, struct word_writer *writer);

/* What a multipart's boundary needs. */
enum downgrade_boundary {
    DOWNGRADE_BOUNDARY_FINE,
    DOWNGRADE_BOUNDARY_8BIT, /* Content-Type must be rewritten, even if it is ASCII itself */
    /* Too long as ASCII, or it contains "=": a different boundary might become the same. */
    DOWNGRADE_BOUNDARY_IMPOSSIBLE,
    DOWNGRADE_BOUNDARY_NO_MEMORY,
};
enum downgrade_boundary downgrade_look_at_boundary(const struct mime_part *part);

#endif
