/*
 * Where an address is sent, as queue and relay call it (relay_protocol.h). Pure but for libidn2's
 * own memory; the queue only.
 */
#ifndef SMTPD_QUEUE_DESTINATION_H
#define SMTPD_QUEUE_DESTINATION_H

#include "common/buffer.h"
#include "common/config.h"

enum { DESTINATION_MAX = 1 + 255 };

/* Appends the domain in lower case as A-labels, an address literal with its brackets; or, where the
 * first route that fits address and reverse-path (empty: null) was made for senders and leads to a
 * host, '=' and the route's name: so all that takes it shares its connections. Failure is the
 * buffer's. */
void destination_append(const struct config *config, struct slice address,
                        struct slice reverse_path, struct buffer *out);

#endif
