/*
 * Asking a token's server about it (RFC 7662 2.1): one POST, by whom `oauth.introspection` names,
 * with the credentials that the master handed over. What it answers is not read here
 * (common/auth/introspection_protocol.h). fetch.
 */
#ifndef SMTPD_FETCH_INTROSPECT_H
#define SMTPD_FETCH_INTROSPECT_H

#include "smtpd/fetch/fetch.h"

/* Under way, counted apart from the policies so that neither shuts out the other. */
enum { INTROSPECTS_MAX = 64 };

/* Takes the credentials of the configuration in force; without any, questions are answered so. */
void introspect_take_credentials(struct fetch *fetch);

/* The rule of the link to ROLE_AUTH. */
enum { INTROSPECT_RULES = 1 };
extern const struct ipc_rule introspect_rules[INTROSPECT_RULES];

#endif
