/*
 * The destination of an address, as queue and relay name it (relay_protocol.h). Pure but for
 * libidn2's own memory; the queue only.
 */
#ifndef SMTPD_QUEUE_DISPATCH_DESTINATION_H
#define SMTPD_QUEUE_DISPATCH_DESTINATION_H

#include "common/buffer.h"
#include "common/config/config.h"

enum { DESTINATION_MAX = 2 + 255 + 1 + 512 };

/* Appends the destination: the domain in lower case as A-labels, or an address literal in brackets.
 * If the first route that fits the address and the reverse-path (empty: null) has a sender and
 * leads to a host, it is '=', the route's name, '/' and its sender instead, so that all mail that
 * takes that route shares its connections. flags: enum queue_submit_flags of the message. With
 * QUEUE_TLS_OPTIONAL a '~' goes before it, since failures of other mail must not hold it up; with
 * QUEUE_REQUIRETLS a '!', since its own failures must not hold up other mail. Failure is the
 * buffer's. */
void destination_append(const struct config *config, uint32_t flags, struct slice address,
                        struct slice reverse_path, struct buffer *out);

/* The mark of a destination as enum queue_submit_flags, and the rest of it. */
uint32_t destination_flags(struct slice destination);
struct slice destination_name(struct slice destination);

/* Whether a destination that destination_append() once made still leads somewhere: the route that
 * it names may be gone from the configuration. */
bool destination_exists(const struct config *config, struct slice destination);

/* Which of our domains an alias forwards mail for: its number in the configuration plus 1. It is
 * that of the alias in ORCPT, else the first. 0: `forwarded` is not set. */
uint16_t destination_forwarder(const struct config *config, bool forwarded, struct slice orcpt);

/* The number plus 1 of the domain of that name; of the first if it is no longer ours. */
uint16_t destination_forwarder_now(const struct config *config, const char *domain);

#endif
