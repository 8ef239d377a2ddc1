/*
 * A message with octets above 127 for a server without 8BITMIME (RFC 6152 3): what goes out has
 * none, wherever they were, and what a reader gets is the same.
 *
 *  - Header fields, of the message, of its parts, of messages inside: downgrade_field.h.
 *  - Bodies are quoted-printable (text) or base64 (all else), and the header says so.
 *  - Bodies that claim to be encoded already, and the text around the parts: transfer_mender.h.
 *  - message/external-body and the reports of RFC 3464, 8098, 5965, which must be 7bit (RFC 2046
 *    5.2.3, RFC 3464 2.1): as the header fields that they are made of.
 *  - What holds parts is 7bit afterwards, whatever it claimed (RFC 2045 6.4). A multipart
 *    whose boundary cannot be read is the text/plain that it counts as (5.2), and says so.
 *
 * Lines of more than 998 octets (RFC 5322 2.1.1) are mended along with it. A message without octets
 * above 127 stays as it is, octet for octet.
 *
 * A signature over what is changed is broken by it: of DKIM, which asks its signers to sign nothing
 * that may be changed (RFC 6376 5.3), of S/MIME and OpenPGP, which may only sign what is 7bit (RFC
 * 1847 2.1, RFC 3156 3). It goes all the same: better a text whose seal is broken than no text.
 *
 * What cannot be done: a message/partial, which is a piece of something (RFC 2046 5.2.2.1), what
 * was not looked into for limits.mime-depth or -parts, a header of more than 1 MiB, a boundary that
 * becomes too long or ambiguous. A plan is made in passes over the message, some of it at a time;
 * then it is written as it is read, however large it is. relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_DOWNGRADE_H
#define SMTPD_RELAY_DOWNGRADE_DOWNGRADE_H

#include "common/mime/scan.h"
#include "smtpd/relay/outgoing.h"

struct downgrade;

/* A plan is made of the message, which is borrowed. False: no memory. */
bool downgrade_new(const struct outgoing *message, const struct mime_limits *limits,
                   struct downgrade **downgrade, struct error *error);

enum downgrade_progress {
    DOWNGRADE_NOT_NEEDED, /* there are no octets above 127 */
    DOWNGRADE_PLANNED,    /* it can be read */
    DOWNGRADE_MORE,       /* of the message is to be looked at: call again, others first */
    DOWNGRADE_FAILED,
};

/* Goes on with the plan for a megabyte of the message, which is half a millisecond; one of 25 MiB
 * takes 4 where it is ASCII, up to 20 else. Fails with ERROR_PERMANENT where it cannot be done,
 * with the reason; else no memory, or the body cannot be read. `chunk` is used during the call. */
enum downgrade_progress downgrade_plan(struct downgrade *downgrade, uint8_t chunk[OUTGOING_CHUNK],
                                       struct error *error);
void downgrade_free(struct downgrade *downgrade); /* NULL is fine */

/* The next run of what is planned, as outgoing_read(). Borrowed until the next call. */
bool downgrade_read(struct downgrade *downgrade, struct slice *octets, struct error *error);

/* From the beginning again. */
void downgrade_rewind(struct downgrade *downgrade);

#endif
