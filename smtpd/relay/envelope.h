/*
 * MAIL and RCPT with the parameters that the server offered, RFC 5321 4.1.1. relay.
 */
#ifndef SMTPD_RELAY_ENVELOPE_H
#define SMTPD_RELAY_ENVELOPE_H

#include "smtpd/relay/capabilities.h"
#include "smtpd/relay/outgoing.h"

/* What the message needs beyond the letters of 1982. */
enum envelope_needs {
    NEEDS_8BITMIME = 1,
    NEEDS_SMTPUTF8 = 2,
    NEEDS_REQUIRETLS = 4,
};

/* Looks through the header section where SMTPUTF8 was asked for: what turns out to be ASCII needs
 * none of it, nor does the address of a recipient that is settled. Of a body in a file the
 * beginning is read into `chunk`; the rest is taken for anything. */
unsigned envelope_needs(const struct outgoing *message, uint8_t chunk[OUTGOING_CHUNK]);

/* MAIL FROM:<...> with SIZE, BODY, SMTPUTF8, REQUIRETLS, BY, RET and ENVID, and CRLF. `now`:
 * seconds since 1970, for what is left of the time to deliver by. Failure is the buffer's. */
void envelope_append_mail(const struct outgoing *message, const struct capabilities *offers,
                          unsigned needs, int64_t now, struct buffer *commands);

/* RCPT TO:<...> with NOTIFY and ORCPT, and CRLF. */
void envelope_append_rcpt(const struct outgoing_recipient *recipient,
                          const struct capabilities *offers, struct buffer *commands);

#endif
