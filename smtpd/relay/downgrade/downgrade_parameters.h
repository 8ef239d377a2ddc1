/*
 * Content-Type and Content-Disposition with octets above 127 as ASCII: a parameter that has some,
 * or is too long for a line, is written by RFC 2231 3 and 4, with the charset UTF-8 or unknown-8bit
 * (RFC 1428 3); all others as they were, each on a line of its own. In a boundary, which may be
 * written in no other way (RFC 2046 5.1.1), "=XX" stands for such an octet, as in the lines between
 * the parts (transfer_mender.h). Comments are left out. Pure; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_PARAMETERS_H
#define SMTPD_RELAY_DOWNGRADE_PARAMETERS_H

#include "common/mime/scan.h"
#include "common/mime/word_writer.h"

/* Appends to the writer's buffer, a space first. False, nothing written, where the field has no
 * syntax that could be kept. */
bool downgrade_content_type(struct slice body, struct word_writer *writer);
bool downgrade_content_disposition(struct slice body, struct word_writer *writer);

/* Of a multipart. */
enum downgrade_boundary {
    DOWNGRADE_BOUNDARY_FINE,
    DOWNGRADE_BOUNDARY_8BIT, /* Content-Type must be written anew, though it may be ASCII */
    /* Too long when it is ASCII, or with a "=" of its own: another might become the same. */
    DOWNGRADE_BOUNDARY_IMPOSSIBLE,
    DOWNGRADE_BOUNDARY_NO_MEMORY,
};
enum downgrade_boundary downgrade_look_at_boundary(const struct mime_part *part);

#endif
