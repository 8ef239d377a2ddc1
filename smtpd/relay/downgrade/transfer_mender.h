/*
 * Removes octets above 127 and overlong lines from text that is not encoded as a whole, in pieces
 * of any length: the result is the same however the input is split.
 *
 * In a body declared quoted-printable such an octet becomes "=XX", as it should have been; existing
 * escapes stay. Soft line breaks keep lines to 76 octets (RFC 2045 6.7).
 *
 * In a body declared base64 it becomes "?": decoders skip octets outside the alphabet (RFC 2045
 * 6.8), so the decoded content stays the same.
 *
 * In the text around the parts of a multipart it becomes "=XX", which is readable and which nothing
 * decodes (RFC 2046 5.1.1). Delimiter lines are converted the same way, so a boundary that began a
 * line still does. Pure; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_TRANSFER_MENDER_H
#define SMTPD_RELAY_DOWNGRADE_TRANSFER_MENDER_H

#include "common/buffer.h"

enum mend {
    MEND_QUOTED_PRINTABLE,
    MEND_BASE64,
    MEND_AROUND,
    MEND_LINE, /* a header line that is not a field: as MEND_AROUND, but folded */
};

/* Zeroed at the beginning, except for the kind. */
struct transfer_mender {
    enum mend kind;
    unsigned column;
    bool behind_break; /* this line follows a soft line break: a dash would look like a boundary */
    bool held_equal;   /* "=" was read; its output depends on what follows */
};

/* Append at most six octets for each input octet, and six at the end. Failure is recorded in the
 * buffer. */
void transfer_mend(struct transfer_mender *mender, struct slice octets, struct buffer *text);
void transfer_mend_end(struct transfer_mender *mender, struct buffer *text);

/* Appends the sign and two hexadecimal digits for each octet above 127, all others unchanged. */
void transfer_mend_octets(struct slice octets, char sign, struct buffer *text);

#endif
