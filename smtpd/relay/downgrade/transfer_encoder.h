/*
 * Encodes bodies as quoted-printable and base64, RFC 2045 6.7 and 6.8, in pieces of any length: the
 * output is the same however the input is split. Pure; relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_TRANSFER_ENCODER_H
#define SMTPD_RELAY_DOWNGRADE_TRANSFER_ENCODER_H

#include "common/buffer.h"

enum transfer_encoding { TRANSFER_QUOTED_PRINTABLE, TRANSFER_BASE64 };

/* Zeroed at the beginning of a body, except for the encoding. */
struct transfer_encoder {
    enum transfer_encoding encoding;
    unsigned column; /* of the current output line */
    uint8_t held[3]; /* octets that depend on what follows: a space, a CR; up to two for base64 */
    unsigned held_count;
    bool behind_break; /* quoted-printable: the current line follows a soft line break */
};

/* The most octets of output for each octet of the body. */
enum { TRANSFER_GROWTH = 4 };

/* Failure is recorded in the buffer. */
void transfer_encode(struct transfer_encoder *encoder, struct slice octets, struct buffer *text);
void transfer_end(struct transfer_encoder *encoder, struct buffer *text);

#endif
