/*
 * A header section, and bodies that are written like one, for a server without 8BITMIME. Pure;
 * relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_HEADER_H
#define SMTPD_RELAY_DOWNGRADE_HEADER_H

#include "common/buffer.h"

struct downgrade_change {
    const char *encoding; /* Content-Transfer-Encoding from now on; NULL: as it is */
    bool is_mime;         /* give MIME-Version where it is missing */
    bool has_body;        /* and Content-Type too: the body is encoded */
    bool is_plain;        /* write Content-Type anew: it names what the body is not */
    bool new_type;        /* write Content-Type anew: its boundary has octets above 127 */
};

/* Appends the header with each field as downgrade_field() gives it, and the changes; the empty line
 * too where there is one. Failure is the buffer's. */
void downgrade_header(struct slice header, const struct downgrade_change *change,
                      struct buffer *out);

/* Appends groups of fields with empty lines between (RFC 3464 2.1 and its kin). */
void downgrade_field_groups(struct slice body, struct buffer *out);

#endif
