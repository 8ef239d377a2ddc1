/*
 * TLS reports that a domain wants by HTTPS (RFC 8460 5.4): messages whose recipients are URIs and
 * whose body is the report, gzip'd. They go to `fetch`, which alone speaks HTTP; what becomes of
 * them is told to queue as of any message. relay.
 */
#ifndef SMTPD_RELAY_TLS_POST_H
#define SMTPD_RELAY_TLS_POST_H

#include "smtpd/relay/outgoing.h"

struct relay;

/* Its destination says so. */
bool tls_post_is_wanted(const struct outgoing *message);

/* Takes the message. */
void tls_post_take(struct relay *relay, struct outgoing *message);

#endif
