/*
 * Text that is not to be encoded as a whole and yet must lose its octets above 127, and its lines
 * that are too long, in pieces of any length: the result is the same however the input is split.
 *
 * What claims to be quoted-printable: such an octet becomes "=XX", which is what it should have
 * been; escapes that are there stay. Soft line breaks keep lines to 76 octets (RFC 2045 6.7).
 *
 * What claims to be base64: readers step over octets that are not of its alphabet (RFC 2045 6.8),
 * so "?", which is none either, stands for them: what is decoded stays the same.
 *
 * What no part claims, the text around the parts of a multipart: "=XX", which a person can read and
 * nobody decodes (RFC 2046 5.1.1). It is the same in boundaries: one that was the beginning of a
 * line still is. Pure; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_TRANSFER_MENDER_H
#define SMTPD_RELAY_DOWNGRADE_TRANSFER_MENDER_H

#include "common/buffer.h"

enum mend {
    MEND_QUOTED_PRINTABLE,
    MEND_BASE64,
    MEND_AROUND,
    MEND_LINE, /* of a header, that is no field: as what is around, but folded */
};

/* Zeroed at the beginning, but for the kind. */
struct transfer_mender {
    enum mend kind;
    unsigned column;
    bool behind_break; /* a soft line break began this line: a dash would look like a boundary */
    bool held_equal;   /* "=" waits for what follows */
};

/* Appends at most six octets for each that comes in, and as many at the end. Failure is the
 * buffer's. */
void transfer_mend(struct transfer_mender *mender, struct slice octets, struct buffer *text);
void transfer_mend_end(struct transfer_mender *mender, struct buffer *text);

/* Appends the sign and two digits for each octet above 127, all others as they are. */
void transfer_mend_octets(struct slice octets, char sign, struct buffer *text);

#endif
