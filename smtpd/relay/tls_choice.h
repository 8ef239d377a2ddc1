/*
 * How a server must be spoken to: the strongest of what is known (docs/architecture.md). Pure;
 * relay.
 */
#ifndef SMTPD_RELAY_TLS_CHOICE_H
#define SMTPD_RELAY_TLS_CHOICE_H

#include "smtpd/relay/peer.h"
#include "smtpd/relay/target.h"

enum { TLS_CHOICE_TLSA_MAX = 32 }; /* usable records of a host; more are not looked at */

/* Fills what of the settings is about TLS, but for requires_tls, which counts. route: NULL is fine.
 * host: one of the target's, which the settings point to; `tlsa` gets its records, and they point
 * there too. */
void tls_choice_make(const struct config_route *route, const struct target *target,
                     const struct target_host *host,
                     struct tls_client_tlsa tlsa[TLS_CHOICE_TLSA_MAX],
                     struct peer_settings *settings);

#endif
