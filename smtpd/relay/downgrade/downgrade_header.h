/*
 * Converts a header section, and bodies that have the form of one, for a server without 8BITMIME.
 * Pure; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_HEADER_H
#define SMTPD_RELAY_DOWNGRADE_HEADER_H

#include "common/buffer.h"

struct downgrade_change {
    const char *encoding; /* the new Content-Transfer-Encoding; NULL: unchanged */
    bool is_mime;         /* add MIME-Version if it is missing */
    bool has_body;        /* add Content-Type too if it is missing: the body is encoded */
    bool is_plain;        /* replace Content-Type: the body is not what it says */
    bool new_type;        /* rewrite Content-Type: its boundary has octets above 127 */
};

/* Appends the header, each field converted by downgrade_field(), with the changes, and the empty
 * line if there is one. Failure is recorded in the buffer. */
void downgrade_header(struct slice header, const struct downgrade_change *change,
                      struct buffer *out);

/* Appends groups of fields separated by empty lines (RFC 3464 2.1 and similar). */
void downgrade_field_groups(struct slice body, struct buffer *out);

#endif
