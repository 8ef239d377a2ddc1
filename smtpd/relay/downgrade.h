/*
 * A message with octets above 127 for a server without 8BITMIME (RFC 6152 3): each body that has
 * such octets is written as quoted-printable (text) or base64 (all else), and the header fields say
 * so; nothing else changes. A plan is made in two passes over the message; then it is written in
 * steps, however large it is. A signature over such a body is broken by this: there is no other way
 * but to return the message.
 *
 * Header fields are not touched: octets above 127 there are what SMTPUTF8 is for. Neither is what
 * no part claims: the text before the first boundary and behind the last. relay.
 */
#ifndef SMTPD_RELAY_DOWNGRADE_H
#define SMTPD_RELAY_DOWNGRADE_H

#include "common/mime/scan.h"
#include "smtpd/relay/outgoing.h"

struct downgrade;

/* Borrows the message. NULL: no memory, or the body cannot be read. */
struct downgrade *downgrade_new(const struct outgoing *message, const struct mime_limits *limits,
                                struct error *error);
void downgrade_free(struct downgrade *downgrade); /* NULL is fine */

/* The next run, as outgoing_read(). Borrowed until the next call. */
bool downgrade_read(struct downgrade *downgrade, struct slice *octets, struct error *error);

#endif
