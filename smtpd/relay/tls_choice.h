/*
 * Chooses the TLS settings for a server: the strongest requirement known (docs/architecture.md).
 * Pure; relay.
 */
#ifndef SMTPD_RELAY_TLS_CHOICE_H
#define SMTPD_RELAY_TLS_CHOICE_H

#include "smtpd/relay/peer.h"
#include "smtpd/relay/target.h"

enum { TLS_CHOICE_TLSA_MAX = 32 }; /* usable records of a host; further ones are ignored */

/* Fills the TLS fields of the settings except requires_tls, which is an input. route: may be NULL.
 * host: one of the target's; the settings borrow from it and from `tlsa`, which receives its
 * records. */
void tls_choice_make(const struct config_route *route, const struct target *target,
                     const struct target_host *host,
                     struct tls_client_tlsa tlsa[TLS_CHOICE_TLSA_MAX],
                     struct peer_settings *settings);

#endif
