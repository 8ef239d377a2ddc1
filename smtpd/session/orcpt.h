/*
 * The recipient that a sender named, as it travels with a message that goes elsewhere: ORCPT of RFC
 * 3461 4.2, decoded, "rfc822;bob@demo.test"; "utf-8;" for an address beyond ASCII (RFC 6533 3).
 * Pure; smtpd-session and smtpd-queue.
 */
#ifndef SMTPD_SESSION_ORCPT_H
#define SMTPD_SESSION_ORCPT_H

#include "common/buffer.h"

/* Failure is the buffer's. */
void orcpt_append(struct slice address, struct buffer *out);

#endif
