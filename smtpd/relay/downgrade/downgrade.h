/*
 * Converts a message with octets above 127 for a server without 8BITMIME (RFC 6152 3): the output
 * has none, and readers see the same content.
 *
 *  - Header fields of the message, its parts and enclosed messages: downgrade_field.h.
 *  - Bodies become quoted-printable (text) or base64 (all else), and the header says so.
 *  - Bodies that claim to be encoded already, and the text around the parts: transfer_mender.h.
 *  - message/external-body and the reports of RFC 3464, 8098, 5965, which must be 7bit (RFC 2046
 *    5.2.3, RFC 3464 2.1): treated as the header fields that they consist of.
 *  - A multipart or message becomes 7bit, whatever it declared (RFC 2045 6.4). A multipart without
 *    a readable boundary counts as text/plain (5.2) and is relabelled so.
 *
 * Lines of more than 998 octets (RFC 5322 2.1.1) are shortened as well. A message without octets
 * above 127 stays unchanged, octet for octet.
 *
 * Signatures over changed content break: DKIM, whose signers should not sign what may be changed
 * (RFC 6376 5.3), and S/MIME and OpenPGP, which may sign only 7bit content (RFC 1847 2.1, RFC 3156
 * 3). The message is sent anyway: a broken signature is better than no delivery.
 *
 * Not possible for: message/partial, a fragment (RFC 2046 5.2.2.1); parts not scanned because of
 * limits.mime-depth or -parts; a header of more than 1 MiB; a boundary that becomes too long or
 * ambiguous. A plan is made in passes over the message, in small steps; then the output is
 * streamed, whatever the size. relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_DOWNGRADE_H
#define SMTPD_RELAY_DOWNGRADE_DOWNGRADE_H

#include "common/mime/scan.h"
#include "smtpd/relay/outgoing.h"

struct downgrade;

/* Prepares to plan for the message, which is borrowed. False: no memory. */
bool downgrade_new(const struct outgoing *message, const struct mime_limits *limits,
                   struct downgrade **downgrade, struct error *error);

enum downgrade_progress {
    DOWNGRADE_NOT_NEEDED, /* there are no octets above 127 */
    DOWNGRADE_PLANNED,    /* downgrade_read() may be called */
    DOWNGRADE_MORE,       /* the plan is not complete: call again, after other work */
    DOWNGRADE_FAILED,
};

/* Continues the plan by a megabyte of the message, which takes half a millisecond; a message of 25
 * MiB takes 4 ms if it is ASCII, else up to 20. Fails with ERROR_PERMANENT and the reason if the
 * downgrade is not possible; other failures: no memory, or the body cannot be read. `chunk` is used
 * only during the call. */
enum downgrade_progress downgrade_plan(struct downgrade *downgrade, uint8_t chunk[OUTGOING_CHUNK],
                                       struct error *error);
void downgrade_free(struct downgrade *downgrade); /* NULL is fine */

/* Reads the next run of output, as outgoing_read(). Borrowed until the next call. */
bool downgrade_read(struct downgrade *downgrade, struct slice *octets, struct error *error);

/* Restarts reading at the beginning. */
void downgrade_rewind(struct downgrade *downgrade);

#endif
