/*
 * Where an address is sent, as queue and relay call it (relay_protocol.h). Pure but for libidn2's
 * own memory; the queue only.
 */
#ifndef SMTPD_QUEUE_DISPATCH_DESTINATION_H
#define SMTPD_QUEUE_DISPATCH_DESTINATION_H

#include "common/buffer.h"
#include "common/config/config.h"

enum { DESTINATION_MAX = 2 + 255 + 1 + 512 };

/* Appends the domain in lower case as A-labels, an address literal with its brackets; or, where the
 * first route that fits address and reverse-path (empty: null) was made for senders and leads to a
 * host, '=', the route's name, '/' and its sender: so all that takes it shares its connections.
 * flags: of the message, enum queue_submit_flags; with QUEUE_TLS_OPTIONAL a '~' stands before it,
 * since what fails for others must not hold it up, with QUEUE_REQUIRETLS a '!', since its failure
 * must not hold up others. Failure is the buffer's. */
void destination_append(const struct config *config, uint32_t flags, struct slice address,
                        struct slice reverse_path, struct buffer *out);

/* What stands before a destination as flags, and what stands behind that. */
uint32_t destination_flags(struct slice destination);
struct slice destination_name(struct slice destination);

/* Of a destination that destination_append() made, under this configuration or another: does it
 * lead anywhere now? A route that it names may have been taken out. */
bool destination_exists(const struct config *config, struct slice destination);

/* The domain of ours in whose name an alias sends mail on: its number in the configuration plus 1.
 * ORCPT tells the alias; where that is none of our domains, the first. 0: `forwarded` is not set.
 */
uint16_t destination_forwarder(const struct config *config, bool forwarded, struct slice orcpt);

/* The number of the domain of that name, of the first where it is none of ours any more. */
uint16_t destination_forwarder_now(const struct config *config, const char *domain);

#endif
